import * as fs from 'node:fs/promises';
import path from 'node:path';
import { git, gitLine, tryGit } from '../git/run.ts';
import { gitFailure } from '../git/failures.ts';
import { currentBranch, type Project } from '../project/project.ts';
import { notPublished } from '../project/rescue.ts';
import { whyNotNow } from './busy.ts';
import { incompleteLine, withTrailers } from './message.ts';
import { bringIndexUp, noteIndexBehind } from './user-index.ts';
import { makeFolderIn } from '../system/disk.ts';

export type Remade =
  /** No version that waits holds a file above the limit. */
  | { outcome: 'nothing' }
  /** `tip`: the branch is there now. `paths`: what was left out. */
  | { outcome: 'remade'; tip: string; paths: string[] }
  /** Not now: a merge or rebase of the user's is under way, or somebody commits at this moment. */
  | { outcome: 'later'; reason: string };

/**
 * Makes the versions of the branch that wait to be published anew without the files above `limit` bytes, which the remote
 * would refuse, and with them every later save. The files stay in the folder, the old versions in the repository (see queue/rebuild.ts);
 * who saved them, when and with which words stays as it was.
 */
export async function leaveOut(project: Project, tip: string, limit: number): Promise<Remade> {
  const { root } = project;
  const not = await notPublished(project);
  const large = await largeBlobs(root, tip, not, limit);
  if (large.size === 0) return { outcome: 'nothing' };
  const reason = await whyNotNow(project);
  if (reason !== null) return { outcome: 'later', reason };
  const folder = path.join(project.gitDir, 'oxenvcs');
  const index = path.join(folder, 'leave-out-index');
  await makeFolderIn(folder);
  const order = ['rev-list', '--reverse', '--topo-order', '--parents', tip, ...not, '--'];
  const remade = new Map<string, string>();
  const paths = new Set<string>();
  for (const line of (await git(root, order)).split('\n').filter(Boolean)) {
    const [commit = '', ...before] = line.split(' ');
    const parents = before.map((parent) => remade.get(parent) ?? parent);
    const tree = await treeWithout(root, index, commit, parents[0] ?? null, large);
    for (const name of tree?.paths ?? []) paths.add(name);
    if (tree !== null || parents.some((parent, i) => parent !== before[i]))
      remade.set(commit, await rewritten(root, commit, parents, tree));
  }
  await fs.rm(index, { force: true });
  const next = remade.get(tip) ?? tip;
  const moved = await moveBranch(project, tip, next);
  return moved
    ? { outcome: 'remade', tip: next, paths: [...paths] }
    : { outcome: 'later', reason: 'another commit was made at the same time' };
}

/** Ids of the blobs above the limit that are not published. */
async function largeBlobs(root: string, tip: string, not: string[], limit: number): Promise<Set<string>> {
  // The filter leaves out blobs of that size and above.
  const filter = [`--filter=blob:limit=${limit + 1}`, '--filter-print-omitted', '--exclude-promisor-objects'];
  const listed = await git(root, ['rev-list', '--objects', '--no-object-names', ...filter, tip, ...not, '--']);
  return new Set([...listed.matchAll(/^~([0-9a-f]+)$/gm)].map(([, id = '']) => id));
}

interface Tree {
  id: string;
  paths: string[];
}

/** The tree of a version without them: each is what the version before had of it, if it had it. Null: it holds none. */
async function treeWithout(
  root: string,
  index: string,
  commit: string,
  before: string | null,
  large: Set<string>,
): Promise<Tree | null> {
  const paths: string[] = [];
  for (const entry of (await git(root, ['ls-tree', '-r', '-z', commit])).split('\0')) {
    const match = /^\d+ blob ([0-9a-f]+)\t(.+)$/s.exec(entry);
    if (match && large.has(match[1] ?? '')) paths.push(match[2] ?? '');
  }
  if (paths.length === 0) return null;
  const literal = { GIT_LITERAL_PATHSPECS: '1' };
  const had = before === null ? '' : await git(root, ['ls-tree', '-r', '-z', before, '--', ...paths], { env: literal });
  const kept = had
    .split('\0')
    .filter(Boolean)
    .map((entry) => entry.replace(/^(\d+) blob ([0-9a-f]+)\t/, '$1 $2 0\t'));
  const gone = paths.map((name) => `0 ${'0'.repeat(commit.length)} 0\t${name}`);
  const env = { GIT_INDEX_FILE: index };
  await git(root, ['read-tree', commit], { env });
  await git(root, ['update-index', '-z', '--index-info'], { env, input: [...gone, ...kept, ''].join('\0') });
  return { id: await gitLine(root, ['write-tree'], { env }), paths };
}

/** The commit with other parents and perhaps another tree; author, committer and their times stay. */
async function rewritten(root: string, commit: string, parents: string[], tree: Tree | null): Promise<string> {
  const text = (await tryGit(root, ['cat-file', 'commit', commit])).stdout.toString('latin1');
  const end = text.indexOf('\n\n');
  const [first = '', ...head] = text.slice(0, end).split('\n');
  // A signature is for what it was made for. It goes on in lines that begin with a space.
  const rest = head
    .join('\n')
    .replace(/^(parent [^\n]*\n)+/, '')
    .replace(/^gpgsig(-sha256)? [^\n]*(\n [^\n]*)*\n?/gm, '');
  const top = [
    tree === null ? first : `tree ${tree.id}`,
    ...parents.map((parent) => `parent ${parent}`),
    rest.replace(/\n$/, ''),
  ];
  // Byte by byte, whatever the encoding of the message.
  const lines = tree?.paths.map((name) => Buffer.from(incompleteLine(name)).toString('latin1')) ?? [];
  const input = Buffer.from(`${top.join('\n')}\n\n${withTrailers(text.slice(end + 2), lines)}`, 'latin1');
  return await gitLine(root, ['hash-object', '-w', '-t', 'commit', '--stdin'], { input });
}

/** By compare-and-swap; the user's index follows, so that their next commit does not bring the files back. */
async function moveBranch(project: Project, from: string, to: string): Promise<boolean> {
  const { root, config } = project;
  const isOut = (await currentBranch(project)) === config.branch;
  if (isOut) await noteIndexBehind(project, from, to);
  const args = [
    'update-ref',
    '-m',
    'files that the remote does not take were left out',
    `refs/heads/${config.branch}`,
    to,
    from,
  ];
  const result = await tryGit(root, args);
  if (result.exitCode !== 0 && !/cannot lock ref/.test(result.stderr)) throw gitFailure(result, args);
  await bringIndexUp(project);
  return result.exitCode === 0;
}
