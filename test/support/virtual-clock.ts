import type { Clock } from '../../src/system/clock.ts';

/**
 * A clock on which many may sleep side by side: when all that can run has run, time jumps to the one that is to be woken
 * first. `waits`: every sleep that ran to its end, ms. `isBusy`: real work goes on, for which it stands still.
 */
export function virtualClock(
  start = Date.parse('2026-11-24T08:00:00Z'),
  isBusy = () => false,
): Clock & {
  waits: number[];
  /** The computer sleeps: no timer runs, and what counts sleep is that much later. */
  asleep: (ms: number) => void;
} {
  let time = 0;
  let slept = 0;
  const sleepers = new Set<{ due: number; wake: () => void }>();
  const waits: number[] = [];
  let moving = false;
  const move = (): void => {
    if (isBusy()) return void setTimeout(move, 1);
    // Who sleeps for ever is woken by others only.
    const [first] = [...sleepers].filter(({ due }) => due < Infinity).toSorted((a, b) => a.due - b.due);
    moving = first !== undefined;
    if (first === undefined) return;
    time = Math.max(time, first.due);
    sleepers.delete(first);
    first.wake();
    setImmediate(move);
  };
  return {
    now: () => start + time + slept,
    monotonic: () => time,
    uptime: () => time + slept,
    waits,
    asleep: (ms) => {
      slept += ms;
    },
    sleep: async (ms, signal) => {
      signal?.throwIfAborted();
      await new Promise<void>((resolve, reject) => {
        const onAbort = () => {
          sleepers.delete(sleeper);
          reject(signal?.reason as Error);
        };
        const wake = () => {
          signal?.removeEventListener('abort', onAbort);
          waits.push(ms);
          resolve();
        };
        // Time goes by whole ms, so that it goes on: what is left of a fraction may add nothing to it.
        const sleeper = { due: time + Math.ceil(ms), wake };
        sleepers.add(sleeper);
        signal?.addEventListener('abort', onAbort);
        if (!moving) setImmediate(move);
        moving = true;
      });
    },
  };
}
