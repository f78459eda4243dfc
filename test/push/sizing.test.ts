import fc from 'fast-check';
import { expect, test } from 'vitest';
import { brokeOff, gotThrough, type Limits, type Sizing, startSizing } from '../../src/push/sizing.ts';

const limits = fc.record({
  min: fc.integer({ min: 1, max: 2 ** 22 }),
  max: fc.integer({ min: 1, max: 2 ** 30 }),
  seconds: fc.integer({ min: 1, max: 60 }),
});
/** What happened to each part in turn, and at how many bytes a second. */
const story = fc.array(fc.record({ broke: fc.boolean(), rate: fc.integer({ min: 1000, max: 10 ** 9 }) }), {
  maxLength: 40,
});

/** A transfer whose parts have exactly the size that is asked for. */
function* play(
  limited: Limits,
  events: { broke: boolean; rate: number }[],
): Generator<{ before: Sizing; after: Sizing; rate: number }> {
  let sizing = startSizing(limited);
  for (const { broke, rate } of events) {
    const before = sizing;
    const ms = (sizing.next / rate) * 1000;
    sizing = broke ? brokeOff(sizing, limited, sizing.next) : gotThrough(sizing, limited, sizing.next, ms);
    yield { before, after: sizing, rate };
  }
}

test('no part is outside of the limits; where they cross, what the remote takes counts', () => {
  fc.assert(
    fc.property(limits, story, (limited, events) => {
      for (const { after } of play(limited, events)) {
        expect(after.next).toBeLessThanOrEqual(limited.max);
        expect(after.next).toBeGreaterThanOrEqual(Math.min(limited.min, limited.max));
      }
    }),
  );
});

test('after a break no part is larger than the largest that got through', () => {
  fc.assert(
    fc.property(limits, story, (limited, events) => {
      let largest = 0;
      let broken = false;
      for (const { before, after } of play(limited, events)) {
        if (!after.broken || after.proven > before.proven) largest = Math.max(largest, after.proven);
        broken ||= after.broken;
        if (broken && largest > 0)
          expect(after.next).toBeLessThanOrEqual(Math.max(largest, Math.min(limited.min, limited.max)));
        // A part that broke is never tried again at the same size, unless it cannot be smaller.
        if (
          after.broken &&
          after.proven === before.proven &&
          after.next !== Math.min(limited.min, limited.max) &&
          before.next > after.proven
        )
          expect(after.next).toBeLessThan(before.next);
      }
    }),
  );
});

test('a steady link is filled within a few parts, and a part then takes the time that it should', () => {
  fc.assert(
    fc.property(fc.integer({ min: 50_000, max: 200_000_000 }), (rate) => {
      const usual = { min: 2 ** 20, max: 2 ** 28, seconds: 20 };
      const last = [
        ...play(
          usual,
          Array.from({ length: 8 }, () => ({ broke: false, rate })),
        ),
      ].at(-1);
      const wanted = Math.min(usual.max, Math.max(usual.min, rate * usual.seconds));
      expect((last?.after.next ?? 0) / wanted).toBeGreaterThan(0.95);
      expect((last?.after.next ?? 0) / wanted).toBeLessThan(1.05);
    }),
  );
});

test('a transfer that goes on after a break goes on at its size', () => {
  const usual = { min: 2 ** 20, max: 2 ** 28, seconds: 20 };
  const broken = brokeOff(gotThrough(startSizing(usual), usual, 2 ** 24, 1000), usual, 2 ** 26);
  expect(startSizing(usual, broken)).toEqual({ next: 2 ** 24, proven: 2 ** 24, broken: true });
});
