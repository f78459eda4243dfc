import * as fs from 'node:fs/promises';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { exists, ifMissing } from '../system/disk.ts';
import { networkDrive } from '../system/network-drive.ts';
import { dataFolder } from '../system/places.ts';

/**
 * A git that is killed, or loses its power, while it moves a ref leaves the ref's lock file behind, and no git moves that
 * ref again until a person deletes the file. Git holds such a lock for milliseconds; one that has not changed for so
 * long, watched on a clock that nobody sets and that stands still while the computer sleeps, is nobody's. ms.
 */
const abandonedMs = 10_000;
const lookMs = 100;
/** So old a lock on a shared drive is nobody's, whatever its clock says; the time after which git gives up gc's, ms. */
const oldMs = 12 * 3_600_000;

/** A ref's own lock, HEAD's, or that of all packed refs. Never `index.lock`, which git holds while a person writes a message. */
const refLock =
  /^(remote: )?(?:fatal|error): (?:.*: )?Unable to create '(.*(?:\/refs\/.+|\/HEAD|\/packed-refs)\.lock)': File exists\. *$/m;

/**
 * Waits until the lock that git has stumbled over is gone; one that stays as it is for too long is removed. True: it is
 * gone, git may be asked again. False: it was no such lock, or somebody goes on using it, or `signal` was aborted.
 */
export async function outwaitLock(
  stderr: string,
  {
    signal,
    afterMs = abandonedMs,
    drive = networkDrive,
  }: { signal?: AbortSignal | undefined; afterMs?: number; drive?: typeof networkDrive } = {},
): Promise<boolean> {
  const [, remotely, lock] = refLock.exec(stderr) ?? [];
  if (lock === undefined || !path.isAbsolute(lock)) return false;
  if (remotely !== undefined && !(await isOnThisComputer(lock, drive))) return await removeOld(lock);
  // A git that moved many refs at once has left a lock for each: they are watched together, not one after the other.
  let seen = await locksBeside(lock);
  let since = performance.now();
  for (const end = since + 3 * afterMs; performance.now() < end && !signal?.aborted; ) {
    if (!seen.has(lock)) return true;
    if (performance.now() - since >= afterMs) {
      for (const [one, as] of seen) if ((await identity(one)) === as) await fs.rm(one, { force: true });
      return true;
    }
    await sleep(lookMs);
    if ((await identity(lock)) === seen.get(lock)) continue;
    since = performance.now();
    seen = await locksBeside(lock);
  }
  return !seen.has(lock);
}

/** This lock and those of all other refs of its repository that lie there now, as they lie. */
async function locksBeside(lock: string): Promise<Map<string, string>> {
  const folder = /^(.*)\/(?:refs\/.+|HEAD|packed-refs)\.lock$/.exec(lock)?.[1] ?? path.dirname(lock);
  const below = await fs.readdir(path.join(folder, 'refs'), { recursive: true }).catch(ifMissing<string[]>([]));
  const refs = below.filter((name) => name.endsWith('.lock')).map((name) => path.join(folder, 'refs', name));
  const found = new Map<string, string>();
  for (const one of new Set([lock, path.join(folder, 'HEAD.lock'), path.join(folder, 'packed-refs.lock'), ...refs])) {
    const as = await identity(one);
    if (as !== null) found.set(one, as);
  }
  return found;
}

/** A remote's lock: can nobody but a process of this computer have made it? Windows does not tell what a drive's letter is. */
async function isOnThisComputer(lock: string, drive: typeof networkDrive): Promise<boolean> {
  if (lock.startsWith(dataFolder() + path.sep)) return true;
  if (process.platform === 'win32' || !(await exists(lock))) return false;
  return (await drive(path.dirname(lock))) === null;
}

/** Of a remote on another computer there is no such file here. */
async function removeOld(lock: string): Promise<boolean> {
  const stat = await fs.lstat(lock).catch(ifMissing(null));
  if (stat === null || Date.now() - stat.mtimeMs < oldMs) return false;
  await fs.rm(lock, { force: true });
  return true;
}

async function identity(file: string): Promise<string | null> {
  const stat = await fs.lstat(file, { bigint: true }).catch(ifMissing(null));
  return stat === null ? null : `${stat.ino} ${stat.mtimeNs} ${stat.size}`;
}
