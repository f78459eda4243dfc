import { expect, test } from 'vitest';
import { whenWoken } from '../../src/system/awake.ts';
import { fakeClock } from '../support/fake-clock.ts';

test('a computer that slept is noticed once, by all that asked, and a busy one is not taken for it', async () => {
  const clock = fakeClock();
  let slept = 0;
  // Of each four waits the last one takes an hour longer than asked for.
  let waits = 0;
  const laptop = {
    ...clock,
    sleep: async (ms: number, signal?: AbortSignal) => {
      await clock.sleep(ms, signal);
      if (ms > 1000 && ++waits % 4 === 0) {
        clock.pass(3_600_000);
        slept++;
      } else clock.pass(5000);
    },
  };
  const woken = [0, 0];
  const ends = woken.map((_, i) => whenWoken(laptop, () => void (woken[i] = (woken[i] ?? 0) + 1)));
  while (slept < 3) await new Promise((resolve) => setImmediate(resolve));
  while ((woken[1] ?? 0) < slept) await new Promise((resolve) => setImmediate(resolve));
  expect(woken).toEqual([slept, slept]);
  for (const end of ends) end();
  const before = clock.uptime();
  for (let turns = 0; turns < 20; turns++) await new Promise((resolve) => setImmediate(resolve));
  // One more wait at most: nobody ticks on for nobody.
  expect(clock.uptime() - before).toBeLessThan(3_700_000);
});
