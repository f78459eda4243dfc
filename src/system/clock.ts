import os from 'node:os';
import { setTimeout as sleepMs } from 'node:timers/promises';

/** Time as a port: tests pass one that they move by hand. */
export interface Clock {
  /** Wall clock, ms since 1970: for what people read and other machines compare. It may jump. */
  now(): number;
  /** ms on a clock that never goes back: for what is measured here. */
  monotonic(): number;
  /** ms since this computer was started, on a clock that counts sleep too. */
  uptime(): number;
  /** Resolves after `ms`; rejects with the signal's reason when it is aborted. */
  sleep(ms: number, signal?: AbortSignal): Promise<void>;
}

export const systemClock: Clock = {
  now: () => Date.now(),
  monotonic: () => performance.now(),
  /**
   * Nobody sets it, and all processes share it: timers and `performance.now()` stand still while a laptop sleeps. The
   * difference of two readings is never more than the time that has passed, even with a restart between them.
   */
  uptime: () => Math.round(os.uptime() * 1000),
  sleep: async (ms, signal) => {
    // A timer above 2^31-1 ms would fire at once.
    await sleepMs(Math.min(ms, 2_147_483_647), undefined, signal ? { signal } : {});
  },
};

/** `2026-11-24T08:30:00.000Z` */
export const isoTime = (ms: number): string => new Date(ms).toISOString();

/** Does it end within `ms`? Nothing is left waiting afterwards. What it is rejected with is thrown. */
export async function endsWithin(work: Promise<unknown>, ms: number, clock: Clock): Promise<boolean> {
  const over = new AbortController();
  const late = clock.sleep(ms, over.signal).then(
    () => false,
    () => false, // only aborted
  );
  try {
    return await Promise.race([work.then(() => true), late]);
  } finally {
    over.abort();
  }
}
