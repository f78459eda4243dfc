import { vi } from 'vitest';

/** Games of chance (`*.chaos.test.ts`): the suite plays a tenth of them, `npm run chaos` all. */
const inFull = process.env['CHAOS'] === 'all';

// Whoever counts rounds takes longer than other tests, and much longer on a busy machine.
vi.setConfig({ testTimeout: inFull ? 7_200_000 : 300_000 });

/** How many rounds. `share`: the suite plays fewer than a tenth where each takes long. */
export const rounds = (all: number, share = 10): number => (inFull ? all : Math.ceil(all / share));

/** Rounds, counted from 0: `few` in the suite; `npm run chaos` goes on for `minutes`, or for `MINUTES=60`. */
export function* roundsFor({ few, minutes }: { few: number; minutes: number }): Generator<number> {
  const end = performance.now() + Number(process.env['MINUTES'] ?? minutes) * 60_000;
  for (let round = 0; inFull ? performance.now() < end : round < few; round++) yield round;
}
