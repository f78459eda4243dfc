import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { Failure } from '../model/failures.ts';
import { exists } from '../system/disk.ts';

/**
 * A remote in a folder (a NAS, an external disk) that is not there now is offline, not misconfigured: git says "does not
 * appear to be a git repository" of both. Gives the failure to go on with.
 */
export async function unplugged(failure: Failure, url: string | null): Promise<Failure> {
  const folder = url === null ? null : localFolder(url);
  if (failure.row !== 'remote-not-found' || folder === null || (await exists(folder))) return failure;
  return new Failure(
    'offline',
    { detail: `there is no ${folder} now; it may be a disk that is not plugged in` },
    failure,
  );
}

/** The folder of a remote that is one: a path or a `file://` address. */
function localFolder(url: string): string | null {
  if (url.startsWith('file://')) return fileURLToPath(url);
  return path.isAbsolute(url) ? url : null;
}
