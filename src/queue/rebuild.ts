import { git } from '../git/run.ts';
import { branchTip, type Project, refCommit, remoteBranchRef } from '../project/project.ts';
import { notPublished } from '../project/rescue.ts';
import { removeHalfWritten } from '../project/state.ts';
import { isoTime } from '../system/clock.ts';
import {
  type Entry,
  flushEntries,
  flushQueued,
  type Listed,
  listQueue,
  removeEntries,
  setEntriesAside,
  withId,
  writeEntries,
} from './entries.ts';
import { keepQueued, keepSuperseded, notOnRemote, readRefs, type Refs, tidyRefs, unmarkDropped } from './refs.ts';

/** The queue held against Git, which is the truth. */
export interface Queue extends Listed {
  /** Versions that a person took out of the queue, in the order of history. */
  dropped: Entry[];
}

interface Look extends Queue {
  /** Entries that have no file yet. */
  missing: Entry[];
  /** Entries whose commit is on the remote, was dropped, or was rewritten away from the branch (then it is in `superseded`, too). */
  over: Entry[];
  superseded: string[];
  /** Commits that were dropped and are not on the branch any more. */
  forgotten: string[];
  /** What has to have a ref, so that all that waits is kept alive. */
  needed: Set<string>;
  refs: Refs;
}

/** The queue as it is meant to be now: what needs an entry has one, what is over has none. Writes nothing. */
export async function lookAtQueue(project: Project): Promise<Queue> {
  const { entries, dropped, damaged } = await look(project);
  return { entries, dropped, damaged };
}

/**
 * Brings the queue in line with Git: every commit of the branch that is neither published nor queued gets its entry again
 * (`git clean -fdx` must lose nothing), entries whose commit is published or was rewritten away from the branch end, and
 * what was not flushed by its producer is flushed. `now`: ms since 1970.
 */
export async function rebuildQueue(project: Project, now: number): Promise<Queue> {
  const { entries, dropped, damaged, refs, ...found } = await look(project);
  const queued = new Set(refs.queue);
  await keepQueued(
    project,
    [...found.needed].filter((commit) => !queued.has(commit)),
  );
  await writeEntries(project, found.missing);
  const flushed = new Set(found.missing);
  await flushEntries(
    project,
    entries.filter((entry) => !flushed.has(entry)),
  );
  await keepSuperseded(project, found.superseded, now);
  await unmarkDropped(project, found.forgotten);
  await removeEntries(project, found.over);
  const changed = found.superseded.length + found.forgotten.length > 0;
  await tidyRefs(project, changed ? await readRefs(project) : refs, found.needed, now);
  await removeHalfWritten(project, now);
  return { entries, dropped, damaged };
}

/** Where the branch was here and on the remote when the queue was last held against Git, and what waited then. */
export interface Kept {
  tip: string | null;
  remote: string | null;
  /** Versions of the published branch that wait. */
  versions: number;
  /** Saves since it was last rebuilt. */
  since: number;
}

/** After so many saves it is rebuilt in any case: each has left a ref of its own. */
const rebuildAfter = 100;

/**
 * The same while nothing is published. A save that only adds to what was `before` is looked for by its name, so that it does
 * not cost the more the more wait (one second of the processor, with ten thousand).
 */
export async function keepQueue(project: Project, now: number, before: Kept | null): Promise<Kept> {
  const tip = await branchTip(project);
  const remote = await refCommit(project, remoteBranchRef(project));
  if (before !== null && before.tip !== null && tip !== null && before.remote === remote) {
    const range = ['rev-list', '--left-right', `${before.tip}...${tip}`, '--'];
    const moved = (await git(project.root, range)).split('\n').filter(Boolean);
    const added = moved.flatMap((line) => (line.startsWith('>') ? [line.slice(1)] : []));
    const since = before.since + added.length;
    if (added.length === moved.length && since < rebuildAfter && (await flushQueued(project, added)))
      return { tip, remote, versions: before.versions + added.length, since };
  }
  const { entries } = await rebuildQueue(project, now);
  const waiting = entries.filter(({ kind, branch }) => kind === 'publish' && branch === project.config.branch);
  return { tip, remote, versions: waiting.length, since: 0 };
}

/** Ends entries that are published, and whose commits the remote is known to have now. */
export async function finish(project: Project, entries: readonly Entry[], now: number): Promise<void> {
  await removeEntries(project, entries);
  await tidyRefs(project, await readRefs(project), new Set(), now);
}

