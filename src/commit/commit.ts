import { randomUUID } from 'node:crypto';
import * as fs from 'node:fs/promises';
import path from 'node:path';
import { git, gitLine, tryGit } from '../git/run.ts';
import { gitFailure, sortFailure } from '../git/failures.ts';
import type { TreeEntry } from '../git/tree.ts';
import { asFailure } from '../model/failures.ts';
import type { Captured, Committed, FileStat, Save } from '../model/save.ts';
import type { Project } from '../project/project.ts';
import { statOf } from '../system/stat.ts';
import { detached, underWay } from './busy.ts';
import { blobsThere } from './capture.ts';
import { noteTimes } from './media-times.ts';
import { type Difference, differencesIn, incompleteLine, saveMessage, withTrailers } from './message.ts';
import { refresh, stage } from './stage.ts';
import { treeWith } from './tree.ts';
import { bringIndexUp, copyIndex, noteIndexBehind } from './user-index.ts';
import { makeFolderIn } from '../system/disk.ts';

/** What was committed: its branch, in full (`refs/heads/main`), and the first line of its message. */
export interface Made {
  commit: string;
  branch: string;
  subject: string;
}

/**
 * Makes one version of a save, on the branch that is checked out. The user's index and files stay as they are, but for
 * the entries of what was committed. `made` is called as soon as the version is on the disk; the user's index follows
 * after it, which takes as long again and keeps nobody waiting. `parentOf` gives the commit that it is made on; HEAD,
 * unless given. Throws `busy` when no time is left for its takes.
 */
export async function commitSave(
  project: Project,
  save: Save,
  made: (version: Made) => Promise<void> = async () => undefined,
  parentOf: (head: string) => Promise<string> = async (head) => head,
  noTimeLeft?: AbortSignal,
): Promise<Committed> {
  const { root } = project;
  const [head, paths] = await Promise.all([headOf(root), lostAmong(root, save.captured)]);
  const reason = (await underWay(project)) ?? (head.branch === null ? detached : null);
  if (reason !== null || head.branch === null) return { outcome: 'later', reason: reason ?? detached };
  if (paths.length > 0) return { outcome: 'lost', paths };
  await bringIndexUp(project);
  const folder = path.join(project.gitDir, 'oxenvcs');
  const index = path.join(folder, `index-${randomUUID()}`);
  await makeFolderIn(folder);
  // Most saves are of the session alone: an index of thousands of files, read and written twice, can come after them.
  const parent = head.commit === null ? null : parentOf(head.commit);
  parent?.catch(() => undefined); // it is awaited in its place
  try {
    const alone =
      save.settled.length === 0 && head.tree !== null ? await treeWith(root, head.tree, filesOf(save)) : null;
    let over = alone ? null : await startIndex(project, index, head.commit);
    const moved = alone ? [] : await stage(root, index, save, noTimeLeft);
    if (moved.length > 0) return { outcome: 'moved', paths: moved };
    const tree = alone?.tree ?? (await gitLine(root, ['write-tree'], { env: { GIT_INDEX_FILE: index } }));
    if (tree === head.tree) return { outcome: 'nothing' };
    const differences = alone?.differences ?? (await differencesOf(root, head.tree, tree));
    if (differences.length === 0) return { outcome: 'nothing' };
    const sessions = save.captured.map(({ path }) => path);
    const lacking = (save.leftOut ?? []).map(incompleteLine);
    const message = withTrailers(saveMessage(differences, sessions, save.incomplete, save.toFollow), lacking);
    const parents = parent === null ? [] : ['-p', await parent];
    const commit = await gitLine(root, ['commit-tree', ...parents, '-F', '-', tree], { input: message });
    const subject = message.split('\n', 1)[0] ?? '';
    if (!(await moveHead(project, head.commit, commit, subject)))
      return { outcome: 'later', reason: 'another commit was made at the same time' };
    try {
      await made({ commit, branch: head.branch, subject });
    } finally {
      await follow(async () => {
        if (alone) {
          over = await startIndex(project, index, head.commit);
          await stage(root, index, save);
        }
        await refresh(root, { GIT_INDEX_FILE: index }, sessions);
        await bringIndexUp(project, { made: index, over });
        await noteTimes(project);
      });
    }
    return { outcome: 'committed', commit };
  } finally {
    await fs.rm(index, { force: true });
    await fs.rm(`${index}.lock`, { force: true });
  }
}

