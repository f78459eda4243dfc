import { expect, test } from 'vitest';
import { startWake } from '../../src/watch/wake.ts';
import { dice } from '../support/dice.ts';
import { rounds } from '../support/rounds.ts';
import { replayWith } from '../support/trace.ts';

/**
 * The recorded sessions at ten times their speed, on systems whose file events are lost or late. Nothing rests on events but
 * the time it takes: a save may join the next one, but no take is torn, none is missing, and the last state is a version.
 */
const speed = 10;

type Wake = typeof startWake;
const systems: Record<string, (roll: () => number) => Wake> = {
  'every event comes': () => startWake,
  'two of three events are lost': (roll) => (ports) =>
    startWake({ ...ports, stirred: (name) => (roll() < 2 / 3 ? undefined : ports.stirred(name)) }),
  'events come late, and out of order': (roll) => (ports) =>
    startWake({ ...ports, stirred: (name) => void setTimeout(ports.stirred, (roll() * 5000) / speed, name) }),
  'no event comes': () => () => ({ close: async () => undefined }),
};

// The suite plays the shorter one, without the two worst systems.
const inFull = rounds(10) === 10;
const played = (inFull ? ['ardour-script', 'ardour'] : ['ardour-script']).flatMap((trace) =>
  Object.keys(systems)
    .slice(0, inFull ? 4 : 2)
    .map((system) => [trace, system] as const),
);

test.each(played)('%s at ten times its speed, where %s', async (trace, system) => {
  const { roll } = dice(1);
  const wake = systems[system]?.(roll);
  if (wake === undefined) throw new Error(system);
  const { saves, torn, missing } = await replayWith(`${trace}.trace.jsonl.gz`, speed, wake);
  expect(torn).toEqual([]);
  expect(missing).toEqual([]);
  const made = saves.filter((save) => save > 0);
  expect(made).toEqual(made.toSorted((a, b) => a - b));
  // The sixth wrote the very bytes of the fifth where there is a window.
  expect(made.at(-1)).toBe(trace === 'ardour' ? 5 : 6);
});
