import type { Clock } from '../../src/system/clock.ts';

/**
 * A clock on which many may sleep side by side: when all that can run has run, time jumps to the one that is to be woken
 * first. `waits`: every sleep that ran to its end, ms.
 */
export function virtualClock(start = Date.parse('2026-11-24T08:00:00Z')): Clock & { waits: number[] } {
  let time = 0;
  const sleepers = new Set<{ due: number; wake: () => void }>();
  const waits: number[] = [];
  let moving = false;
  const move = (): void => {
    const [first] = [...sleepers].toSorted((a, b) => a.due - b.due);
    moving = first !== undefined;
    if (first === undefined) return;
    time = Math.max(time, first.due);
    sleepers.delete(first);
    first.wake();
    setImmediate(move);
  };
  return {
    now: () => start + time,
    monotonic: () => time,
    uptime: () => time,
    waits,
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
        const sleeper = { due: time + ms, wake };
        sleepers.add(sleeper);
        signal?.addEventListener('abort', onAbort);
        if (!moving) setImmediate(move);
        moving = true;
      });
    },
  };
}
