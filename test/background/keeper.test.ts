import * as fs from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { expect, onTestFinished, test } from 'vitest';
import { type KeeperEvent, startKeeper } from '../../src/background/keeper.ts';
import { saysOpen } from '../../src/background/open.ts';
import { profileNamed } from '../../src/daw/match.ts';
import { generic } from '../../src/daw/generic.ts';
import { git } from '../../src/git/run.ts';
import { acquireLock } from '../../src/lock/lease.ts';
import { cachedStatus } from '../../src/lock/status.ts';
import { systemClock } from '../../src/system/clock.ts';
import { fileRemote } from '../support/remotes.ts';
import { type Member, team } from '../support/team.ts';

const seconds = { hours: 1 / 3600, minutes: 1 / 60 };

/** By the real clock: a lease of 2 s, so a beat every half second; given back after `idle` s; left alone after `maxIdle` s. */
async function holder(how: 'hand' | 'save', { maxIdle = 60, idle = 1, quietMs = 0 } = {}) {
  const remote = await fileRemote();
  const [ann] = await team(remote.url, ['Ann']);
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
  return { ann, keeper, told: () => events.map(({ event }) => event) };
}

const generation = async ({ ctx }: Member) => (await cachedStatus(ctx)).lock?.generation ?? 0;

/** As Qt's programs leave it beside a session that is open. */
async function openMark({ project }: Member, pid = process.pid): Promise<string> {
  const file = path.join(project.root, '.~lock.Song.rg#');
  await fs.writeFile(file, `${pid}\nrosegarden\n${os.hostname()}\n`);
  return file;
}

test('a lock that was taken by hand is kept alive although nobody saves, and is not given back by itself', async () => {
  const { ann, told } = await holder('hand');
  // Three times as long as the idle time, and longer than the lease.
  await expect.poll(async () => await generation(ann), { timeout: 30_000 }).toBeGreaterThan(7);
  expect((await cachedStatus(ann.ctx)).mine).toBe(true);
  expect(told()).toEqual([]);
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
  await sleep(1800);
  expect(told()).toEqual(['opened']);
  await git(ann.project.root, ['commit', '--quiet', '--allow-empty', '-m', 'not published']);
  await fs.rm(mark);
  await sleep(1800);
  expect(told()).toEqual(['opened']);
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
