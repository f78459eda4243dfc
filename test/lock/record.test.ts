import path from 'node:path';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { git, gitLine, tryGit } from '../../src/git/run.ts';
import { encodeBranch, lockRef } from '../../src/lock/names.ts';
import {
  commitText,
  type LockRecord,
  maxRecordBytes,
  newLock,
  nextRecord,
  parseRecord,
  printable,
  serializeRecord,
} from '../../src/lock/record.ts';
import { repository, sandbox } from '../support/sandbox.ts';

const owner = { name: 'Ann', email: 'ann@band.example', host: 'studio', clone: 'clone-1' };

function lock(over: Partial<Parameters<typeof newLock>[0]> = {}): LockRecord {
  const now = Date.parse('2026-11-24T08:30:00Z');
  const times = { leaseMs: 4 * 3_600_000, heartbeatMs: 600_000, now };
  return newLock(
    { branch: 'main', owner, how: 'hand', base: null, message: '', event: 'acquired', reason: null, ...times, ...over },
    null,
  );
}

test('any record that is written can be read again, whatever people called themselves, their songs and their reasons', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'binary', maxLength: 2000 }), fc.string({ unit: 'binary' }), (message, reason) => {
      const record = lock({ message, reason });
      expect(parseRecord(serializeRecord(record))).toEqual({ state: 'record', record });
      const next = nextRecord(record, 'broken', record.leaseMs, { state: 'broken', reason, by: owner });
      expect(parseRecord(serializeRecord(next))).toEqual({ state: 'record', record: next });
    }),
  );
});

test('whatever stands in a commit message, reading it never throws and nothing unprintable comes out', () => {
  const hostile = [
    '',
    'null',
    '[]',
    '{"v":0}',
    '{"v":1}',
    '{"v":"2"}',
    '{"v":1e400}',
    '{'.repeat(10_000),
    `"${'x'.repeat(maxRecordBytes)}"`,
    '\u0000',
  ];
  for (const text of hostile) expect(parseRecord(text).state).toBe('damaged');
  fc.assert(
    fc.property(fc.oneof(fc.json(), fc.string({ unit: 'binary' })), (text) => {
      const read = parseRecord(text);
      expect(read.state).not.toBe('record');
      // oxlint-disable-next-line no-control-regex -- they are what is looked for
      if (read.state === 'damaged') expect(read.detail).not.toMatch(/[\u0000-\u001f\u007f-\u009f\u202e]/);
    }),
  );
});

test('a record with one wrong value counts as damaged, never as free', () => {
  const good = lock();
  const wrong: Record<string, unknown>[] = [
    { state: 'free' },
    { event: 'stolen' },
    { generation: 0 },
    { generation: 1.5 },
    { generation: 2 ** 60 },
    { leaseMs: -1 },
    { leaseMs: null },
    { leaseMs: Number.MAX_SAFE_INTEGER },
    { leaseMs: 0.5 },
    { expiresAt: 'tomorrow' },
    { expiresAt: '2026-99-24T08:30:00Z' },
    { base: '--upload-pack=x' },
    { published: 'main' },
    { owner: 'Ann' },
    { owner: { ...owner, name: 'Ann\u001b[2J' } },
    { owner: { ...owner, host: 'a\nb' } },
    { message: '\u202egnp.exe' },
    { message: 'x'.repeat(1001) },
    { lockId: '' },
  ];
  for (const change of wrong)
    expect([change, parseRecord(JSON.stringify({ ...good, ...change })).state]).toEqual([change, 'damaged']);
});

test('a record of a newer version is told from a damaged one, also when nothing else in it is known', () => {
  expect(parseRecord('{"v":2}')).toEqual({ state: 'newer' });
  expect(parseRecord(JSON.stringify({ ...lock(), v: 7, state: 'frozen' }))).toEqual({ state: 'newer' });
});

test('fields that a later program of the same version adds do no harm', () => {
  const record = lock();
  expect(parseRecord(JSON.stringify({ ...record, mood: 'blue' }))).toEqual({ state: 'record', record });
});

test('two records made at the same moment by the same clone are not the same commit', () => {
  const [one, other] = [lock(), lock()];
  expect(commitText(one, 'tree', null)).not.toBe(commitText(other, 'tree', null));
  expect(nextRecord(one, 'renewed', 0).nonce).not.toBe(one.nonce);
});

test('git takes the commit as it is, and the same record makes the same commit again', async () => {
  const dir = await repository(path.join(await sandbox(), 'song'));
  const tree = await gitLine(dir, ['hash-object', '-w', '-t', 'tree', '--stdin'], { input: '' });
  const record = lock({ message: 'Mix “Æther” 🎛️' });
  const write = async (text: string) =>
    await gitLine(dir, ['hash-object', '-w', '-t', 'commit', '--stdin'], { input: text });
  const first = await write(commitText(record, tree, null));
  const second = await write(commitText(nextRecord(record, 'renewed', Date.now()), tree, first));
  expect(await write(commitText(record, tree, null))).toBe(first);
  expect(await gitLine(dir, ['rev-list', '--count', second])).toBe('2');
  expect(parseRecord(await git(dir, ['log', '-1', '--format=%B', first]))).toEqual({ state: 'record', record });
  expect((await tryGit(dir, ['fsck', '--strict', '--no-dangling'])).stderr).toBe('');
});

test('a record before 1970, from a clock that was reset, is still a commit', () => {
  expect(commitText(lock({ now: -5000 }), 'tree', null)).toContain('> 0 +0000\n');
});

test('each branch name gives a ref of its own that git allows, and none blocks another', async () => {
  const dir = await repository(path.join(await sandbox(), 'song'));
  const names = [
    'main',
    'main/alt',
    'MAIN',
    'a.lock',
    '.x',
    'a..b',
    'Ünïcode 🎸',
    "it's (ok)!",
    'a~*b',
    '%6Dain',
    '\ud800',
    'ä'.repeat(110),
    'ä'.repeat(111),
  ];
  const head = await gitLine(dir, ['rev-parse', 'HEAD']);
  for (const name of names) await git(dir, ['update-ref', lockRef(name), head]);
  expect(new Set(names.map(encodeBranch)).size).toBe(names.length);
  expect((await git(dir, ['for-each-ref', 'refs/oxenvcs/locks/'])).trim().split('\n')).toHaveLength(names.length);
  fc.assert(
    fc.property(fc.string({ unit: 'binary', minLength: 1 }), (name) => {
      expect(encodeBranch(name)).toMatch(/^[A-Za-z0-9_%-]{1,240}$/);
    }),
  );
});

test('what people write fits one line of a terminal', () => {
  expect(printable('  one\ntwo\u001b[31m\ttab ', 100)).toBe('one two [31m tab');
  expect(printable('🎸🎸🎸', 2)).toBe('🎸🎸');
  expect(printable('\ud800', 10)).toBe('\ufffd');
});
