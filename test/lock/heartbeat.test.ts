import { expect, test } from 'vitest';
import { gitLine } from '../../src/git/run.ts';
import { breakLock } from '../../src/lock/break.ts';
import { loadView } from '../../src/lock/cache.ts';
import { type Activity, type Beat, keepLock, withLease } from '../../src/lock/heartbeat.ts';
import { acquireLock, releaseLock } from '../../src/lock/lease.ts';
import { lockRef } from '../../src/lock/names.ts';
import { cachedStatus } from '../../src/lock/status.ts';
import type { Failure } from '../../src/model/failures.ts';
import { publish } from '../../src/push/publish.ts';
import { systemClock } from '../../src/system/clock.ts';
import { type FakeClock, fakeClock } from '../support/fake-clock.ts';
import { type HttpRemote, httpRemote } from '../support/http-remote.ts';
import { type Member, team, version } from '../support/team.ts';

const minute = 60_000;
const hour = 60 * minute;
const busy = (): Activity => ({ idleForMs: 0, idleSince: null });

interface Player extends Member {
  clock: FakeClock;
}

async function holder(): Promise<{ ann: Player; ben: Player; bare: string; remote: HttpRemote }> {
  const remote = await httpRemote();
  const [ann, ben] = (await team(remote.url, ['Ann', 'Ben'])).map((member) => {
    const clock = fakeClock();
    return { ...member, clock, ctx: { ...member.ctx, clock } };
  });
  if (!ann || !ben) throw new Error('two were asked for');
  expect((await acquireLock(ann.ctx, { how: 'save' })).outcome).toBe('acquired');
  return { ann, ben, bare: remote.dir, remote };
}

/** Beats until `enough`, then stops; gives how it ended and what was told. */
async function beatUntil(
  { ctx }: Player,
  enough: (beats: Beat[]) => boolean | Promise<boolean>,
  activity: () => Activity = busy,
): Promise<{ end: Awaited<ReturnType<typeof keepLock>>; beats: Beat[] }> {
  const stop = new AbortController();
  const beats: Beat[] = [];
  const clock = {
    ...ctx.clock,
    sleep: async (ms: number, signal?: AbortSignal) => {
      if (await enough(beats)) stop.abort();
      await ctx.clock.sleep(ms, signal);
    },
  };
  const end = await keepLock({ ...ctx, clock }, { activity, onBeat: (beat) => beats.push(beat), signal: stop.signal });
  return { end, beats };
}

test('the lock is renewed every ten minutes for as long as it is held', async () => {
  const { ann, bare } = await holder();
  const start = ann.clock.now();
  const { end, beats } = await beatUntil(ann, (told) => told.length === 3);
  expect(end).toEqual({ why: 'stopped' });
  const at = beats.map((beat) => (beat.is === 'renewed' ? Date.parse(beat.held.record.renewedAt) - start : null));
  expect(at).toEqual([10 * minute, 20 * minute, 30 * minute]);
  expect(await gitLine(bare, ['rev-list', '--count', lockRef('main')])).toBe('4');
});

test('a publish counts as a heartbeat: nothing is sent twice', async () => {
  const { ann, bare } = await holder();
  let published = false;
  await beatUntil(ann, async (beats) => {
    if (!published && ann.clock.now() >= Date.parse('2026-11-24T08:09:00Z')) {
      published = true;
      await publish(ann.ctx, { tip: await version(ann) });
    }
    return beats.length === 1;
  });
  // Acquired at 8:00, published at 8:09, renewed at 8:19.
  expect(await gitLine(bare, ['rev-list', '--count', lockRef('main')])).toBe('3');
  expect(ann.clock.now() - Date.parse('2026-11-24T08:00:00Z')).toBeGreaterThanOrEqual(19 * minute);
});

test('a broken lock is noticed at the next beat, with who and why, and the beating ends', async () => {
  const { ann, ben } = await holder();
  let broken = false;
  const { end } = await beatUntil(ann, async () => {
    if (!broken) await breakLock(ben.ctx, { reason: 'needed now' });
    broken = true;
    return false;
  });
  expect(end).toMatchObject({
    why: 'lost',
    failure: { row: 'lock-lost' },
    loss: { how: 'broken', reason: 'needed now' },
  });
});

test('a lock that another process of this clone gave back is not told as lost', async () => {
  const { ann } = await holder();
  let released = false;
  const { end } = await beatUntil(ann, async () => {
    if (!released) await releaseLock(ann.ctx);
    released = true;
    return false;
  });
  expect(end).toEqual({ why: 'released' });
});

test('without network it is tried again, and it is over with the lease, not after it', async () => {
  const { ann, remote } = await holder();
  const start = ann.clock.now();
  remote.trouble = () => ({ status: 503 });
  const { end, beats } = await beatUntil(ann, () => false);
  expect(end).toMatchObject({ why: 'over', failure: { code: 'OFFLINE' } });
  expect(beats.length).toBeGreaterThan(30);
  for (const beat of beats) expect(beat.is === 'late' && beat.standsForMs).toBeGreaterThan(0);
  expect(ann.clock.now() - start).toBe(4 * hour);
});

