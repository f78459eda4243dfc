import * as fs from 'node:fs/promises';
import path from 'node:path';
import { expect, test } from 'vitest';
import { git } from '../../src/git/run.ts';
import { breakLock } from '../../src/lock/break.ts';
import { cacheFile, loadView } from '../../src/lock/cache.ts';
import { readPending } from '../../src/lock/journal.ts';
import { acquireLock, releaseLock, renewLock } from '../../src/lock/lease.ts';
import { withMutex } from '../../src/lock/mutex.ts';
import { lockHistory, lockStatus } from '../../src/lock/status.ts';
import { lookAtLock } from '../../src/lock/view.ts';
import { publish } from '../../src/push/publish.ts';
import { run } from '../../src/system/process.ts';
import { type FakeClock, fakeClock } from '../support/fake-clock.ts';
import { httpRemote, type HttpRemote, isPush } from '../support/http-remote.ts';
import { type Member, team, version } from '../support/team.ts';

interface Player extends Member {
  clock: FakeClock;
}

async function band(): Promise<{ ann: Player; ben: Player; remote: HttpRemote }> {
  const remote = await httpRemote();
  const [ann, ben] = (await team(remote.url, ['Ann', 'Ben'])).map((member) => {
    const clock = fakeClock();
    return { ...member, clock, ctx: { ...member.ctx, clock } };
  });
  if (!ann || !ben) throw new Error('two were asked for');
  return { ann, ben, remote };
}

test('who holds the lock is known without network, with its age', async () => {
  const { ann, ben, remote } = await band();
  await acquireLock(ann.ctx, { how: 'hand', message: 'mixing' });
  const online = await lockStatus(ben.ctx);
  expect(online).toMatchObject({
    unreachable: null,
    status: {
      held: true,
      mine: false,
      source: 'remote',
      checkedAt: '2026-11-24T08:00:00.000Z',
      fencing: 'atomic',
      lock: {
        owner: { name: 'Ann', email: 'ann@band.example' },
        acquiredAt: '2026-11-24T08:00:00.000Z',
        expiresAt: '2026-11-24T12:00:00.000Z',
        generation: 1,
        message: 'mixing',
        expired: false,
      },
    },
  });
  await remote.stop();
  ben.clock.pass(5 * 3_600_000);
  const offline = await lockStatus(ben.ctx);
  expect(offline.unreachable?.code).toBe('OFFLINE');
  expect(offline.status).toMatchObject({
    held: true,
    source: 'cache',
    checkedAt: '2026-11-24T08:00:00.000Z',
    lock: { expired: true },
  });
});

test('a clone that never asked says so instead of "free"', async () => {
  const { ann, remote } = await band();
  await remote.stop();
  expect((await lockStatus(ann.ctx)).status).toMatchObject({ held: false, checkedAt: null, source: 'cache' });
});

