import { randomUUID } from 'node:crypto';
import * as fs from 'node:fs/promises';
import { reachDaemon } from '../control/client.ts';
import { daemonFolder, readDaemonRecord, recordFile } from '../control/place.ts';
import { alone, type Guarded } from '../project/guard.ts';
import type { Clock } from '../system/clock.ts';
import { writeDurable } from '../system/disk.ts';
import { type Ear, listen } from './listen.ts';
import type { Serve } from './serve.ts';

/** How long a second guard is waited for, ms: two that took over the same stale lock have both written their record then. */
const confirmMs = 200;
/** One that ends just now, or was killed and not yet fetched by its parent, is waited for so long, ms. */
const patienceMs = 5000;

/**
 * Runs `work` as the only background process of this user. Three guards: the lock; a record with a token that is read back
 * after a while (of four contenders for a stale lock two held it in 3 of 25 runs, proper-lockfile 4.1.2); and whoever
 * answers at the socket that the record names. `lost` is aborted when another process has taken over.
 */
export async function asOnlyDaemon<T>(
  clock: Clock,
  serve: (token: string) => Serve,
  work: (ear: Ear, lost: AbortSignal) => Promise<T>,
): Promise<Guarded<T>> {
  await fs.mkdir(daemonFolder(), { recursive: true, mode: 0o700 });
  const running = await reachDaemon();
  if (running.outcome === 'connected') {
    running.connection.close();
    return { outcome: 'taken', pid: running.connection.greeting.pid };
  }
  const guarded = await alone({ root: daemonFolder() }, 'daemon', patienceMs, async (lost) => {
    const token = randomUUID();
    const before = await readDaemonRecord();
    const ear = await listen(token, serve(token), before?.socket ?? null);
    try {
      await writeDurable(
        recordFile(),
        `${JSON.stringify({ v: 1, pid: process.pid, token, socket: ear.address })}\n`,
        0o600,
      );
      await clock.sleep(confirmMs);
      const now = await readDaemonRecord();
      if (now?.token !== token) return { outcome: 'taken', pid: now?.pid ?? null } as const;
      return { outcome: 'done', value: await work(ear, lost) } as const;
    } finally {
      await ear.close();
    }
  });
  return guarded.outcome === 'done' ? guarded.value : guarded;
}
