import { randomUUID } from 'node:crypto';
import * as fs from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { profiles } from '../daw/profiles.ts';
import { gitFailure } from '../git/failures.ts';
import { gitLine, tryGit } from '../git/run.ts';
import { Failure } from '../model/failures.ts';
import { exists, ifMissing } from '../system/disk.ts';

/** A folder that may become a project: absolute, links resolved, writable. */
export interface Place {
  root: string;
  /** Is it the root of a work tree already (a linked worktree and a submodule count)? */
  isRepository: boolean;
}

/**
 * Finds the folder that is meant by `dir` and makes sure that a project may be there. What lies in a package
 * (`Song.logicx`) means the folder around the package.
 * Throws `folder-missing`, `not-a-folder`, `home-folder`, `root-folder`, `inside-repository`, `bare-repository`,
 * `folder-read-only`, `git-folder-gone`, `foreign-owner`.
 */
export async function findPlace(dir: string, home = os.homedir()): Promise<Place> {
  const root = await meantFolder(dir);
  if (path.dirname(root) === root) throw new Failure('root-folder', { dir: root });
  const realHome = await fs.realpath(home).catch(ifMissing(home));
  if (root === realHome) throw new Failure('home-folder', { dir: root, relation: 'is' });
  if (realHome.startsWith(root + path.sep)) throw new Failure('home-folder', { dir: root, relation: 'contains' });

  const outer = await workTreeAround(root);
  const isRepository = outer !== null && (await isSameFolder(outer, root));
  if (outer !== null && !isRepository) throw new Failure('inside-repository', { dir: root, outer });
  // Where a disk is mounted its root begins. A repository there is the user's own decision.
  if (!isRepository && (await isMountPoint(root))) throw new Failure('root-folder', { dir: root });
  await assertWritable(root);
  return { root, isRepository };
}

async function meantFolder(dir: string): Promise<string> {
  const real = await fs.realpath(dir).catch(ifMissing(null));
  if (real === null) throw new Failure('folder-missing', { dir: path.resolve(dir) });
  const isFolder = (await fs.stat(real)).isDirectory();
  const around = aroundPackage(real);
  if (around === null && !isFolder) throw new Failure('not-a-folder', { dir: real });
  // A package that is a repository by itself would be an empty hole in the one of the folder around it.
  if (around === null || (isFolder && (await exists(path.join(real, '.git'))))) return real;
  return around;
}

/** The folder around the outermost package on the way to `file`, or null where there is none. Pure. */
export function aroundPackage(file: string): string | null {
  const segments = file.split(path.sep);
  const at = segments.findIndex((segment, i) => i > 0 && isPackage(segment));
  if (at < 0) return null;
  return segments.slice(0, at).join(path.sep) || path.sep;
}

const packageEndings = profiles.flatMap(({ packages }) => packages ?? []);
const isPackage = (name: string): boolean => packageEndings.some((ending) => name.toLowerCase().endsWith(ending));

/** The root of the work tree that `dir` lies in, or null outside of any. */
async function workTreeAround(dir: string): Promise<string | null> {
  const args = ['rev-parse', '--is-bare-repository', '--is-inside-git-dir', '--absolute-git-dir'];
  const result = await tryGit(dir, args);
  if (result.exitCode !== 0) {
    const { stderr } = result;
    // With a colon: there is a `.git` file, but what it points to is not there.
    const gone = /^fatal: not a git repository: (.*)$/m.exec(stderr)?.[1];
    if (gone !== undefined) throw new Failure('git-folder-gone', { dir, target: gone });
    if (/^fatal: not a git repository/m.test(stderr)) return null;
    if (/^fatal: (detected dubious ownership|unsafe repository)/m.test(stderr))
      throw new Failure('foreign-owner', { dir });
    throw gitFailure(result, args);
  }
  const [isBare, isInside, gitDir = ''] = result.stdout.toString('utf8').split(/\r?\n/);
  if (isBare === 'true') throw new Failure('bare-repository', { dir });
  if (isInside === 'true') throw new Failure('inside-repository', { dir, outer: path.dirname(gitDir) });
  return path.resolve(await gitLine(dir, ['rev-parse', '--show-toplevel']));
}

/** Names differ by case and by Unicode form between what git says and what the file system says; the inode does not. */
async function isSameFolder(a: string, b: string): Promise<boolean> {
  const [one, other] = await Promise.all([fs.stat(a, { bigint: true }), fs.stat(b, { bigint: true })]);
  return one.ino === other.ino && one.dev === other.dev;
}

async function isMountPoint(dir: string): Promise<boolean> {
  const [here, above] = await Promise.all([fs.stat(dir), fs.stat(path.dirname(dir))]);
  return here.dev !== above.dev;
}

/**
 * Asks by doing: for root, and on network drives, the mode bits tell nothing. With a folder, for Git keeps no empty ones
 * should it be left behind.
 */
async function assertWritable(dir: string): Promise<void> {
  const probe = path.join(dir, `.oxenvcs-${randomUUID()}.tmp`);
  try {
    await fs.mkdir(probe);
    await fs.rmdir(probe);
  } catch (cause) {
    const { code } = cause as NodeJS.ErrnoException;
    const reasons: Record<string, string> = { EROFS: 'the disk is read-only', ENOSPC: 'the disk is full' };
    const detail = reasons[code ?? ''] ?? 'its rights do not allow it';
    if (code === undefined || !['EACCES', 'EPERM', 'EROFS', 'ENOENT'].includes(code)) throw cause;
    throw new Failure('folder-read-only', { dir, detail }, cause);
  }
}
