import * as fs from 'node:fs/promises';
import path from 'node:path';
import * as v from 'valibot';
import { git, gitLine } from '../git/run.ts';
import type { Project } from '../project/project.ts';
import { readRecord, writeRecord } from '../project/state.ts';
import { ifMissing, removeDurable } from '../system/disk.ts';

/**
 * The queue on the disk: `.oxenvcs/queue/<seq>-<commit>.json`, one file an entry, so that a listing is in the order of
 * history. Hooks in plain sh write such files too. A ref keeps each commit alive until it is published.
 */

const Entry = v.object({
  v: v.literal(1),
  kind: v.picklist(['publish', 'intent', 'rescue']),
  commit: v.pipe(v.string(), v.regex(/^[0-9a-f]{40,64}$/)),
  branch: v.pipe(v.string(), v.nonEmpty()),
  /** How many commits the history up to this one has: the same whoever counts, and rising along a branch. */
  seq: v.pipe(v.number(), v.integer(), v.minValue(0)),
  createdAt: v.string(),
  /** Of an intent: what the remote's branch was when work began offline, and the files that it began with. */
  base: v.optional(v.nullable(v.string())),
  paths: v.optional(v.array(v.string())),
});

export type Entry = v.InferOutput<typeof Entry> & { id: string };

export interface Listed {
  /** In the order of history. */
  entries: Entry[];
  /** Files that could not be read and were set aside, with the reason. */
  damaged: { file: string; reason: string }[];
}

const queueFolder = (project: Pick<Project, 'root'>): string => path.join(project.root, '.oxenvcs', 'queue');
const keepRef = (commit: string): string => `refs/oxenvcs/queue/${commit}`;
const fileName = ({ seq, commit }: Pick<Entry, 'seq' | 'commit'>): string =>
  `${String(seq).padStart(10, '0')}-${commit}`;

/** Queues one commit. Doing it twice is the same as once. When this returns, the entry is on the disk. */
export async function enqueue(project: Project, commit: string, branch: string, createdAt: string): Promise<Entry> {
  const seq = Number(await gitLine(project.root, ['rev-list', '--count', commit, '--']));
  const [entry] = await enqueueAll(project, branch, [{ commit, seq }], createdAt);
  if (entry === undefined) throw new Error('one commit gives one entry');
  return entry;
}

/**
 * Work began while the remote could not be asked for the lock: on which version, when, and with which files. It stands
 * until the lock is taken, or the work is published otherwise. One at a time: the first is when the work began.
 */
export async function noteIntent(
  project: Project,
  intent: Pick<Entry, 'commit' | 'branch' | 'createdAt'> & { base: string | null; paths: string[] },
): Promise<void> {
  const { entries } = await listQueue(project);
  if (entries.some(({ kind, branch }) => kind === 'intent' && branch === intent.branch)) return;
  const seq = Number(await gitLine(project.root, ['rev-list', '--count', intent.commit, '--']));
  const entry = { v: 1 as const, kind: 'intent' as const, seq, ...intent };
  await writeRecord(path.join(queueFolder(project), `${fileName(entry)}-intent.json`), entry);
}

/** The lock is ours, or the work is on the remote: what was intended is done. */
export async function endIntents(project: Project): Promise<void> {
  const { entries } = await listQueue(project);
  await removeFiles(
    project,
    entries.filter(({ kind }) => kind === 'intent'),
  );
}

/** Queues many commits in one go; the refs that keep them alive come first. */
export async function enqueueAll(
  project: Project,
  branch: string,
  commits: { commit: string; seq: number }[],
  createdAt: string,
): Promise<Entry[]> {
  await keepAlive(
    project,
    commits.map(({ commit }) => commit),
  );
  const entries: Entry[] = [];
  for (const { commit, seq } of commits) {
    const entry = { v: 1 as const, kind: 'publish' as const, commit, branch, seq, createdAt };
    const id = fileName(entry);
    await writeRecord(path.join(queueFolder(project), `${id}.json`), entry);
    entries.push({ ...entry, id });
  }
  return entries;
}

/** Reads the queue. Damaged entries are set aside; what they stood for comes back from Git (see rebuild.ts). */
export async function listQueue(project: Pick<Project, 'root'>): Promise<Listed> {
  const folder = queueFolder(project);
  const names = await fs.readdir(folder).catch(ifMissing([]));
  const listed: Listed = { entries: [], damaged: [] };
  for (const name of names.filter((one) => one.endsWith('.json') && !one.startsWith('.')).toSorted()) {
    const read = await readRecord(project, path.join(folder, name), Entry);
    if (read.state === 'ok') listed.entries.push({ ...read.value, id: name.slice(0, -'.json'.length) });
    if (read.state === 'damaged') listed.damaged.push({ file: read.movedTo, reason: read.reason });
  }
  return listed;
}

/** Ends entries that are published: the files go first, then the refs that kept their commits alive. */
export async function finish(project: Project, entries: readonly Entry[]): Promise<void> {
  await removeFiles(project, entries);
  await changeRefs(
    project,
    entries.map(({ commit }) => `delete ${keepRef(commit)}\0\0`),
  );
}

/**
 * Ends entries whose commits the user rewrote away from the branch (amend, rebase, reset). What was saved is not lost:
 * the commits stay reachable below `refs/oxenvcs/kept/`.
 */
export async function supersede(project: Project, entries: readonly Entry[]): Promise<void> {
  await changeRefs(
    project,
    entries.map(({ commit }) => `update refs/oxenvcs/kept/${commit}\0${commit}\0\0`),
  );
  await finish(project, entries);
}

/** Gives each entry the ref that keeps its commit alive: one that was queued by a hook in plain sh has none yet. */
export async function keepAlive(project: Project, commits: readonly string[]): Promise<void> {
  const kept = new Set((await git(project.root, ['for-each-ref', '--format=%(refname)', keepRef('')])).split('\n'));
  const missing = commits.filter((commit) => !kept.has(keepRef(commit)));
  await changeRefs(
    project,
    missing.map((commit) => `update ${keepRef(commit)}\0${commit}\0\0`),
  );
}

async function removeFiles(project: Project, entries: readonly Entry[]): Promise<void> {
  for (const { id } of entries) await removeDurable(path.join(queueFolder(project), `${id}.json`));
}

async function changeRefs({ root }: Project, changes: string[]): Promise<void> {
  if (changes.length > 0) await git(root, ['update-ref', '-z', '--stdin'], { input: changes.join('') });
}
