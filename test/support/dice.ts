import { onTestFailed } from 'vitest';

export interface Dice {
  /** 0 ≤ x < 1 */
  roll: () => number;
  /** One of them. */
  pick: <T>(from: readonly T[]) => T;
}

/**
 * Chance for one test. The suite plays the same game every time (`seed`), `npm run chaos` another one. A test that fails
 * tells its seed: `SEED=7 npx vitest run FILE` throws the same dice again (what the machine does meanwhile stays its own).
 */
export function dice(seed: number): Dice {
  const fresh = process.env['CHAOS'] === 'all' ? Math.floor(Math.random() * 1e9) : seed;
  const chosen = Number(process.env['SEED'] ?? fresh);
  onTestFailed(({ task }) => {
    const told = `\nPlayed with SEED=${chosen}`;
    for (const error of task.result?.errors ?? []) error.message += told;
  });
  const roll = random(chosen);
  return { roll, pick: <T>(from: readonly T[]) => from[Math.floor(roll() * from.length)] as T };
}

/** Small, and the same everywhere (mulberry32). */
function random(seed: number): () => number {
  let a = seed | 0;
  return () => {
    a = (a + 0x6d2b79f5) | 0;
    let t = Math.imul(a ^ (a >>> 15), 1 | a);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}
