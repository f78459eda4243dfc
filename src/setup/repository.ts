import { createHash } from 'node:crypto';
import * as fs from 'node:fs/promises';
import path from 'node:path';
import { git, gitAsks, gitLine, tryGit } from '../git/run.ts';
import { Failure } from '../model/failures.ts';
import { exists } from '../system/disk.ts';
import { dataFolder } from '../system/places.ts';
import { fileName } from './vault.ts';

/** Is it a name that a branch can have? Throws `usage`. */
export async function assertBranchName(root: string, name: string): Promise<void> {
  const result = await tryGit(root, ['check-ref-format', '--branch', name]);
  // Git also takes `@{-1}`, which means another name.
  if (result.exitCode === 0 && result.stdout.toString('utf8') === `${name}\n`) return;
  throw new Failure('usage', { detail: `${JSON.stringify(name)} cannot be the name of a branch`, command: 'init' });
}

/**
 * Makes the repository of a new project; gives its Git folder. In a folder that a service copies between computers the
 * Git folder lies outside, in the user's data folder, for such a service damages it.
 */
export async function createRepository(root: string, branch: string, service: string | null): Promise<string> {
  const outside = service === null ? [] : ['--separate-git-dir', await outsideFolder(root)];
  await git(root, ['init', '--quiet', '-b', branch, ...outside]);
  return await gitLine(root, ['rev-parse', '--absolute-git-dir']);
}

/** The same for the same folder: after the `.git` file was lost, the history is found again. */
export async function outsideFolder(root: string): Promise<string> {
  const folder = path.join(dataFolder(), 'repositories');
  await fs.mkdir(folder, { recursive: true });
  const id = createHash('sha256').update(root).digest('hex').slice(0, 8);
  return path.join(folder, `${fileName(path.basename(root))}-${id}.git`);
}

/** Undoes `createRepository` as long as nothing was committed. */
export async function removeRepository(root: string, gitDir: string): Promise<void> {
  await fs.rm(path.join(root, '.git'), { recursive: true, force: true });
  await fs.rm(gitDir, { recursive: true, force: true });
}

/** Does the repository hold nothing yet: no commit, nothing staged? */
export async function isEmptyRepository(root: string, gitDir: string): Promise<boolean> {
  if (!(await hasNoCommits(root))) return false;
  return !(await exists(path.join(gitDir, 'index'))) || (await git(root, ['ls-files', '-z'])) === '';
}

export async function hasNoCommits(root: string): Promise<boolean> {
  return (await git(root, ['for-each-ref', '--count=1', 'refs/heads'])) === '';
}

/** An earlier `init` was cut off after the commit, before its index was there; so all would look deleted. */
export async function mendIndex(root: string, gitDir: string): Promise<void> {
  if ((await hasNoCommits(root)) || (await exists(path.join(gitDir, 'index')))) return;
  if ((await tryGit(root, ['rev-parse', '--verify', '--quiet', 'HEAD'])).exitCode === 0)
    await git(root, ['read-tree', 'HEAD']);
}

/** Checks out a branch that has no commit yet. */
export async function startBranch(root: string, branch: string): Promise<void> {
  await git(root, ['symbolic-ref', 'HEAD', `refs/heads/${branch}`]);
}

/** So that a plain `git pull` and `git push` know where to. */
export async function followRemote(root: string, branch: string, remote: string): Promise<void> {
  if (await gitAsks(root, ['config', '--local', '--get', `branch.${branch}.remote`])) return;
  await git(root, ['config', '--local', `branch.${branch}.remote`, remote]);
  await git(root, ['config', '--local', `branch.${branch}.merge`, `refs/heads/${branch}`]);
}
