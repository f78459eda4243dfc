import { expect, test } from 'vitest';
import { replayWatched } from '../support/trace.ts';

test('a recorded session without a window: each save is a version, no take is torn', { timeout: 240_000 }, async () => {
  const { saves, torn, missing } = await replayWatched('ardour-script.trace.jsonl.gz', 2);
  expect(torn).toEqual([]);
  expect(missing).toEqual([]);
  // The last two saves are 2.0 s apart, nearer than the quiet time: they are one.
  expect(saves).toEqual([1, 2, 3, 4, 6]);
});
