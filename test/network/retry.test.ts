import fc from 'fast-check';
import { expect, test } from 'vitest';
import { Failure } from '../../src/model/failures.ts';
import { RetryPolicy } from '../../src/network/retry.ts';
import { systemClock } from '../../src/system/clock.ts';
import { virtualClock } from '../support/virtual-clock.ts';

const offline = () => new Failure('offline', { detail: 'x' });
/** Throws these in turn, then succeeds with the number of tries. */
function failing(...errors: unknown[]): { fn: () => Promise<number>; tries: () => number } {
  let tries = 0;
  const fn = async () => {
    if (tries++ < errors.length) throw errors[tries - 1];
    return tries;
  };
  return { fn, tries: () => tries };
}
const forever = (error: unknown) => failing(...Array.from({ length: 1000 }, () => error));

test('five retries from one second, doubling, capped at thirty, then the failure itself', async () => {
  const clock = virtualClock();
  const failure = offline();
  const tries = new RetryPolicy({ maxRetries: 7 }).execute(forever(failure).fn, { clock, random: () => 1 });
  await expect(tries).rejects.toBe(failure);
  expect(clock.waits).toEqual([1000, 2000, 4000, 8000, 16_000, 30_000, 30_000]);
  const { fn, tries: made } = forever(failure);
  await expect(new RetryPolicy().execute(fn, { clock })).rejects.toBe(failure);
  expect(made()).toBe(6);
});

test('what a later try cannot mend is not tried again: refusals, wrong settings, slips of the program', async () => {
  for (const error of [
    new Failure('auth', { detail: 'x', remote: 'y' }),
    new Failure('remote-not-found', { remote: 'y' }),
    new TypeError('undefined is not a function'),
    new DOMException('no more', 'AbortError'),
    new Error("fatal: Authentication failed for 'http://band.example/'"),
    Object.assign(new Error('no'), { response: { status: 403 } }),
  ]) {
    const { fn, tries } = forever(error);
    await expect(new RetryPolicy().execute(fn, { clock: virtualClock() })).rejects.toBe(error);
    expect({ error, tries: tries() }).toEqual({ error, tries: 1 });
  }
});

test('what passes is tried again, whoever threw it, and told by its row', async () => {
  const refused = new TypeError('fetch failed', {
    cause: Object.assign(new Error('connect ECONNREFUSED 127.0.0.1:9'), { code: 'ECONNREFUSED' }),
  });
  const errors: [unknown, string][] = [
    [offline(), 'offline'],
    [refused, 'offline'],
    [new DOMException('too slow', 'TimeoutError'), 'offline'],
    [Object.assign(new Error('no'), { status: 503, headers: new Headers() }), 'remote-unclear'],
    [new Error("fatal: unable to access 'http://ann:pw@band.example/': Failed to connect to band.example"), 'offline'],
    [new Error('nobody knows this one'), 'internal'],
  ];
  const told: [string, string][] = [];
  const { fn } = failing(...errors.map(([error]) => error));
  const policy = new RetryPolicy({ maxRetries: 10 });
  const onRetry = (_: number, __: number, { row, message }: Failure) => told.push([row, message]);
  expect(await policy.executeWithProgress(fn, onRetry, { clock: virtualClock() })).toBe(7);
  expect(told.map(([row]) => row)).toEqual(errors.map(([, row]) => row));
  expect(told.join()).not.toContain('ann:pw');
});

