import { randomUUID } from 'node:crypto';
import * as fs from 'node:fs/promises';
import path from 'node:path';
import { git, gitLine, redact, tryGit } from '../git/run.ts';
import { Failure } from '../model/failures.ts';
import { exists, ifMissing } from '../system/disk.ts';
import { startBranch } from './repository.ts';

export interface Adoption {
  root: string;
  gitDir: string;
  /** The remote's name and address. */
  remote: string;
  url: string;
  branch: string;
}

/**
 * Takes the remote's history as the base of a folder that has none: no second, unrelated history is made. Files that
 * are missing here come from the remote; a file that is there with other bytes is never overwritten.
 * Throws `remote-has-history` where one is, and what the fetch can throw.
 */
export async function adoptHistory({ root, gitDir, remote, url, branch }: Adoption): Promise<string> {
  const tracking = `refs/remotes/${remote}/${branch}`;
  // A connection on which nothing moves for half a minute is dead.
  const patience = ['-c', 'http.lowSpeedLimit=1', '-c', 'http.lowSpeedTime=30'];
  const refspec = `+refs/heads/${branch}:${tracking}`;
  await git(root, [...patience, 'fetch', '--quiet', '--no-tags', '--no-write-fetch-head', remote, refspec]);
  const tip = await gitLine(root, ['rev-parse', tracking]);

  const index = path.join(gitDir, `oxenvcs-adopt-${randomUUID()}`);
  const env = { GIT_INDEX_FILE: index };
  try {
    await git(root, ['read-tree', tip], { env });
    const missing = await filesMissing(root, env, { url, branch });
    // Without --force: git itself refuses to overwrite anything.
    if (missing.length > 0)
      await git(root, ['checkout-index', '-q', '-u', '-z', '--stdin'], { env, input: missing.join('\0') });
    await git(root, ['update-ref', '-m', `adopted from ${redact(url)}`, `refs/heads/${branch}`, tip, '']);
    await startBranch(root, branch);
    await fs.rename(index, path.join(gitDir, 'index'));
  } finally {
    await fs.rm(index, { force: true });
  }
  return tip;
}

/** The files of the index that are not in the folder. Throws if one is there with other content, or something else in its place. */
async function filesMissing(
  root: string,
  env: { GIT_INDEX_FILE: string },
  { url, branch }: Pick<Adoption, 'url' | 'branch'>,
): Promise<string[]> {
  const refuse = (file: string) => new Failure('remote-has-history', { remote: redact(url), branch, file });
  // Unlike a comparison of bytes this goes through the filters of the attributes, as git status would.
  await tryGit(root, ['update-index', '-q', '--refresh'], { env });
  const fields = (await git(root, ['diff-files', '--name-status', '-z'], { env })).split('\0');
  const missing: string[] = [];
  for (let i = 0; i + 1 < fields.length; i += 2) {
    const name = fields[i + 1] ?? '';
    // One that is there differs; one that is missing may have something else in its place.
    const way = await standingInTheWay(root, name);
    if (way !== null) throw refuse(way);
    missing.push(name);
  }
  return missing;
}

/** A folder where a file should be, or a file (or link) where one of its folders should be. */
async function standingInTheWay(root: string, name: string): Promise<string | null> {
  if (await exists(path.join(root, name))) return name;
  for (let folder = path.posix.dirname(name); folder !== '.'; folder = path.posix.dirname(folder)) {
    const stat = await fs.lstat(path.join(root, folder)).catch(ifMissing(null));
    if (stat !== null && !stat.isDirectory()) return folder;
  }
  return null;
}
