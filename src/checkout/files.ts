import * as fs from 'node:fs/promises';
import path from 'node:path';
import { gitFailure } from '../git/failures.ts';
import { git, tryGit } from '../git/run.ts';
import type { TreeChange } from '../git/tree.ts';
import { Failure } from '../model/failures.ts';
import { withIndex } from '../project/own-index.ts';
import type { Project } from '../project/project.ts';
import { makeFolder } from '../project/state.ts';
import { flushFolder, flushTree, freeBytes, ifMissing } from '../system/disk.ts';

/** Where new files wait until all of them are there: on the disk of the project, ignored by git and by the watcher. */
const waiting = (root: string): string => path.join(root, '.oxenvcs', 'incoming');

/**
 * Writes files of a version (their paths) beside the project, through git's filters, and flushes them: what takes long, or
 * needs room, is done before any file of the project is touched. Throws `disk-full`.
 */
export async function prepare(project: Project, commit: string, paths: readonly string[]): Promise<void> {
  const { root, gitDir } = project;
  const folder = waiting(root);
  await discard(root);
  if (paths.length === 0) return;
  await makeFolder(folder);
  await withIndex(project, async (env) => {
    // The whole version, since its attributes say how each file is to be written.
    await git(root, ['read-tree', commit], { env });
    const args = ['checkout-index', '-z', '--stdin'];
    const there = { ...env, GIT_DIR: gitDir, GIT_WORK_TREE: folder };
    const result = await tryGit(folder, args, { env: there, input: paths.join('\0') });
    if (result.exitCode === 0) return;
    // Of a full disk git says here only that it was "unable to write file".
    if (/^error: unable to write file /m.test(result.stderr) && (await freeBytes(root)) < tight)
      throw new Failure('disk-full', { detail: 'the team’s versions do not fit' }, gitFailure(result, args));
    throw gitFailure(result, args);
  });
  await flushTree(folder);
}

/** With less than this left, a file that cannot be written is one that does not fit (bytes). A guess: a few blocks. */
const tight = 1_048_576;

export const discard = async (root: string): Promise<void> =>
  await fs.rm(waiting(root), { recursive: true, force: true });

/**
 * Removes what is gone and puts what was prepared in its place: each file is the old one or the new one at any moment,
 * also after a power cut. Nothing but renames, so it takes milliseconds.
 */
export async function place(root: string, changes: readonly TreeChange[]): Promise<void> {
  const folders = new Set<string>();
  const gone = changes.filter(({ next }) => next === null);
  for (const { path: name } of gone) {
    await fs.unlink(path.join(root, name)).catch(ifMissing(undefined));
    folders.add(path.posix.dirname(name));
  }
  // The deepest first: one folder may hold only the other.
  for (const folder of [...folders].toSorted((a, b) => b.length - a.length)) await removeEmpty(root, folder);
  for (const { path: name, next } of changes) {
    if (next === null) continue;
    const file = path.join(root, name);
    await fs.mkdir(path.dirname(file), { recursive: true });
    await fs.rename(path.join(waiting(root), name), file);
    folders.add(path.posix.dirname(name));
  }
  for (const folder of folders) await flushFolder(path.join(root, folder));
}

async function removeEmpty(root: string, folder: string): Promise<void> {
  for (let name = folder; name !== '.'; name = path.posix.dirname(name)) {
    const removed = await fs.rmdir(path.join(root, name)).then(
      () => true,
      (error: NodeJS.ErrnoException) => error.code === 'ENOENT',
    );
    if (!removed) return; // there is something else in it
  }
}