test('progress is told before each wait, and a later success is the result', async () => {
  const clock = virtualClock();
  const told: [number, number, string][] = [];
  const result = await RetryPolicy.fixedBackoff(3, 250).executeWithProgress(
    failing(offline(), offline()).fn,
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
  const clock = virtualClock();
  const { fn, tries } = forever(offline());
  await expect(RetryPolicy.noRetry().execute(fn, { clock })).rejects.toMatchObject({ code: 'OFFLINE' });
  expect({ waits: clock.waits, tries: tries() }).toEqual({ waits: [], tries: 1 });
});

test('a server that says when to come back is not asked before, even where that is later than any wait of ours', async () => {
  const later = new Failure('offline', { detail: 'x', retryAfterMs: 90_000 });
  const often = new Failure('too-many-requests', { detail: 'x' });
  const answer = Object.assign(new Error('slow down'), { status: 429, headers: { 'retry-after': '45' } });
  const clock = virtualClock();
  await new RetryPolicy().execute(failing(later, often, answer).fn, { clock, random: () => 0 });
  // Asked for · asked too often, without saying for how long: the longest wait · as the answer said.
  expect(clock.waits).toEqual([90_000, 30_000, 45_000]);
  // Who cannot wait so long hears of it at once.
  const short = new RetryPolicy({ deadlineMs: 60_000 }).execute(forever(later).fn, { clock: virtualClock() });
  await expect(short).rejects.toBe(later);
});

test('an abort ends the wait, and the try that is under way, at once; no further try is made', async () => {
  for (const wait of ['the wait', 'the try']) {
    const abort = new AbortController();
    const reason = new Error('enough');
    let tries = 0;
    const run = new RetryPolicy({ initialMs: 3_600_000, maxMs: 3_600_000 }).execute(
      async (_, signal) => {
        tries++;
        setTimeout(() => abort.abort(reason), 10);
        if (wait === 'the wait') throw offline();
        // Deaf to its signal.
        await systemClock.sleep(200);
        expect(signal.aborted).toBe(true);
        return 'too late';
      },
      { signal: abort.signal },
    );
    await expect(run).rejects.toBe(reason);
    expect(tries).toBe(1);
  }
});

test('a try that hangs is ended at the deadline', async () => {
  let ended = false;
  const run = new RetryPolicy({ deadlineMs: 50 }).execute(async (_, signal) => {
    await systemClock.sleep(60_000, signal).catch(() => (ended = true));
  });
  await expect(run).rejects.toMatchObject({ code: 'OFFLINE', message: /no answer within 0.05 s/ });
  await systemClock.sleep(0);
  expect(ended).toBe(true);
});

test('numbers that make no sense are refused by name', () => {
  expect(() => new RetryPolicy({ maxRetries: -1 })).toThrow('maxRetries takes a number, 0 or more, not -1');
  expect(() => new RetryPolicy({ initialMs: Number.NaN })).toThrow('initialMs');
});

test('no wait is longer than the cap or shorter than half the backoff, and the deadline is never passed', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.record({
        maxRetries: fc.integer({ min: 0, max: 12 }),
        initialMs: fc.integer({ min: 1, max: 5000 }),
        maxMs: fc.integer({ min: 1, max: 60_000 }),
        deadlineMs: fc.integer({ min: 0, max: 200_000 }),
      }),
      fc.double({ min: 0, max: 0.999, noNaN: true }),
      fc.integer({ min: 0, max: 40_000 }),
      async (options, random, tryMs) => {
        const clock = virtualClock();
        const waits: number[] = [];
        const run = new RetryPolicy(options).executeWithProgress(
          async (_, signal) => {
            if (tryMs > 0) await clock.sleep(tryMs, signal);
            throw offline();
          },
          (_, delayMs) => waits.push(delayMs),
          { clock, random: () => random },
        );
        await expect(run).rejects.toMatchObject({ code: 'OFFLINE' });
        waits.forEach((wait, i) => {
          const full = Math.min(options.maxMs, options.initialMs * 2 ** i);
          expect(wait).toBeGreaterThanOrEqual(full / 2);
          expect(wait).toBeLessThanOrEqual(full);
        });
        expect(waits.length).toBeLessThanOrEqual(options.maxRetries);
        expect(clock.monotonic()).toBeLessThanOrEqual(options.deadlineMs);
      },
    ),
  );
});
