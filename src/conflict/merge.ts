import { git, gitLine } from '../git/run.ts';
import { indexInfo, type TreeEntry, zeroLike } from '../git/tree.ts';
import { listed } from '../model/words.ts';
import { withIndex } from '../project/own-index.ts';
import type { Project } from '../project/project.ts';
import { authorsOf, type Parted } from './parted.ts';

/** A join of two histories that have nothing in common: built on the team's side, in an index of our own; no file moves. */
export async function joinCommit(project: Project, parted: Parted): Promise<string> {
  const { root } = project;
  const { ours, theirs } = parted;
  const names = new Set([...(await authorsOf(root, ours, [theirs])), ...(await authorsOf(root, theirs, [ours]))]);
  const tree = await treeOf(project, theirs, parted.compared.entries);
  return await mergeCommit(project, { tree, parents: [theirs, ours], message: `Work of ${listed([...names])} joined` });
}

/** The tree of `base` with these entries (null: nothing) in it. */
export async function treeOf(
  project: Project,
  base: string,
  entries: ReadonlyMap<string, TreeEntry | null>,
): Promise<string> {
  const { root } = project;
  return await withIndex(project, async (env) => {
    await git(root, ['read-tree', base], { env });
    // What goes makes room first: a file may come where a folder was.
    const sorted = [...entries].toSorted(([, a], [, b]) => Number(a !== null) - Number(b !== null));
    const input = indexInfo(sorted, zeroLike(base));
    await git(root, ['update-index', '-z', '--index-info'], { env, input });
    return await gitLine(root, ['write-tree'], { env });
  });
}

/**
 * The first parent is the team's branch. It has the time of its later parent, so that one made again after a crash, or
 * by another process, is the same commit.
 */
export async function mergeCommit(
  { root }: Project,
  { tree, parents, message }: { tree: string; parents: [theirs: string, ours: string]; message: string },
): Promise<string> {
  const times = await git(root, ['show', '--no-patch', '--format=%ct', ...parents, '--']);
  const date = `@${Math.max(...times.split('\n').map(Number))} +0000`;
  const env = { GIT_AUTHOR_DATE: date, GIT_COMMITTER_DATE: date };
  const args = ['commit-tree', ...parents.flatMap((parent) => ['-p', parent]), '-F', '-', tree];
  return await gitLine(root, args, { env, input: `${message}\n` });
}
