import * as fs from 'node:fs/promises';
import path from 'node:path';
import lockfile from 'proper-lockfile';
import { Failure } from '../model/failures.ts';
import type { LockContext } from './context.ts';

/**
 * One writer of the lock at a time in this clone: the heartbeat would race its own publish. Across processes; a process
 * that was killed is out of the way after `stale` ms. Even two writers at once could only lose a swap to each other.
 */
export async function withMutex<T>(ctx: LockContext, work: () => Promise<T>): Promise<T> {
  const folder = path.join(ctx.root, '.oxenvcs', 'state');
  await fs.mkdir(folder, { recursive: true });
  const release = await lockfile
    .lock(path.join(folder, 'lock-writer'), {
      realpath: false,
      stale: 5000,
      update: 1500,
      retries: { retries: 150, factor: 1, minTimeout: 50, maxTimeout: 300, randomize: true },
      // A machine that slept: the swap that is under way decides by itself.
      onCompromised: () => undefined,
    })
    .catch((cause: NodeJS.ErrnoException) => {
      if (cause.code !== 'ELOCKED') throw cause;
      throw new Failure('busy', { detail: 'Another process is changing the lock of this project' }, cause);
    });
  try {
    return await work();
  } finally {
    await release().catch((error: NodeJS.ErrnoException) => {
      if (error.code !== 'ERELEASED' && error.code !== 'ENOTACQUIRED') throw error; // it was compromised
    });
  }
}
