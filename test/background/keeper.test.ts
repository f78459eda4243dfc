import * as fs from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { expect, onTestFinished, test } from 'vitest';
import { type KeeperEvent, startKeeper } from '../../src/background/keeper.ts';
import { saysOpen } from '../../src/background/open.ts';
import { profileNamed } from '../../src/daw/match.ts';
import { generic } from '../../src/daw/generic.ts';
import { git, gitLine } from '../../src/git/run.ts';
import { breakLock } from '../../src/lock/break.ts';
import { loadView } from '../../src/lock/cache.ts';
import { acquireLock } from '../../src/lock/lease.ts';
import { cachedStatus } from '../../src/lock/status.ts';
import { lookAtLock } from '../../src/lock/view.ts';
import { type Clock, systemClock } from '../../src/system/clock.ts';
import { fileRemote } from '../support/remotes.ts';
import { type Member, team } from '../support/team.ts';

const seconds = { hours: 1 / 3600, minutes: 1 / 60 };

/** By the real clock: a lease of 2 s, so a beat every half second; given back after `idle` s; left alone after `maxIdle` s. */
async function holder(how: 'hand' | 'save', { maxIdle = 60, idle = 1, quietMs = 0, others = [] as string[] } = {}) {
  const remote = await fileRemote();
  const [ann, ben] = await team(remote.url, ['Ann', ...others]);
  if (!ann) throw new Error('one was asked for');
  const lock = {
    ...ann.project.config.lock,
    releaseAfterIdleMinutes: idle * seconds.minutes,
    maxIdleHours: maxIdle * seconds.hours,
  };
  ann.project.config = { ...ann.project.config, lock };
  await acquireLock(ann.ctx, { how, leaseMs: 2000 });
  const events: KeeperEvent[] = [];
  const keeper = startKeeper(ann.project, generic, systemClock, (event) => events.push(event), quietMs);
  onTestFinished(() => keeper.stop());
  return { ann, ben, keeper, begun: Date.now(), events, told: () => events.map(({ event }) => event) };
}

const generation = async ({ ctx }: Member) => (await cachedStatus(ctx)).lock?.generation ?? 0;

/** Since when the holder's other computer may take the lock, as the remote is told; null: not. */
const idleSince = async ({ ctx }: Member) => {
  const { seen } = await loadView(ctx);
  return seen.state === 'record' && seen.record.idleSince !== null ? Date.parse(seen.record.idleSince) : null;
};

/** As Qt's programs leave it beside a session that is open. */
async function openMark({ project }: Member, pid = process.pid): Promise<string> {
  const file = path.join(project.root, '.~lock.Song.rg#');
  await fs.writeFile(file, `${pid}\nrosegarden\n${os.hostname()}\n`);
  return file;
}

test('a lock that was taken by hand is kept alive although nobody saves, and is not given back by itself', async () => {
  const { ann, told, begun } = await holder('hand');
  await expect.poll(async () => await idleSince(ann), { timeout: 30_000 }).not.toBeNull();
  // Three times as long as the idle time, and longer than the lease.
  await expect.poll(async () => await generation(ann), { timeout: 30_000 }).toBeGreaterThan(5);
  expect((await cachedStatus(ann.ctx)).mine).toBe(true);
  expect(told()).toEqual([]);
  // Their other computer may have it: all is published, and nobody has worked since it was begun (told by hundredths of a second).
  expect(await idleSince(ann)).toBeLessThanOrEqual(begun + 100);
});

test('a lock that was only taken to publish what lay there for days, or a new project, is given back at once', async () => {
  const { ann, told } = await holder('save', { idle: 1800, quietMs: Number.POSITIVE_INFINITY });
  await expect.poll(told, { timeout: 30_000 }).toEqual(['lock-released']);
  expect((await cachedStatus(ann.ctx)).held).toBe(false);
});

test('while the DAW’s own lock file says that the session is open, or a version is not published, the lock stays', async () => {
  const { ann, told } = await holder('save');
  const mark = await openMark(ann);
  await expect.poll(told).toEqual(['opened']);
  await expect.poll(async () => await idleSince(ann), { timeout: 30_000 }).toBeNull();
  await sleep(1400);
  expect([told(), await idleSince(ann)]).toEqual([['opened'], null]);
  await git(ann.project.root, ['commit', '--quiet', '--allow-empty', '-m', 'not published']);
  await fs.rm(mark);
  await sleep(1400);
  expect([told(), await idleSince(ann)]).toEqual([['opened'], null]);
  await git(ann.project.root, ['push', '--quiet', 'origin', 'main']);
  await expect.poll(told, { timeout: 30_000 }).toEqual(['opened', 'lock-released']);
  expect((await cachedStatus(ann.ctx)).held).toBe(false);
});

