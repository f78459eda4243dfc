import type { Clock } from '../system/clock.ts';

/** A sleep that can be cut short. */
export interface Bell {
  ring: () => void;
  /** Resolves after `ms`, or as soon as the bell rings or has rung since the last wait; says whether it did. */
  wait: (ms: number) => Promise<boolean>;
}

export function makeBell(clock: Clock): Bell {
  let rung = new AbortController();
  return {
    ring: () => rung.abort(),
    wait: async (ms) => {
      const { signal } = rung;
      await clock.sleep(Math.max(0, ms), signal).catch((error: unknown) => {
        if (!signal.aborted) throw error;
      });
      if (signal.aborted) rung = new AbortController();
      return signal.aborted;
    },
  };
}