test('when the network is back before the end, all is as before', async () => {
  const { ann, remote } = await holder();
  remote.trouble = () => ({ status: 503 });
  const { end, beats } = await beatUntil(ann, (told) => {
    if (told.length === 5) remote.trouble = () => null;
    return told.at(-1)?.is === 'renewed';
  });
  expect(end).toEqual({ why: 'stopped' });
  expect(beats.map(({ is }) => is)).toEqual(['late', 'late', 'late', 'late', 'late', 'renewed']);
});

test('after a sleep longer than the lease the lock is still ours if nobody took it', async () => {
  const { ann } = await holder();
  ann.clock.pass(20 * hour);
  const { end, beats } = await beatUntil(ann, (told) => told.length === 1);
  expect(end).toEqual({ why: 'stopped' });
  expect(beats[0]?.is).toBe('renewed');
});

test('after a sleep in which it was taken over, that is told', async () => {
  const { ann, ben } = await holder();
  ben.clock.pass(5 * hour);
  await acquireLock(ben.ctx, { how: 'save' });
  ben.clock.pass(hour);
  expect((await acquireLock(ben.ctx, { how: 'save' })).outcome).toBe('taken-over');
  ann.clock.pass(6 * hour);
  const { end } = await beatUntil(ann, () => false);
  expect(end).toMatchObject({ why: 'lost', loss: { how: 'taken-over', by: { name: 'Ben' } } });
});

test('a machine that was left on lets the lock run out, so that nobody is locked out', async () => {
  const { ann } = await holder();
  const start = ann.clock.now();
  ann.ctx.settings = { ...ann.ctx.settings, lock: { ...ann.ctx.settings.lock, maxIdleHours: 1 } };
  const activity = () => ({ idleForMs: ann.clock.now() - start, idleSince: null });
  const { end } = await beatUntil(ann, () => false, activity);
  expect(end).toEqual({ why: 'idle' });
  expect(ann.clock.now() - start).toBe(hour);
  expect((await cachedStatus(ann.ctx)).mine).toBe(true);
});

test('going idle is told to the remote soon, so that the person’s other machine may have the lock', async () => {
  const { ann } = await holder();
  const start = ann.clock.now();
  const { beats } = await beatUntil(
    ann,
    (told) => told.length === 1,
    () => ({ idleForMs: 0, idleSince: start }),
  );
  expect(beats[0]).toMatchObject({ is: 'renewed', held: { record: { idleSince: '2026-11-24T08:00:00.000Z' } } });
  expect(ann.clock.now() - start).toBeLessThan(2 * minute);
});

test('the next process carries on with the lock that a killed one left behind', async () => {
  const { ann } = await holder();
  const before = (await cachedStatus(ann.ctx)).lock;
  ann.clock.pass(minute);
  const { beats } = await beatUntil(ann, (told) => told.length === 1);
  expect(beats[0]).toMatchObject({ is: 'renewed', held: { record: { lockId: before?.id, generation: 2 } } });
});

test('work under a lease is told when the lock is lost, and why', async () => {
  const { ann, ben } = await holder();
  await releaseLock(ann.ctx);
  // By the real clock, beating every 1.2 s.
  const { lock } = ann.ctx.settings;
  const settings = { ...ann.ctx.settings, lock: { ...lock, heartbeatMinutes: 0.02 } };
  const done = await withLease({ ...ann.ctx, clock: systemClock, settings }, { how: 'save' }, async (signal) => {
    await breakLock(ben.ctx, { reason: 'sorry' });
    await new Promise((resolve) => signal.addEventListener('abort', resolve));
    return (signal.reason as Failure).message;
  });
  expect(done).toMatchObject({ outcome: 'done', end: { why: 'lost' } });
  expect(done.outcome === 'done' && done.value).toMatch(/taken from you by Ben: sorry/);
});

test('a lock that was taken for some work is given back after it, also when the work fails; one taken by hand is not', async () => {
  const { ann } = await holder();
  await acquireLock(ann.ctx, { how: 'hand' });
  await withLease(ann.ctx, { how: 'save' }, async () => undefined);
  expect((await loadView(ann.ctx)).seen).toMatchObject({ record: { state: 'held' } });
  await releaseLock(ann.ctx);
  // As the hook of a commit does.
  await acquireLock(ann.ctx, { how: 'save' });
  await withLease(ann.ctx, { how: 'save' }, async () => undefined);
  expect((await loadView(ann.ctx)).seen).toMatchObject({ record: { state: 'released' } });
  const failing = withLease(ann.ctx, { how: 'save' }, async () => {
    throw new Error('the work');
  });
  await expect(failing).rejects.toThrow('the work');
  expect((await loadView(ann.ctx)).seen).toMatchObject({ record: { state: 'released' } });
});
