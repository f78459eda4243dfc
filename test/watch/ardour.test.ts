import { expect, test } from 'vitest';
import { replayWatched } from '../support/trace.ts';

test('a recorded session with the editor window: each save is a version, no take is torn', {
  timeout: 300_000,
}, async () => {
  const { saves, torn, missing } = await replayWatched('ardour.trace.jsonl.gz', 2);
  expect(torn).toEqual([]);
  expect(missing).toEqual([]);
  // The new session, before anybody saved, then the saves; the sixth wrote the very bytes of the fifth: nothing to version.
  expect(saves).toEqual([0, 1, 2, 3, 4, 5]);
});
