import { randomUUID } from 'node:crypto';
import * as fs from 'node:fs/promises';
import path from 'node:path';
import { git, gitLine, tryGit } from '../git/run.ts';
import { gitFailure, sortFailure } from '../git/failures.ts';
import type { Committed, Save } from '../model/save.ts';
import type { Project } from '../project/project.ts';
import { whyNotNow } from './busy.ts';
import { type Difference, differencesIn, saveMessage } from './message.ts';
import { noteTimes } from './media-times.ts';
import { stage } from './stage.ts';
import { bringIndexUp, copyIndex, noteIndexBehind } from './user-index.ts';

/**
 * Makes one version of a save, on the branch that is checked out. The user's index and files stay as they are, but for
 * the entries of what was committed. When it says `committed`, the version is on the disk.
 */
export async function commitSave(project: Project, save: Save): Promise<Committed> {
  const { root } = project;
  const reason = await whyNotNow(project);
  if (reason !== null) return { outcome: 'later', reason };
  await bringIndexUp(project);
  const head = await headCommit(root);
  const folder = path.join(project.gitDir, 'oxenvcs');
  const index = path.join(folder, `index-${randomUUID()}`);
  await fs.mkdir(folder, { recursive: true });
  try {
    await startIndex(project, index, head);
    const moved = await stage(root, index, save);
    if (moved.length > 0) return { outcome: 'moved', paths: moved };
    const tree = await gitLine(root, ['write-tree'], { env: { GIT_INDEX_FILE: index } });
    const differences = await differencesOf(root, head, tree);
    if (differences.length === 0) return { outcome: 'nothing' };
    const sessions = save.captured.map(({ path }) => path);
    const message = saveMessage(differences, sessions, save.incomplete);
    const parents = head === null ? [] : ['-p', head];
    const commit = await gitLine(root, ['commit-tree', ...parents, '-F', '-', tree], { input: message });
    return await moveHead(project, head, commit, message, index);
  } finally {
    await fs.rm(index, { force: true });
    await fs.rm(`${index}.lock`, { force: true });
  }
}

/** The commit that is checked out, or null before the first. */
async function headCommit(root: string): Promise<string | null> {
  const result = await tryGit(root, ['rev-parse', '--verify', '--quiet', 'HEAD^{commit}']);
  if (result.exitCode === 0) return result.stdout.toString('utf8').trim();
  if (result.exitCode === 1) return null;
  throw gitFailure(result, ['rev-parse', 'HEAD']);
}

/**
 * Our index starts as HEAD. Where the user has staged nothing a copy of theirs is that, and it knows the stats of every
 * file, so that nothing has to be read again.
 */
async function startIndex(project: Project, index: string, head: string | null): Promise<void> {
  const { root, gitDir } = project;
  const env = { GIT_INDEX_FILE: index };
  if (head === null) {
    await git(root, ['read-tree', '--empty'], { env });
    return;
  }
  const copied = await copyIndex(path.join(gitDir, 'index'), index).then(
    () => true,
    () => false, // there is none yet, or it is being replaced: HEAD will do
  );
  if (copied && (await tryGit(root, ['diff-index', '--cached', '--quiet', head], { env })).exitCode === 0) return;
  await fs.rm(index, { force: true });
  await git(root, ['read-tree', head], { env });
}

async function differencesOf(root: string, head: string | null, tree: string): Promise<Difference[]> {
  const before = head ?? (await gitLine(root, ['hash-object', '-w', '-t', 'tree', '--stdin'], { input: '' }));
  return differencesIn(await git(root, ['diff-tree', '-r', '-z', '--no-renames', '--name-status', before, tree]));
}

async function moveHead(
  project: Project,
  head: string | null,
  commit: string,
  message: string,
  index: string,
): Promise<Committed> {
  await noteIndexBehind(project, head, commit);
  const subject = message.split('\n', 1)[0] ?? '';
  // The old value makes it a compare-and-swap: a commit that the user made meanwhile is never passed over.
  const args = ['update-ref', '-m', `commit: ${subject}`, 'HEAD', commit, head ?? ''];
  const result = await tryGit(project.root, args);
  if (result.exitCode !== 0) {
    if (['disk-full', 'no-rights'].includes(sortFailure(result).row)) throw gitFailure(result, args);
    return { outcome: 'later', reason: 'another commit was made at the same time' };
  }
  await bringIndexUp(project, { made: index });
  await noteTimes(project);
  return { outcome: 'committed', commit };
}
