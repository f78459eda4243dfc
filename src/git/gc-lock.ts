import * as fs from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { ifMissing } from '../system/disk.ts';
import { isAlive } from '../system/process.ts';

/** So old a lock counts for nothing, as for git itself (ms). */
const staleMs = 12 * 3_600_000;

/**
 * Runs `work` under the lock that `git gc` takes, so that neither works beside the other; `taken`: somebody else tidies this
 * repository just now. Of a process that is dead the lock is taken over. `commonDir`: where the objects are.
 */
export async function underGcLock<T>(commonDir: string, work: () => Promise<T>): Promise<T | 'taken'> {
  const file = path.join(commonDir, 'gc.pid');
  if (await isHeld(file)) return 'taken';
  await fs.rm(file, { force: true });
  const own = `${process.pid} ${os.hostname()}`;
  const took = await fs.writeFile(file, own, { flag: 'wx' }).then(
    () => true,
    (error: NodeJS.ErrnoException) => {
      if (error.code === 'EEXIST') return false;
      throw error;
    },
  );
  if (!took) return 'taken';
  try {
    return await work();
  } finally {
    if ((await fs.readFile(file, 'utf8').catch(ifMissing(''))) === own) await fs.rm(file, { force: true });
  }
}

async function isHeld(file: string): Promise<boolean> {
  const text = await fs.readFile(file, 'utf8').catch(ifMissing(null));
  const stat = await fs.stat(file).catch(ifMissing(null));
  if (text === null || stat === null || Date.now() - stat.mtimeMs > staleMs) return false;
  const [pid = '', host = ''] = text.trim().split(' ');
  return host !== os.hostname() || isAlive(Number(pid));
}
