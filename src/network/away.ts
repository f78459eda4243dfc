import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { redact, tryGit } from '../git/run.ts';
import { Failure } from '../model/failures.ts';
import { exists } from '../system/disk.ts';
import { hasAnswered } from './tries.ts';

/** A project's remote: where git is called for it, the published branch, and its address (null: the project has none). */
export interface RemoteOf {
  root: string;
  branch: string;
  remote: { url: string | null };
}

/**
 * A remote that only is away for now looks to git like one whose address is wrong: a folder (a NAS, an external disk) that
 * is not there now, or that came back in the moment of the try; a network that answers everything with its own login page.
 * Gives the failure to go on with.
 */
export async function away(failure: Failure, { root, remote: { url } }: Omit<RemoteOf, 'branch'>): Promise<Failure> {
  if (url === null || !['remote-not-found', 'remote-misconfigured'].includes(failure.row)) return failure;
  const folder = localFolder(url);
  if (folder !== null && failure.row === 'remote-not-found') return await awayFolder(failure, root, folder);
  // An address that was wrong has never worked.
  if (!(await hasAnswered(root, url))) return failure;
  const detail = failure.row === 'remote-not-found' ? 'there is no Git repository' : String(failure.details['detail']);
  return new Failure('not-the-remote', { remote: redact(url), detail }, failure);
}

async function awayFolder(failure: Failure, root: string, folder: string): Promise<Failure> {
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
