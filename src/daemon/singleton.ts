import { randomUUID } from 'node:crypto';
import * as fs from 'node:fs/promises';
import path from 'node:path';
import { reachDaemon } from '../control/client.ts';
import { daemonFolder, readDaemonRecord, recordFile } from '../control/place.ts';
import { alone, type Guarded } from '../project/guard.ts';
import type { Clock } from '../system/clock.ts';
import { exists, writeDurable } from '../system/disk.ts';
import { listenIn } from '../system/listen-in.ts';
import { makeBell } from '../watch/bell.ts';
import { type Ear, listen } from './listen.ts';
import type { Serve } from './serve.ts';

/** How long a second guard is waited for, ms: two that took over the same stale lock have both written their record then. */
const confirmMs = 200;
/** Who tidies old files away may take the socket: it is looked for so often, ms. */
const earMs = 30_000;
/** Whoever has taken the record away may be at the rest of the folder still, ms. */
const sweepMs = 500;
/** One that ends just now, or was killed and not yet fetched by its parent, is waited for so long, ms. */
const patienceMs = 5000;

/**
 * Runs `work` as the only background process of this user. Three guards: the lock; a record with a token that is read back
 * after a while (of four contenders for a stale lock two held it in 3 of 25 runs, proper-lockfile 4.1.2); and whoever
 * answers at the socket that the record names. All three are made anew should somebody delete their folder. `lost` is
 * aborted when another process has taken over.
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
    const ears: Ear[] = [];
    const note = async ({ address }: Ear): Promise<void> => {
      const record = { v: 1, pid: process.pid, token, socket: address };
      await writeDurable(recordFile(), `${JSON.stringify(record)}\n`, 0o600);
    };
    const open = async (old: string | null): Promise<Ear> => {
      const opened = await listen(token, serve(token), old);
      ears.push(opened);
      await note(opened);
      return opened;
    };
    const over = new AbortController();
    const other = new AbortController();
    const bell = makeBell(clock);
    let keeping = Promise.resolve();
    let deafen = (): void => undefined;
    try {
      let ear = await open(before?.socket ?? null);
      await clock.sleep(confirmMs);
      const now = await readDaemonRecord();
      if (now?.token !== token) return { outcome: 'taken', pid: now?.pid ?? null } as const;
      // Without socket and record nobody could reach this process, nor begin another. Those that are connected stay so.
      const look = async (): Promise<void> => {
        const record = await readDaemonRecord();
        const isOurs = record?.token === token;
        if (record !== null && !isOurs && (await answers())) other.abort(new Error('another one has begun'));
        else if (!(await isHeard(ear))) ear = await open(null);
        else if (!isOurs) await note(ear);
      };
      const keep = async (): Promise<void> => {
        while (!over.signal.aborted) {
          if (await bell.wait(earMs)) await clock.sleep(sweepMs, over.signal);
          await look().catch(() => undefined); // tried again the next time
        }
      };
      keeping = keep().catch(() => undefined); // only aborted
      deafen = listenIn(daemonFolder(), [path.basename(recordFile())], bell.ring);
      return { outcome: 'done', value: await work(ear, AbortSignal.any([lost, other.signal])) } as const;
    } finally {
      over.abort();
      bell.ring();
      deafen();
      await keeping;
      for (const one of ears) await one.close();
    }
  });
  return guarded.outcome === 'done' ? guarded.value : guarded;
}

/** Whoever the record names; one that is only held up counts. */
async function answers(): Promise<boolean> {
  const reached = await reachDaemon();
  if (reached.outcome === 'connected') reached.connection.close();
  return reached.outcome !== 'not-running';
}

/** A pipe of Windows goes with its process alone. */
const isHeard = async ({ address }: Ear): Promise<boolean> =>
  process.platform === 'win32' || (await exists(address).catch(() => true));
