import * as fs from 'node:fs/promises';
import { expect, onTestFinished, test } from 'vitest';
import { type Reach, startReach } from '../../src/background/reach.ts';
import { Failure } from '../../src/model/failures.ts';
import { readTries } from '../../src/network/tries.ts';
import { systemClock } from '../../src/system/clock.ts';
import { projectWithRemote } from '../support/project.ts';

const network = { maxRetries: 5, initialBackoffMs: 100, maxBackoffMs: 2000, timeoutMs: 30_000, probeSeconds: 0.2 };

/** What the background knows of the way to a remote in a folder, and what it was told. Ends with the test. */
async function started(): Promise<{ reach: Reach; told: unknown[]; root: string; remote: string; stop: () => void }> {
  const { project, remote } = await projectWithRemote();
  const told: unknown[] = [];
  const stop = new AbortController();
  const reach = startReach(
    { ...project, config: { ...project.config, network } },
    {
      clock: systemClock,
      signal: stop.signal,
      onBack: (wasAway) => told.push(wasAway),
      onTrouble: (error) => told.push(error),
    },
  );
  onTestFinished(async () => {
    stop.abort();
    await reach.ended();
  });
  return { reach, told, root: project.root, remote, stop: () => stop.abort() };
}

const offline = () => new Failure('offline', { detail: 'no answer' });
const busy = (retryAfterMs: number | null) => new Failure('too-many-requests', { detail: 'x', retryAfterMs });

test('a remote that keeps failing is spared ever longer, and at least as long as it asks for; one success ends that', async () => {
  const { reach, told } = await started();
  expect(reach.isSpared()).toBe(false);
  const first = reach.failed(busy(null));
  expect(first).toBeGreaterThanOrEqual(50);
  expect(first).toBeLessThanOrEqual(100);
  expect(reach.isSpared()).toBe(true);
  await systemClock.sleep(first + 5);
  expect(reach.isSpared()).toBe(false);
  expect(reach.failed(busy(60_000))).toBeGreaterThanOrEqual(60_000);
  reach.succeeded();
  expect(reach.isSpared()).toBe(false);
  expect(reach.failed(busy(null))).toBeLessThanOrEqual(100);
  // Nobody asks whether it is there: it has just said so.
  expect([reach.silence(), told]).toEqual([null, []]);
});

test('where nobody answers that is known until somebody does, and it is told whether the remote was away at all', async () => {
  const { reach, told, root, remote } = await started();
  const why = offline();
  reach.failed(busy(60_000));
  reach.failed(why);
  reach.failed(offline());
  expect(reach.silence()).toBe(why);
  await expect.poll(() => told).toEqual([false]);
  // It was there all the time, and is spared as it has asked.
  expect([reach.silence(), reach.isSpared()]).toEqual([null, true]);
  await fs.rename(remote, `${remote} is away`);
  reach.failed(why);
  await systemClock.sleep(400);
  expect([told, reach.silence(), reach.isSpared()]).toEqual([[false], why, true]);
  await fs.rename(`${remote} is away`, remote);
  await expect.poll(() => told).toEqual([false, true]);
  // It is as good as new.
  expect([reach.silence(), reach.isSpared()]).toEqual([null, false]);
  const tries = await readTries(root, remote);
  expect(tries.map(({ op, failure }) => [op, failure])).toEqual([
    ['check', null],
    ['check', null],
  ]);
  for (const { ms } of tries) expect(ms).toBeLessThan(5000);
});

test('a project whose folder is gone is told of, and one that nobody watches any more is not', async () => {
  const gone = await started();
  await fs.rename(gone.root, `${gone.root} is away`);
  gone.reach.failed(offline());
  await expect.poll(() => gone.told.length).toBe(1);
  expect([gone.reach.silence(), gone.told[0]]).toEqual([null, expect.any(Error)]);
  const left = await started();
  await fs.rename(left.remote, `${left.remote} is away`);
  left.reach.failed(offline());
  left.stop();
  await left.reach.ended();
  left.reach.failed(offline());
  expect([left.told, left.reach.silence()]).toEqual([[], null]);
});
