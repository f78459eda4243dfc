import { randomUUID } from 'node:crypto';
import * as fs from 'node:fs/promises';
import path from 'node:path';
import * as v from 'valibot';
import { gitFailure } from '../git/failures.ts';
import { git, gitAsks, tryGit } from '../git/run.ts';
import { diffTrees, indexInfo, zeroLike } from '../git/tree.ts';
import type { FileStat } from '../model/save.ts';
import type { Project } from '../project/project.ts';
import { readRecord, writeRecord } from '../project/state.ts';
import { ifMissing, removeDurable } from '../system/disk.ts';
import { sameStat, statOf } from '../system/stat.ts';
import { type IndexLock, takeIndexLock, timesOf } from './index-lock.ts';

/**
 * After a commit made in an index of our own, the user's index still holds the versions before it: their next plain
 * `git commit` would undo the save and delete the new take. So each committed path whose entry is still that of the old
 * HEAD is brought up to the new one, under git's own index.lock. It is journaled before HEAD moves, and tried again as
 * long as somebody else holds that lock.
 */

const Journal = v.object({
  v: v.literal(1),
  /** The commit that the user's index is known to stand on; null: none. */
  from: v.nullable(v.string()),
  /** Where HEAD was about to go since; after a crash the last one may never have become HEAD. */
  to: v.array(v.string()),
});

const journalFile = (project: Project): string => path.join(project.gitDir, 'oxenvcs', 'index-behind.json');

/** Before HEAD moves: from which commit to which the user's index will have to follow. */
export async function noteIndexBehind(project: Project, from: string | null, to: string): Promise<void> {
  const noted = await readRecord(project, journalFile(project), Journal);
  const behind = noted.state === 'ok' && from !== null && noted.value.to.includes(from);
  const journal = behind ? { from: noted.value.from, to: [...noted.value.to, to] } : { from, to: [to] };
  await writeRecord(journalFile(project), { v: 1, ...journal });
}

interface How {
  /** The index that the last commit was built in. */
  made?: string;
  /** How the user's index lay when it was found to hold nothing but the commit before. */
  over?: FileStat | null;
  /** index.lock, where the caller holds it. */
  ours?: IndexLock;
}

/** Brings the user's index up to what is noted. False: somebody holds index.lock; call again later. */
export async function bringIndexUp(project: Project, { made, over = null, ours }: How = {}): Promise<boolean> {
  const noted = await readRecord(project, journalFile(project), Journal);
  if (noted.state !== 'ok') return true;
  const lock = ours ?? (await takeIndexLock(project.gitDir));
  if (lock === null) return false;
  try {
    // Git replaces an index whole: one that lies as it did holds what it did.
    const untouched = over !== null && sameStat(over, await statOf(path.join(project.gitDir, 'index')));
    if (made !== undefined && untouched) await lock.replace(made);
    else await compareAndBringUp(project, lock, noted.value, made);
  } finally {
    await lock.release();
  }
  await removeDurable(journalFile(project));
  return true;
}

async function compareAndBringUp(
  project: Project,
  lock: IndexLock,
  noted: v.InferOutput<typeof Journal>,
  made: string | undefined,
): Promise<void> {
  const to = await lastMade(project, noted.to);
  if (to === null) return;
  const copy = path.join(project.gitDir, 'oxenvcs', `user-index-${randomUUID()}`);
  try {
    await copyIndex(path.join(project.gitDir, 'index'), copy).catch(ifMissing(undefined));
    if (made !== undefined && (await isTree(project, copy, noted.from))) await copyIndex(made, copy);
    else await follow(project, copy, noted.from, to);
    await lock.replace(copy);
  } finally {
    await fs.rm(copy, { force: true });
  }
}

/** So old is no index of ours that somebody still works with (ms). */
const leftoverMs = 3_600_000;

/** Removes our indexes that a killed process has left behind: with many takes they are megabytes each. `now`: ms since 1970. */
export async function removeLeftovers({ gitDir }: Project, now: number): Promise<void> {
  const folder = path.join(gitDir, 'oxenvcs');
  for (const name of await fs.readdir(folder).catch(ifMissing([] as string[]))) {
    const file = path.join(folder, name);
    const stat = /^(user-)?index-[0-9a-f-]{36}(\.lock)?$/.test(name)
      ? await fs.stat(file).catch(ifMissing(null))
      : null;
    // A copy has the time of its original.
    if (stat !== null && now - stat.ctimeMs > leftoverMs) await fs.rm(file, { force: true });
  }
}

/**
 * Copies an index with its time. Git compares whole seconds, and reads a file again when its entry is not older than the
 * index: under a copy with a newer time a second save of the same size within that second would never be seen.
 */
export async function copyIndex(from: string, to: string): Promise<void> {
  await fs.copyFile(from, to);
  // Rounded down: an index that looks older than it is makes git read more, one that looks newer makes it miss changes.
  await fs.utimes(to, ...(await timesOf(from)));
}

/** The last of these that did become HEAD (the user may have committed on top since). */
async function lastMade({ root }: Project, commits: string[]): Promise<string | null> {
  for (const commit of commits.toReversed())
    if ((await tryGit(root, ['merge-base', '--is-ancestor', commit, 'HEAD'])).exitCode === 0) return commit;
  return null;
}

async function isTree({ root }: Project, index: string, commit: string | null): Promise<boolean> {
  const env = { GIT_INDEX_FILE: index };
  if (commit === null) return (await git(root, ['ls-files', '--cached', '-z'], { env })) === '';
  return await gitAsks(root, ['diff-index', '--cached', '--quiet', commit], { env });
}

/** Entry by entry, for an index that holds something of the user's own. */
async function follow(project: Project, index: string, from: string | null, to: string): Promise<void> {
  const { root } = project;
  const env = { GIT_INDEX_FILE: index };
  const entries = new Map<string, string>();
  for (const line of (await git(root, ['ls-files', '--stage', '-z'], { env })).split('\0')) {
    const [meta, name] = split(line, '\t');
    if (name !== undefined) entries.set(name, meta);
  }
  const untouched = (await diffTrees(root, from, to)).filter(
    ({ path, old }) => entries.get(path) === (old === null ? undefined : `${old.mode} ${old.oid} 0`),
  );
  const lines = indexInfo(
    untouched.map(({ path, next }) => [path, next]),
    zeroLike(to),
  );
  const args = ['update-index', '-z', '--index-info'];
  const result = await tryGit(root, args, { env, input: lines });
  if (result.exitCode !== 0) throw gitFailure(result, args);
  await tryGit(root, ['update-index', '-q', '--refresh'], { env });
}

function split(text: string, at: string): [string, string?] {
  const i = text.indexOf(at);
  return i < 0 ? [text] : [text.slice(0, i), text.slice(i + 1)];
}
