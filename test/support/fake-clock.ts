import type { Clock } from '../../src/system/clock.ts';

export interface FakeClock extends Clock {
  /** Time passes. */
  pass: (ms: number) => void;
  /** Somebody sets the wall clock. */
  set: (ms: number) => void;
}

/** Clocks of one computer that stand still until told; whoever sleeps on them is woken at once, and that much later. */
export function fakeClock(at = Date.parse('2026-11-24T08:00:00Z'), up = 3_600_000): FakeClock {
  let [wall, running] = [at, up];
  const pass = (ms: number) => {
    wall += ms;
    running += ms;
  };
  return {
    now: () => wall,
    monotonic: () => running,
    uptime: () => running,
    sleep: async (ms, signal) => {
      signal?.throwIfAborted();
      pass(ms);
      // Others get their turn.
      await new Promise((resolve) => setImmediate(resolve));
      signal?.throwIfAborted();
    },
    pass,
    set: (ms) => {
      wall = ms;
    },
  };
}