/** The version stands. Where there is no room for the user's index it stays behind, as is noted, and follows at the next try. */
async function follow(work: () => Promise<void>): Promise<void> {
  try {
    await work();
  } catch (error) {
    if (asFailure(error).row !== 'disk-full') throw error;
  }
}

/** `git gc --prune=now` takes what no ref leads to yet; a tree would name it all the same, and the version could never be sent. */
async function lostAmong(root: string, captured: readonly Captured[]): Promise<string[]> {
  const there = await blobsThere(root, captured);
  return captured.flatMap(({ path, oid }) => (there.has(oid) ? [] : [path]));
}

const filesOf = ({ captured, deleted }: Save): Map<string, TreeEntry | null> =>
  new Map([
    ...deleted.map((path) => [path, null] as const),
    ...captured.map(({ path, mode, oid }) => [path, { mode, oid }] as const),
  ]);

/** What is checked out. Without a commit yet there is no tree either; no branch: an older version is checked out. */
interface Head {
  commit: string | null;
  tree: string | null;
  branch: string | null;
}

async function headOf(root: string): Promise<Head> {
  const args = ['rev-parse', 'HEAD', 'HEAD^{tree}', '--symbolic-full-name', 'HEAD'];
  const result = await tryGit(root, args);
  if (result.exitCode === 0) {
    const [commit = '', tree = '', branch = ''] = result.stdout.toString('utf8').split('\n');
    return { commit, tree, branch: branch === 'HEAD' ? null : branch };
  }
  if (!/ambiguous argument 'HEAD'/.test(result.stderr)) throw gitFailure(result, args, undefined, root);
  return { commit: null, tree: null, branch: await gitLine(root, ['symbolic-ref', 'HEAD']) };
}

/**
 * Our index starts as HEAD. Where the user has staged nothing a copy of theirs is that, and it knows the stats of every
 * file, so that nothing has to be read again; gives how theirs lay then, else null.
 */
async function startIndex(project: Project, index: string, head: string | null): Promise<FileStat | null> {
  const { root, gitDir } = project;
  const env = { GIT_INDEX_FILE: index };
  if (head === null) {
    await git(root, ['read-tree', '--empty'], { env });
    return null;
  }
  const users = path.join(gitDir, 'index');
  const over = await statOf(users);
  const copied = await copyIndex(users, index).then(
    () => true,
    () => false, // there is none yet, or it is being replaced: HEAD will do
  );
  if (copied && (await tryGit(root, ['diff-index', '--cached', '--quiet', head], { env })).exitCode === 0) return over;
  await fs.rm(index, { force: true });
  await git(root, ['read-tree', head], { env });
  return null;
}

async function differencesOf(root: string, before: string | null, tree: string): Promise<Difference[]> {
  const from = before ?? (await gitLine(root, ['hash-object', '-w', '-t', 'tree', '--stdin'], { input: '' }));
  return differencesIn(await git(root, ['diff-tree', '-r', '-z', '--no-renames', '--name-status', from, tree]));
}

/** False: a commit was made meanwhile. */
async function moveHead(project: Project, head: string | null, commit: string, subject: string): Promise<boolean> {
  await noteIndexBehind(project, head, commit);
  // The old value makes it a compare-and-swap: a commit that the user made meanwhile is never passed over.
  const args = ['update-ref', '-m', `commit: ${subject}`, 'HEAD', commit, head ?? ''];
  const result = await tryGit(project.root, args);
  if (result.exitCode !== 0 && ['disk-full', 'no-rights'].includes(sortFailure(result).row))
    throw gitFailure(result, args);
  return result.exitCode === 0;
}
