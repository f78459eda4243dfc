import * as fs from 'node:fs/promises';
import path from 'node:path';
import { expect, test } from 'vitest';
import { Failure } from '../../src/model/failures.ts';
import { healthOf } from '../../src/network/health.ts';
import { NetworkOperation } from '../../src/network/operation.ts';
import { RetryPolicy } from '../../src/network/retry.ts';
import { noteTry, readTries, type Tried } from '../../src/network/tries.ts';
import { sandbox } from '../support/sandbox.ts';
import { virtualClock } from '../support/virtual-clock.ts';

const url = 'https://ann:secret@band.example/song.git';
const start = Date.parse('2026-11-24T08:00:00Z');
const push: Tried = { op: 'push', at: start, ms: 1, failure: null, retryMs: null };
const offline = (detail: string) => new Failure('offline', { detail });

test('what was tried, how long it took and what was tried again and why, is told after a restart, without credentials', async () => {
  const root = await sandbox();
  const clock = virtualClock(start);
  const left = [offline('connection timed out'), offline('connection timed out')];
  const operation = new NetworkOperation(
    'push',
    async () => {
      await clock.sleep(40);
      const failure = left.shift();
      if (failure) throw failure;
    },
    { clock, random: () => 1, onTried: async (tried) => await noteTry(root, url, tried) },
  );
  await operation.execute();
  left.push(offline(`no route to ${'x'.repeat(1000)}`));
  await expect(operation.withPolicy(RetryPolicy.noRetry()).execute()).rejects.toMatchObject({ code: 'OFFLINE' });
  // Somebody else has the lock: the remote answered. A full disk here says nothing of it.
  const note = async (tried: Partial<Tried>) =>
    await noteTry(root, url, { op: 'lock', at: clock.now(), ms: 7, failure: null, retryMs: null, ...tried });
  await note({ failure: new Failure('lock-held') });
  await note({ failure: new Failure('disk-full', { detail: 'x' }) });
  await noteTry(root, 'https://elsewhere.example/song.git', { ...push, op: 'x' });
  const lines = await readTries(root, url);
  expect(healthOf(lines)).toEqual({
    since: '2026-11-24T08:00:00.040Z',
    tries: 5,
    successRate: 0.4,
    operations: [
      { name: 'lock', tries: 1, failed: 0, medianMs: 7, p95Ms: 7 },
      { name: 'push', tries: 4, failed: 3, medianMs: 40, p95Ms: 40 },
    ],
    retried: [
      {
        operation: 'push',
        code: 'OFFLINE',
        reason: 'connection timed out',
        count: 2,
        lastAt: '2026-11-24T08:00:01.080Z',
      },
    ],
    lastSuccessAt: lines.at(-1)?.at,
    lastFailure: { at: lines[3]?.at, operation: 'push', code: 'OFFLINE', reason: `no route to ${'x'.repeat(188)}` },
  });
  const text = await fs.readFile(path.join(root, '.oxenvcs/state/network.jsonl'), 'utf8');
  expect(text).not.toMatch(/secret|band\.example/);
});

test('the operation is not tried while the remote is away, and what never came to talking is not counted', async () => {
  const clock = virtualClock();
  const states: ('offline' | 'unknown' | 'online')[] = ['offline', 'offline', 'unknown'];
  const tried: Tried[] = [];
  let runs = 0;
  const ports = {
    clock,
    check: async () => {
      const state = states.shift() ?? 'online';
      const connectivity = { state, remote: url, latencyMs: null, checkedAt: '', reason: 'no answer in time' };
      return { connectivity, failure: null };
    },
    onTried: async (one: Tried) => void tried.push(one),
    hasTalked: (value: number) => value > 1,
  };
  const operation = new NetworkOperation('push', async () => ++runs, ports);
  expect(await operation.execute()).toBe(1);
  expect({ runs, reasons: tried.map(({ failure }) => failure?.details['detail']) }).toEqual({
    runs: 1,
    reasons: ['no answer in time', 'no answer in time'],
  });
  expect(await operation.execute()).toBe(2);
  expect(tried.at(-1)).toMatchObject({ op: 'push', failure: null });
});

test('years of tries, noted side by side, stay small, and damaged lines cost only themselves', async () => {
  const root = await sandbox();
  const state = path.join(root, '.oxenvcs', 'state');
  await noteTry(root, url, push);
  await fs.appendFile(path.join(state, 'network.jsonl'), '{"v":1,"at":\n\0\0\0\n{"v":2}\n');
  const writer = async () => {
    for (let i = 0; i < 600; i++) await noteTry(root, url, { ...push, at: start + i });
  };
  await Promise.all([writer(), writer()]);
  const sizes = await Promise.all(
    (await fs.readdir(state)).map(async (name) => (await fs.stat(path.join(state, name))).size),
  );
  expect(sizes.length).toBeLessThanOrEqual(2);
  for (const size of sizes) expect(size).toBeLessThan(70_000);
  const lines = await readTries(root, url);
  expect(lines.length).toBeGreaterThan(300);
  expect(lines.at(-1)).toMatchObject({ op: 'push' });
});

test('a note that cannot be written stops nothing, and makes no folder where a disk was unplugged', async () => {
  const dir = await sandbox();
  const gone = path.join(dir, 'gone');
  await noteTry(gone, url, push);
  expect(await fs.readdir(dir)).toEqual([]);
  expect(healthOf(await readTries(gone, url))).toMatchObject({ tries: 0, since: null, successRate: null });
});
