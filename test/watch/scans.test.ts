import { expect, test } from 'vitest';
import { firstScan, nextScan, type Scans } from '../../src/watch/scans.ts';
import { times } from './machine.ts';

const since = (scans: Partial<Scans>) => nextScan(times, { ...firstScan(times, 0), at: 0, ...scans }) / 1000;

test('the longer nothing stirs the more seldom all is compared, up to a quarter of an hour; a slow drive is not kept busy', () => {
  expect([0, 1, 2, 3, 4, 50].map((idle) => since({ idle }))).toEqual([60, 120, 240, 480, 900, 900]);
  expect([20, 400, 8000].map((took) => since({ blind: true, took, idle: 50 }))).toEqual([3, 8, 60]);
  // A setting of more than that is the person's.
  expect(nextScan({ ...times, scan: 3_600_000 }, { ...firstScan(times, 0), at: 0, idle: 9 })).toBe(3_600_000);
});

test('all is compared at the start, and then as seldom as if it had gone on through the quiet before', () => {
  expect(since({ at: Number.NEGATIVE_INFINITY })).toBeLessThan(0);
  const idle = (minutes: number) => firstScan(times, minutes * 60_000).idle;
  expect([0, 0.9, 1, 2.9, 3, 7, 15].map(idle)).toEqual([0, 0, 1, 1, 2, 3, 4]);
});

test('what was heard is compared at once, and again when half of the quiet time has passed, for it may come late', () => {
  expect(since({ heardAt: 0 })).toBe(0);
  expect(since({ at: 10_000, heardAt: 11_000 })).toBe(11);
  expect(since({ at: 11_050, heardAt: 11_000 })).toBe(12.5);
  expect(since({ at: 12_500, heardAt: 11_000 })).toBe(72.5);
  // A scan that is due anyway is not put off by it.
  expect(nextScan({ ...times, scan: 1000 }, { ...firstScan(times, 0), at: 11_050, heardAt: 11_000 })).toBe(12_050);
});
