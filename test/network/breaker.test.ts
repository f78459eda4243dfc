import fc from 'fast-check';
import { expect, test } from 'vitest';
import { type Breaker, breakerState, closed, step } from '../../src/network/breaker.ts';

const settings = { maxRetries: 5, initialBackoffMs: 1000, maxBackoffMs: 30_000 };
const failed = { event: 'failed', askedMs: 0, random: 1 } as const;

test('it opens for as long as a command would wait, then ever longer, up to a quarter of an hour', () => {
  let breaker: Breaker = closed;
  let now = 0;
  const waits: number[] = [];
  for (let i = 0; i < 13; i++) {
    breaker = step(breaker, failed, now, settings);
    waits.push((breaker.until - now) / 1000);
    now = breaker.until;
  }
  expect(waits).toEqual([1, 2, 4, 8, 16, 30, 60, 120, 240, 480, 900, 900, 900]);
});

test('nothing is tried while it is open; one success closes it; what the server asks for is kept; it never stays open for ever', () => {
  const tries = fc.array(
    fc.record({
      /** Since the last one, ms: whoever tries does not always ask first. */
      after: fc.integer({ min: 0, max: 2_000_000 }),
      works: fc.boolean(),
      askedMs: fc.oneof(fc.constant(0), fc.integer({ min: 0, max: 86_400_000 })),
      random: fc.double({ min: 0, max: 0.999, noNaN: true }),
    }),
    { maxLength: 30 },
  );
  fc.assert(
    fc.property(tries, (all) => {
      let breaker: Breaker = closed;
      let now = 0;
      for (const { after, works, askedMs, random } of all) {
        now += after;
        const before = breakerState(breaker, now);
        const next = step(
          breaker,
          works ? { event: 'succeeded' } : { event: 'failed', askedMs, random },
          now,
          settings,
        );
        if (works) expect(breakerState(next, now)).toBe('closed');
        else if (before === 'open') expect(next).toBe(breaker);
        else {
          expect(next.failures).toBe(breaker.failures + 1);
          expect(next.until - now).toBeGreaterThanOrEqual(Math.max(askedMs, 500));
          expect(next.until - now).toBeLessThanOrEqual(Math.max(askedMs, 900_000));
          expect(breakerState(next, next.until - 1)).toBe('open');
          expect(breakerState(next, next.until)).toBe('half-open');
        }
        breaker = next;
      }
    }),
  );
});
