import { randomUUID } from 'node:crypto';
import * as fs from 'node:fs/promises';
import path from 'node:path';
import * as v from 'valibot';
import { gitFailure } from '../git/failures.ts';
import { git, gitAsks, tryGit } from '../git/run.ts';
import { diffTrees, indexInfo, type TreeEntry, zeroLike } from '../git/tree.ts';
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
  /** The commit that the user's index stood on; null: none. */
  from: v.nullable(v.string()),
  /** Where HEAD was about to go since, or was; after a crash some may never have become HEAD. */
  to: v.array(v.string()),
});
type Noted = v.InferOutput<typeof Journal>;

const journalFile = (project: Project): string => path.join(project.gitDir, 'oxenvcs', 'index-behind.json');

/** Before HEAD moves: from which commit to which the user's index will have to follow. */
export async function noteIndexBehind(project: Project, from: string | null, to: string): Promise<void> {
  const noted = await readRecord(project, journalFile(project), Journal);
  // It is behind still, whatever the user has committed on top.
  const behind = noted.state === 'ok' ? noted.value : { from, to: [] };
  const since = [...behind.to, from].filter((commit) => commit !== null && commit !== behind.from && commit !== to);
  const journal = { from: behind.from, to: [...new Set(since), to] };
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
    else
      await changeIndex(project, lock, async (copy) => {
        if (made !== undefined && (await isTree(project, copy, noted.value.from))) await copyIndex(made, copy);
        else if (!(await follow(project, copy, noted.value))) return false;
        else await tryGit(project.root, ['update-index', '-q', '--refresh'], { env: { GIT_INDEX_FILE: copy } });
        return true;
      });
  } finally {
    await lock.release();
  }
  await removeDurable(journalFile(project));
  return true;
}

/** Whoever holds index.lock for a moment is asked again after this, ms. */
const momentMs = 50;

/**
 * For the hook pre-commit: brings up what is about to be committed. `index`: its file, GIT_INDEX_FILE. What is noted stays: whoever makes
 * versions may be about to note another one, and has the rest to do.
 */
export async function bringUpForCommit(project: Project, index: string, signal: AbortSignal): Promise<void> {
  const noted = await readRecord(project, journalFile(project), Journal);
  if (noted.state !== 'ok') return;
  // `git commit -a` holds the lock itself, and its file is what becomes the index.
  if (path.basename(index) === 'index.lock') await follow(project, index, noted.value);
  // That of `git commit FILE` begins at HEAD.
  if (path.basename(index) !== 'index') return;
  let lock = await takeIndexLock(project.gitDir);
  for (; lock === null; lock = await takeIndexLock(project.gitDir)) {
    signal.throwIfAborted();
    await new Promise((on) => setTimeout(on, momentMs));
  }
  try {
    await changeIndex(project, lock, async (copy) => await follow(project, copy, noted.value));
  } finally {
    await lock.release();
  }
}

/** Puts in the place of the user's index what `change` makes of a copy of it; `change` gives false where it is to stay. */
async function changeIndex(
  project: Project,
  lock: IndexLock,
  change: (copy: string) => Promise<boolean>,
): Promise<void> {
  const copy = path.join(project.gitDir, 'oxenvcs', `user-index-${randomUUID()}`);
  try {
    await copyIndex(path.join(project.gitDir, 'index'), copy).catch(ifMissing(undefined));
    if (await change(copy)) await lock.replace(copy);
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
async function lastMade({ root }: Project, { to }: Noted): Promise<string | null> {
  for (const commit of to.toReversed())
    if (await isSo(root, ['merge-base', '--is-ancestor', commit, 'HEAD'])) return commit;
  return null;
}

/** Of what was pruned git says no, with an error. One that was killed has said nothing: what is noted must not be taken for done. */
async function isSo(root: string, args: string[]): Promise<boolean> {
  const result = await tryGit(root, args);
  if (result.exitCode === null) throw gitFailure(result, args);
  return result.exitCode === 0;
}

async function isTree({ root }: Project, index: string, commit: string | null): Promise<boolean> {
  const env = { GIT_INDEX_FILE: index };
  if (commit === null) return (await git(root, ['ls-files', '--cached', '-z'], { env })) === '';
  return await gitAsks(root, ['diff-index', '--cached', '--quiet', commit], { env });
}

/**
 * Entry by entry, for an index that holds something of the user's own: what no version noted has. Where no version came to be there is
 * nothing to follow: false.
 */
async function follow(project: Project, index: string, noted: Noted): Promise<boolean> {
  const { root } = project;
  const to = await lastMade(project, noted);
  if (to === null) return false;
  const env = { GIT_INDEX_FILE: index };
  const entries = new Map<string, string>();
  for (const line of (await git(root, ['ls-files', '--stage', '-z'], { env })).split('\0')) {
    const [meta, name] = split(line, '\t');
    if (name !== undefined) entries.set(name, meta);
  }
  const behind = new Map<string, TreeEntry | null>();
  for (const before of [noted.from, ...noted.to.slice(0, noted.to.indexOf(to))]) {
    // It may have been pruned since.
    if (before !== null && !(await isSo(root, ['cat-file', '-e', `${before}^{tree}`]))) continue;
    for (const { path, old, next } of await diffTrees(root, before, to))
      if (entries.get(path) === (old === null ? undefined : `${old.mode} ${old.oid} 0`)) behind.set(path, next);
  }
  const lines = indexInfo(behind, zeroLike(to));
  const args = ['update-index', '-z', '--index-info'];
  const result = await tryGit(root, args, { env, input: lines });
  if (result.exitCode !== 0) throw gitFailure(result, args);
  return true;
}

function split(text: string, at: string): [string, string?] {
  const i = text.indexOf(at);
  return i < 0 ? [text] : [text.slice(0, i), text.slice(i + 1)];
}
