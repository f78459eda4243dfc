import { expect, test } from 'vitest';
import { describeLock } from '../../src/cli/lock.ts';
import type { LockStatus } from '../../src/lock/status.ts';

const free: LockStatus = {
  held: false,
  mine: false,
  lock: null,
  source: 'remote',
  checkedAt: '2026-11-24T08:00:00.000Z',
  fencing: 'atomic',
  unreadable: null,
  lost: null,
};

test('a lock that the remote cannot enforce is never told without saying so', () => {
  expect(describeLock(free)).toBe('Nobody has the lock.');
  for (const status of [free, { ...free, held: true }, { ...free, checkedAt: null }])
    expect(describeLock({ ...status, fencing: 'advisory' })).toMatch(/advisory/);
});

test('what is not known now is told with its age, and what was never asked is not told as free', () => {
  expect(describeLock({ ...free, source: 'cache' })).toMatch(/Nobody has the lock \(as of 2026-11-24 \d\d:\d\d\)\./);
  expect(describeLock({ ...free, source: 'cache', checkedAt: null })).toMatch(/not known/);
});
