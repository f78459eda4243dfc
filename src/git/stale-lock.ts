import * as fs from 'node:fs/promises';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { ifMissing } from '../system/disk.ts';
import { dataFolder } from '../system/places.ts';

/**
 * A git that is killed, or loses its power, while it moves a ref leaves the ref's lock file behind, and no git moves that
 * ref again until a person deletes the file. Git holds such a lock for milliseconds; one that has not changed for so
 * long, watched on a clock that nobody sets and that stands still while the computer sleeps, is nobody's. ms.
 */
const abandonedMs = 10_000;
const lookMs = 100;

/** A ref's own lock, HEAD's, or that of all packed refs. Never `index.lock`, which git holds while a person writes a message. */
const refLock =
  /^(remote: )?(?:fatal|error): (?:.*: )?Unable to create '(.*(?:\/refs\/.+|\/HEAD|\/packed-refs)\.lock)': File exists\. *$/m;

/**
 * Waits until the lock that git has stumbled over is gone; one that stays as it is for too long is removed. True: it is
 * gone, git may be asked again. False: it was no such lock, or somebody goes on using it, or `signal` was aborted.
 */
export async function outwaitLock(
  stderr: string,
  { signal, afterMs = abandonedMs }: { signal?: AbortSignal | undefined; afterMs?: number } = {},
): Promise<boolean> {
  const [, remotely, lock] = refLock.exec(stderr) ?? [];
  if (lock === undefined || !path.isAbsolute(lock)) return false;
  // A remote's locks are its own affair, but for the vault on this computer, which nobody else looks after.
  if (remotely !== undefined && !lock.startsWith(dataFolder() + path.sep)) return false;
  let seen = await identity(lock);
  let since = performance.now();
  for (const end = since + 3 * afterMs; performance.now() < end && !signal?.aborted; ) {
    if (seen === null) return true;
    if (performance.now() - since >= afterMs) {
      await fs.rm(lock, { force: true });
      return true;
    }
    await sleep(lookMs);
    const now = await identity(lock);
    if (now !== seen) since = performance.now();
    seen = now;
  }
  return seen === null;
}

async function identity(file: string): Promise<string | null> {
  const stat = await fs.lstat(file, { bigint: true }).catch(ifMissing(null));
  return stat === null ? null : `${stat.ino} ${stat.mtimeNs} ${stat.size}`;
}
