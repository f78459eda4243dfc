import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { tryGit } from '../git/run.ts';
import { Failure } from '../model/failures.ts';
import { exists } from '../system/disk.ts';

/** A project's remote: where git is called for it, the published branch, and its address (null: the project has none). */
export interface RemoteOf {
  root: string;
  branch: string;
  remote: { url: string | null };
}

/**
 * A remote that only is away for now looks to git like one whose address is wrong: a folder (a NAS, an external disk) that
 * is not there now, or that came back in the moment of the try. Gives the failure to go on with.
 */
export async function away(failure: Failure, { root, remote: { url } }: Omit<RemoteOf, 'branch'>): Promise<Failure> {
  const folder = url === null ? null : localFolder(url);
  if (failure.row !== 'remote-not-found' || folder === null) return failure;
  // A disk that was pulled out under its file system gives other errors than "no such file".
  if (!(await exists(folder).catch(() => false)))
    return new Failure(
      'offline',
      { detail: `there is no ${folder} now; it may be a disk that is not plugged in` },
      failure,
    );
  const isThere = (await tryGit(root, ['ls-remote', '--heads', '--quiet', '--', folder])).exitCode === 0;
  return isThere ? new Failure('offline', { detail: `${folder} was not there a moment ago` }, failure) : failure;
}

/** The folder of a remote that is one: a path or a `file://` address. */
export function localFolder(url: string): string | null {
  if (!url.startsWith('file://')) return path.isAbsolute(url) ? url : null;
  // `file://nas/song.git` has a host, which only Windows has folders for.
  return URL.canParse(url) && (process.platform === 'win32' || new URL(url).host === '') ? fileURLToPath(url) : null;
}