test('the pre-commit hook reads who holds the lock with sed, whatever people are called', async () => {
  const { ann, ben } = await band();
  ann.ctx.owner = { ...ann.ctx.owner, name: 'Ann "The Ear" O\'Neill \\ 🎧', host: 'a","since":"never' };
  await acquireLock(ann.ctx, { how: 'save' });
  await lookAtLock(ben.ctx);
  const field = (name: string) => `s/^{"v":1,"heldByOther":\\(true\\),.*"${name}":"\\([^"]*\\)".*"branch".*$/\\2/p`;
  const read = async (player: Player, script: string) => {
    const call = { cwd: player.project.root, env: process.env };
    return (await run('sed', ['-n', script, cacheFile(player.ctx)], call)).stdout.toString().trim();
  };
  const prefix = /^\{"v":1,"heldByOther":true,"name":"Ann 'The Ear' O'Neill ' 🎧","host":"a','since':'never","since":"/;
  const text = await fs.readFile(cacheFile(ben.ctx), 'utf8');
  expect(text).toMatch(prefix);
  expect(text.trim().split('\n')).toHaveLength(1);
  expect(await read(ben, field('since'))).toBe('2026-11-24T08:00:00.000Z');
  expect(await fs.readFile(cacheFile(ann.ctx), 'utf8')).toMatch(/^\{"v":1,"heldByOther":false,/);
  await releaseLock(ann.ctx);
  await lookAtLock(ben.ctx);
  expect(await fs.readFile(cacheFile(ben.ctx), 'utf8')).toMatch(/^\{"v":1,"heldByOther":false,/);
});

test('the history says who held it, until when, what they published, who broke it and why', async () => {
  const { ann, ben } = await band();
  const hour = 3_600_000;
  await acquireLock(ann.ctx, { how: 'hand', message: 'vocals' });
  ann.clock.pass(hour);
  const tip = await version(ann);
  await publish(ann.ctx, { tip });
  ann.clock.pass(hour);
  await renewLock(ann.ctx);
  await releaseLock(ann.ctx);
  await git(ben.project.root, ['pull', '--quiet']);
  ben.clock.pass(3 * hour);
  await acquireLock(ben.ctx, { how: 'save' });
  ann.clock.pass(2 * hour);
  await breakLock(ann.ctx, { reason: 'Ben went home' });
  await lookAtLock(ben.ctx);
  const history = await lockHistory(ben.ctx);
  expect(history.map(({ generation, event, by, at, until }) => [generation, event, by.name, at, until])).toEqual([
    [6, 'broken', 'Ann', '2026-11-24T12:00:00.000Z', '2026-11-24T12:00:00.000Z'],
    [5, 'acquired', 'Ben', '2026-11-24T11:00:00.000Z', '2026-11-24T12:00:00.000Z'],
    [4, 'released', 'Ann', '2026-11-24T10:00:00.000Z', '2026-11-24T10:00:00.000Z'],
    [1, 'acquired', 'Ann', '2026-11-24T08:00:00.000Z', '2026-11-24T10:00:00.000Z'],
  ]);
  expect(history[0]).toMatchObject({ state: 'broken', owner: { name: 'Ben' }, reason: 'Ben went home' });
  expect(history[3]).toMatchObject({ published: tip, message: 'vocals', reason: null });
  expect(await lockHistory(ben.ctx, { limit: 1 })).toHaveLength(1);
});

test('a lock that was never taken has no history', async () => {
  const { ann } = await band();
  await lookAtLock(ann.ctx);
  expect(await lockHistory(ann.ctx)).toEqual([]);
});

test('a damaged note of the lock is set aside and made anew from the refs', async () => {
  const { ann } = await band();
  await acquireLock(ann.ctx, { how: 'save' });
  await fs.writeFile(cacheFile(ann.ctx), '{"v":1,"heldByOther":');
  expect((await loadView(ann.ctx)).seen).toMatchObject({ state: 'record', record: { owner: { name: 'Ann' } } });
  expect(await fs.readdir(path.join(ann.project.root, '.oxenvcs', 'damaged'))).toHaveLength(1);
  expect((await renewLock(ann.ctx)).outcome).toBe('done');
});

test('work on the lock takes turns, and one that fails does not hold up the next', async () => {
  const { ann } = await band();
  const order: string[] = [];
  const work = (name: string, fails = false) =>
    withMutex(ann.ctx, async () => {
      order.push(`${name} begins`);
      await new Promise((resolve) => setTimeout(resolve, 20));
      order.push(`${name} ends`);
      if (fails) throw new Error(name);
    });
  const all = await Promise.allSettled([work('one'), work('two', true), work('three')]);
  expect(all.map(({ status }) => status)).toEqual(['fulfilled', 'rejected', 'fulfilled']);
  expect(order).toEqual(['one begins', 'one ends', 'two begins', 'two ends', 'three begins', 'three ends']);
});

test('many looks at once in one clone do not trip over each other, nor over a lock that is being taken', async () => {
  const { ann, ben } = await band();
  await acquireLock(ben.ctx, { how: 'save' });
  await releaseLock(ben.ctx);
  for (let round = 0; round < 5; round++) {
    const looks = Array.from({ length: 4 }, async () => await lookAtLock(ann.ctx));
    const [got, ...looked] = await Promise.all([acquireLock(ann.ctx, { how: 'hand' }), ...looks]);
    expect(got.outcome).toBe('acquired');
    expect(looked.map(({ outcome }) => outcome)).toEqual(['read', 'read', 'read', 'read']);
    expect((await loadView(ann.ctx)).seen).toMatchObject({ record: { state: 'held', owner: { name: 'Ann' } } });
    expect((await loadView(ann.ctx)).lost).toBeNull();
    await releaseLock(ann.ctx);
  }
});

test('while a long publish is under way, a status and a save’s question are answered at once', async () => {
  const { ann, remote } = await band();
  await acquireLock(ann.ctx, { how: 'save' });
  remote.trouble = (request) => (isPush(request) ? 'hang' : null);
  const stop = new AbortController();
  const publishing = publish({ ...ann.ctx, signal: stop.signal }, { tip: await version(ann) });
  while ((await readPending(ann.ctx)) === null) await new Promise((resolve) => setTimeout(resolve, 20));
  expect((await lockStatus(ann.ctx)).status).toMatchObject({ mine: true, source: 'remote' });
  expect(await acquireLock(ann.ctx, { how: 'save' })).toMatchObject({ outcome: 'already-mine' });
  stop.abort();
  expect((await publishing).outcome).toBe('unreachable');
});
