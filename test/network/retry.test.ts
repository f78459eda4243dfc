import fc from 'fast-check';
import { expect, test } from 'vitest';
import { Failure } from '../../src/model/failures.ts';
import { RetryPolicy } from '../../src/network/retry.ts';
import type { Clock } from '../../src/system/clock.ts';

/** A clock that jumps over every wait and remembers it. */
function fakeClock(): Clock & { waits: number[] } {
  let time = 0;
  const waits: number[] = [];
  const sleep = async (ms: number, signal?: AbortSignal) => {
    signal?.throwIfAborted();
    waits.push(ms);
    time += ms;
  };
  return { now: () => time, monotonic: () => time, sleep, waits };
}

const offline = () => new Failure('offline', { detail: 'x' });

test('five retries from one second, doubling, capped at thirty, then the failure itself', async () => {
  const clock = fakeClock();
  const failure = offline();
  const tries = new RetryPolicy({ maxRetries: 7 }).execute(
    async () => {
      throw failure;
    },
    { clock, random: () => 1 },
  );
  await expect(tries).rejects.toBe(failure);
  expect(clock.waits).toEqual([1000, 2000, 4000, 8000, 16_000, 30_000, 30_000]);
});

test('what a later try cannot mend is not tried again', async () => {
  const clock = fakeClock();
  let tries = 0;
  const run = new RetryPolicy().execute(
    async () => {
      tries++;
      throw new Failure('auth', { detail: 'x', remote: 'y' });
    },
    { clock },
  );
  await expect(run).rejects.toMatchObject({ code: 'AUTH' });
  expect(tries).toBe(1);
});

test('progress is told before each wait, and a later success is the result', async () => {
  const clock = fakeClock();
  const told: [number, number, string][] = [];
  const result = await RetryPolicy.fixedBackoff(3, 250).executeWithProgress(
    async (attempt) => {
      if (attempt < 3) throw offline();
      return attempt;
    },
    (attempt, delayMs, failure) => told.push([attempt, delayMs, failure.code]),
    { clock },
  );
  expect(result).toBe(3);
  expect(told).toEqual([
    [1, 250, 'OFFLINE'],
    [2, 250, 'OFFLINE'],
  ]);
});

test('noRetry tries once', async () => {
  const clock = fakeClock();
  await expect(
    RetryPolicy.noRetry().execute(
      async () => {
        throw offline();
      },
      { clock },
    ),
  ).rejects.toMatchObject({ code: 'OFFLINE' });
  expect(clock.waits).toEqual([]);
});

test('an abort ends the wait at once, and no further try is made', async () => {
  const abort = new AbortController();
  let tries = 0;
  const run = new RetryPolicy({ initialMs: 60_000 }).executeWithProgress(
    async () => {
      tries++;
      throw offline();
    },
    () => abort.abort(new Error('enough')),
    { signal: abort.signal },
  );
  await expect(run).rejects.toThrow();
  expect(tries).toBe(1);
});

test('no wait is longer than the cap or shorter than half the backoff, and the deadline is never passed by waiting', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.record({
        maxRetries: fc.integer({ min: 0, max: 12 }),
        initialMs: fc.integer({ min: 1, max: 5000 }),
        maxMs: fc.integer({ min: 1, max: 60_000 }),
        deadlineMs: fc.integer({ min: 0, max: 200_000 }),
      }),
      fc.double({ min: 0, max: 0.999, noNaN: true }),
      async (options, random) => {
        const clock = fakeClock();
        const run = new RetryPolicy(options).execute(
          async () => {
            throw offline();
          },
          { clock, random: () => random },
        );
        await expect(run).rejects.toMatchObject({ code: 'OFFLINE' });
        clock.waits.forEach((wait, i) => {
          const full = Math.min(options.maxMs, options.initialMs * 2 ** i);
          expect(wait).toBeGreaterThanOrEqual(full / 2);
          expect(wait).toBeLessThanOrEqual(full);
        });
        expect(clock.waits.length).toBeLessThanOrEqual(options.maxRetries);
        expect(clock.monotonic()).toBeLessThanOrEqual(options.deadlineMs);
      },
    ),
  );
});