test('a machine that was left on with the session open lets the lock run out, says so once, and goes on when work does', async () => {
  const { ann, keeper, told } = await holder('save', { maxIdle: 1.5 });
  await openMark(ann);
  await expect.poll(told, { timeout: 30_000 }).toEqual(['opened', 'lock-idle']);
  const last = await generation(ann);
  await sleep(1500);
  expect(await generation(ann)).toBe(last);
  expect(told()).toEqual(['opened', 'lock-idle']);
  keeper.active();
  await expect.poll(async () => await generation(ann), { timeout: 30_000 }).toBeGreaterThan(last);
});

test('a lock that somebody breaks while nobody publishes is told as lost, with who did it and why', async () => {
  const { ben, events } = await holder('hand', { others: ['Ben'] });
  if (!ben) throw new Error('two were asked for');
  await breakLock(ben.ctx, { reason: 'on a plane' });
  await expect
    .poll(() => events, { timeout: 30_000 })
    .toMatchObject([{ event: 'lock-lost', failure: { details: { name: 'Ben', reason: 'on a plane' } } }]);
});

test('a lock that went to the same person’s other computer is not told as if a stranger had taken it', async () => {
  const { ann, ben, events } = await holder('save', { idle: 20, quietMs: 5000, others: ['Ben'] });
  if (!ben) throw new Error('two were asked for');
  await expect.poll(async () => await idleSince(ann), { timeout: 30_000 }).not.toBeNull();
  const laptop = { ...ben.ctx, owner: { ...ann.ctx.owner, clone: 'laptop', host: 'laptop' } };
  expect((await acquireLock(laptop, { how: 'save' })).outcome).toBe('taken-over');
  await expect.poll(() => events, { timeout: 30_000 }).toEqual([{ event: 'lock-moved', host: 'laptop' }]);
});

test('while nobody has the lock it is seldom looked at, and one that is taken by hand is kept alive all the same', async () => {
  const remote = await fileRemote();
  const [ann] = await team(remote.url, ['Ann']);
  if (!ann) throw new Error('one was asked for');
  // What is known is that it is free.
  await lookAtLock(ann.ctx);
  const begun = systemClock.monotonic();
  const waits: number[] = [];
  const clock: Clock = {
    ...systemClock,
    monotonic: () => systemClock.monotonic() - begun,
    sleep: async (ms, signal) => {
      waits.push(ms);
      await systemClock.sleep(ms, signal);
    },
  };
  const keeper = startKeeper(ann.project, generic, clock, () => undefined);
  onTestFinished(() => keeper.stop());
  await expect.poll(() => waits.length).toBe(1);
  expect(waits[0]).toBeGreaterThan(60_000);
  // A sign of work is looked into at once.
  keeper.stirred();
  await expect.poll(() => waits.length).toBe(2);
  await acquireLock(ann.ctx, { how: 'hand', leaseMs: 2000 });
  keeper.look();
  await expect.poll(async () => await generation(ann), { timeout: 30_000 }).toBeGreaterThan(2);
  // It does not wait for its next look.
  await keeper.stop();
  expect((await cachedStatus(ann.ctx)).mine).toBe(true);
});

test('what goes wrong is told once, not at each look, and goes by itself', async () => {
  const { ann, told } = await holder('save');
  const url = await gitLine(ann.project.root, ['remote', 'get-url', 'origin']);
  await git(ann.project.root, ['remote', 'remove', 'origin']);
  await expect.poll(told, { timeout: 30_000 }).toEqual(['trouble']);
  await sleep(700);
  expect(told()).toEqual(['trouble']);
  await git(ann.project.root, ['remote', 'add', 'origin', url]);
  await git(ann.project.root, ['fetch', '--quiet', 'origin']);
  await expect.poll(told, { timeout: 30_000 }).toEqual(['trouble', 'lock-released']);
});

test('a lock file that a crash has left behind, or another computer on a share, does not count as open', () => {
  const here = (text: string) => saysOpen(text, 'studio', (pid) => pid === 7);
  expect(here('7\nrosegarden\nstudio\nabc\ndef\n')).toBe(true);
  expect(here('8\nrosegarden\nstudio\n')).toBe(false);
  expect(here('7\nrosegarden\nlaptop\n')).toBe(false);
  expect(here(',ann,studio,24.11.2026 10:00,file:///home/ann;')).toBe(true);
  expect(here(',ann,laptop,24.11.2026 10:00,file:///home/ann;')).toBe(false);
  expect(here('')).toBe(true);
  expect(profileNamed('rosegarden')?.openMark).toBe('.~lock.NAME#');
});
