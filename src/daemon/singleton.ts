import { randomUUID } from 'node:crypto';
import * as fs from 'node:fs/promises';
import { reachDaemon } from '../control/client.ts';
import { daemonFolder, readDaemonRecord, recordFile } from '../control/place.ts';
import { alone, type Guarded } from '../project/guard.ts';
import type { Clock } from '../system/clock.ts';
import { exists, writeDurable } from '../system/disk.ts';
import { type Ear, listen } from './listen.ts';
import type { Serve } from './serve.ts';

/** How long a second guard is waited for, ms: two that took over the same stale lock have both written their record then. */
const confirmMs = 200;
/** Who tidies old files away may take the socket: it is looked for so often, ms. */
const earMs = 30_000;
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
    const open = async (old: string | null): Promise<Ear> => {
      const opened = await listen(token, serve(token), old);
      ears.push(opened);
      const record = { v: 1, pid: process.pid, token, socket: opened.address };
      await writeDurable(recordFile(), `${JSON.stringify(record)}\n`, 0o600);
      return opened;
    };
    const ears: Ear[] = [];
    const over = new AbortController();
    try {
      let ear = await open(before?.socket ?? null);
      await clock.sleep(confirmMs);
      const now = await readDaemonRecord();
      if (now?.token !== token) return { outcome: 'taken', pid: now?.pid ?? null } as const;
      const keep = async (): Promise<never> => {
        for (;;) {
          await clock.sleep(earMs, over.signal);
          // Without it nobody could reach this process, nor begin another. Those that are connected stay so.
          if (!(await isHeard(ear))) ear = await open(null).catch(() => ear); // tried again the next time
        }
      };
      keep().catch(() => undefined); // only aborted
      return { outcome: 'done', value: await work(ear, lost) } as const;
    } finally {
      over.abort();
      for (const one of ears) await one.close();
    }
  });
  return guarded.outcome === 'done' ? guarded.value : guarded;
}

/** A pipe of Windows goes with its process alone. */
const isHeard = async ({ address }: Ear): Promise<boolean> =>
  process.platform === 'win32' || (await exists(address).catch(() => true));