async function look(project: Project): Promise<Look> {
  const { branch } = project.config;
  // In this order: an entry that is listed was on the branch before the branch is looked at.
  const listed = await listQueue(project);
  const refs = await readRefs(project);
  const tip = await branchTip(project);
  const line = tip === null ? null : await unpublished(project, tip);
  const isDropped = new Set(refs.dropped);
  const onLine = new Set(line?.map(({ commit }) => commit));

  const filed = new Map<string, Entry>();
  const over: Entry[] = [];
  const others: Entry[] = [];
  for (const entry of listed.entries) {
    const { kind, commit } = entry;
    const isOurs = entry.branch === branch && line !== null;
    if (kind !== 'publish' || (!isOurs && !onLine.has(commit))) others.push(entry);
    else if (isOurs && onLine.has(commit) && !isDropped.has(commit) && !filed.has(commit)) filed.set(commit, entry);
    else over.push(entry);
  }
  const all = (line ?? []).map(
    ({ commit, seq, createdAt }): Entry =>
      filed.get(commit) ?? withId({ v: 1, kind: 'publish', commit, branch, seq, createdAt }),
  );
  const dropped = all.filter(({ commit }) => isDropped.has(commit));
  const waiting = all.filter(({ commit }) => !isDropped.has(commit));

  // What is not on our line may be anything: published, rewritten, of another branch, of another repository.
  const offLine = [...over, ...others.filter(({ kind }) => kind !== 'intent')].filter(
    ({ commit }) => !onLine.has(commit),
  );
  const forgotten = refs.dropped.filter((commit) => !onLine.has(commit));
  const commits = [...new Set([...offLine.map(({ commit }) => commit), ...forgotten])];
  const gone = await missingHere(project, commits);
  const unsent = await notOnRemote(
    project,
    commits.filter((commit) => !gone.has(commit)),
  );
  const aside = new Set(offLine.filter(({ commit }) => gone.has(commit)));
  const stays = ({ kind, commit }: Entry) => kind === 'intent' || onLine.has(commit) || unsent.has(commit);
  const kept = others.filter(stays);
  const missing = waiting.filter(({ commit }) => !filed.has(commit));
  // The settings name another branch now: its entry takes the old one's place.
  const replaced = new Set(missing.map(({ id }) => id));
  const ended = [...over, ...others.filter((entry) => !stays(entry))].filter(
    (entry) => !aside.has(entry) && !replaced.has(entry.id),
  );
  const last = waiting.at(-1);
  return {
    entries: [...kept, ...waiting],
    dropped,
    damaged: [...listed.damaged, ...(await setEntriesAside(project, [...aside]))],
    missing,
    over: ended,
    superseded: [...over.map(({ commit }) => commit), ...forgotten].filter((commit) => unsent.has(commit)),
    forgotten,
    needed: new Set([
      ...(last === undefined ? [] : [last.commit]),
      ...kept.filter(({ kind }) => kind !== 'intent').map(({ commit }) => commit),
    ]),
    refs,
  };
}

interface Place {
  commit: string;
  seq: number;
  createdAt: string;
}

/** The branch's own line of commits that the remote is not known to have, oldest first, with their place in history. */
async function unpublished(project: Project, tip: string): Promise<Place[]> {
  const not = await notPublished(project);
  const args = ['rev-list', '--reverse', '--topo-order', '--timestamp', tip, ...not, '--'];
  const lines = (await git(project.root, args)).split('\n').filter(Boolean);
  if (lines.length === 0) return [];
  const total = Number(await git(project.root, ['rev-list', '--count', tip, '--']));
  return lines.map((line, i) => {
    const [seconds = '', commit = ''] = line.split(' ');
    // In a line of commits the place follows from the tip's; beside a merge it still rises.
    return { commit, seq: total - lines.length + i + 1, createdAt: savedAt(Number(seconds)) };
  });
}

/** A commit may claim any time. */
const savedAt = (seconds: number): string => isoTime(Math.abs(seconds) < 8.64e12 ? seconds * 1000 : 0);

/** Which of these commits the repository does not have. */
async function missingHere({ root }: Project, commits: readonly string[]): Promise<Set<string>> {
  if (commits.length === 0) return new Set();
  const input = commits.map((commit) => `${commit}\n`).join('');
  const answers = (await git(root, ['cat-file', '--batch-check=%(objecttype)'], { input })).split('\n');
  return new Set(commits.filter((_, i) => answers[i] !== 'commit'));
}
