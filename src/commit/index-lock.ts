import { randomUUID } from 'node:crypto';
import * as fs from 'node:fs/promises';
import path from 'node:path';
import { ifMissing, makeFolderIn } from '../system/disk.ts';
import { isNode } from '../system/processes.ts';

/** Git's own lock on the user's index, held by us. */
export interface IndexLock {
  /** Puts the bytes of `file`, with its time, in the place of the index; the lock is gone then. */
  replace(file: string): Promise<void>;
  /** Gives it back without a change. Fine after `replace`. */
  release(): Promise<void>;
}

/** The names of those that this process holds. */
const held = new Set<string>();

/**
 * Takes `index.lock` as git does; null: somebody has it. It is a hard link to a file of ours that names our process, so
 * that one left behind by a SIGKILL or a power cut is known for ours and taken away: the user's own git would refuse to
 * work until they delete it by hand.
 */
export async function takeIndexLock(gitDir: string): Promise<IndexLock | null> {
  const index = path.join(gitDir, 'index');
  const lock = `${index}.lock`;
  const folder = path.join(gitDir, 'oxenvcs');
  const name = `index-lock-${process.pid}-${randomUUID()}`;
  const own = path.join(folder, name);
  await makeFolderIn(folder);
  held.add(name);
  const giveUp = async () => {
    await fs.rm(own, { force: true });
    held.delete(name);
  };
  await fs.writeFile(own, '');
  let taken = await link(own, lock);
  if (taken === 'exists' && (await removeLeftBehind(folder, lock))) taken = await link(own, lock);
  if (taken === 'exists') {
    await giveUp();
    return null;
  }
  return {
    async replace(file) {
      const handle = await fs.open(lock, 'r+');
      try {
        await handle.writeFile(await fs.readFile(file));
        await handle.utimes(...(await timesOf(file)));
        await handle.sync();
      } finally {
        await handle.close();
      }
      await fs.rename(lock, index);
      await giveUp();
    },
    async release() {
      // After `replace` there is no `own`, and an index.lock that is there is somebody else's.
      if ((await fs.lstat(own).catch(ifMissing(null))) === null) return;
      await fs.rm(lock, { force: true });
      await giveUp();
    },
  };
}

/** Rounded down to seconds: see copyIndex in user-index.ts. */
export async function timesOf(file: string): Promise<[number, number]> {
  const seconds = Math.floor((await fs.stat(file)).mtimeMs / 1000);
  return [seconds, seconds];
}

async function link(own: string, lock: string): Promise<'taken' | 'exists'> {
  try {
    await fs.link(own, lock);
    return 'taken';
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'EEXIST') return 'exists';
    // Some external and network disks know no hard links: then a file left behind cannot be told from a foreign one.
    if (!['EPERM', 'ENOTSUP', 'EOPNOTSUPP', 'ENOSYS', 'EMLINK'].includes(code ?? '')) throw error;
    return await fs.writeFile(lock, '', { flag: 'wx' }).then(
      () => 'taken' as const,
      (failure: NodeJS.ErrnoException) => {
        if (failure.code === 'EEXIST') return 'exists' as const;
        throw failure;
      },
    );
  }
}

/** Is the lock that of a process of ours that is dead, or whose number is another program's, or our own, by now? Then it goes. */
async function removeLeftBehind(folder: string, lock: string): Promise<boolean> {
  const lies = await fs.lstat(lock, { bigint: true }).catch(ifMissing(null));
  for (const name of await fs.readdir(folder)) {
    const pid = Number(/^index-lock-(\d+)-/.exec(name)?.[1] ?? Number.NaN);
    if (Number.isNaN(pid) || held.has(name) || (pid !== process.pid && (await isNode(pid)))) continue;
    const left = await fs.lstat(path.join(folder, name), { bigint: true }).catch(ifMissing(null));
    const same = lies !== null && left !== null && lies.ino === left.ino && lies.dev === left.dev;
    if (same) await fs.rm(lock, { force: true });
    await fs.rm(path.join(folder, name), { force: true });
    if (same) return true;
  }
  return false;
}
