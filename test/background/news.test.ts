import { spawn } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import * as fs from 'node:fs/promises';
import path from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { type NewsEvent, startNews } from '../../src/background/news.ts';
import type { DawProfile } from '../../src/daw/profile.ts';
import { git, tryGit } from '../../src/git/run.ts';
import { lockContext } from '../../src/lock/context.ts';
import { acquireLock, releaseLock, renewLock } from '../../src/lock/lease.ts';
import { lookAtLock } from '../../src/lock/view.ts';
import { systemClock } from '../../src/system/clock.ts';
import { band, type Musician, noDaw } from '../support/band.ts';
import { background } from '../support/cli.ts';
import { fakeClock } from '../support/fake-clock.ts';
import { httpRemote } from '../support/http-remote.ts';
import { statusLines } from '../support/project.ts';
import { sandbox, write } from '../support/sandbox.ts';
import { sshRemote } from '../support/ssh-remote.ts';

async function until(what: string, holds: () => Promise<boolean> | boolean): Promise<void> {
  for (const end = Date.now() + 20_000; !(await holds()); await new Promise((done) => setTimeout(done, 30)))
    if (Date.now() > end) throw new Error(`it never came to be that ${what}`);
}

/** What Ann hears of the others. */
function listening({ project }: Musician, { profile = noDaw, auto = true } = {}) {
  const events: NewsEvent[] = [];
  const config = { ...project.config, pull: { auto, pollSeconds: 0.2 } };
  const news = startNews({ ...project, config }, profile, systemClock, (event) => events.push(event));
  onTestFinished(async () => await news.stop());
  const heard = (event: NewsEvent['event']) => events.filter((one) => one.event === event);
  /** That a push takes the lock for a moment is seen, or not. */
  const ofVersions = () => events.filter(({ event }) => event !== 'lock-elsewhere' && event !== 'lock-free');
  return { ofVersions, news, heard };
}

const read = async ({ root }: Musician, name: string) => await fs.readFile(path.join(root, name), 'utf8');

test('who published is told once, and it is brought in by itself, but not while something is being saved', async () => {
  const { Ann, Ben } = await band('Ann', 'Ben');
  const { ofVersions, news, heard } = listening(Ann);
  news.calm(false);
  await Ben.save({ 'Song.song': 'two' });
  const tip = await Ben.save({ 'Song.song': 'three' });
  await Ben.push();
  await until('it is told', () => heard('team-published').length > 0);
  expect(ofVersions()).toEqual([{ event: 'team-published', commit: tip, versions: 2, authors: ['Ben'] }]);
  await new Promise((done) => setTimeout(done, 500));
  expect(await read(Ann, 'Song.song')).toBe('one');
  news.calm(true);
  await until('it is brought in', () => heard('brought-in').length > 0);
  expect([await read(Ann, 'Song.song'), await Ann.head(), await statusLines(Ann.root)]).toEqual(['three', tip, []]);
  await new Promise((done) => setTimeout(done, 500));
  expect(ofVersions()).toHaveLength(2);
});

test('a DAW that runs keeps it out, which is told once, and it comes when the DAW is closed', async () => {
  const { Ann, Ben } = await band('Ann', 'Ben');
  const program = path.join(await sandbox(), 'oxenvcs news daw');
  await fs.copyFile('/bin/sleep', program);
  await fs.chmod(program, 0o755);
  const running = spawn(program, ['60'], { stdio: 'ignore' });
  onTestFinished(() => void running.kill('SIGKILL'));
  const profile: DawProfile = { ...noDaw, programs: ['oxenvcs news daw'] };
  const { heard } = listening(Ann, { profile });
  await Ben.save({ 'Song.song': 'two' });
  await Ben.push();
  await until('it is told', () => heard('not-brought-in').length > 0);
  await new Promise((done) => setTimeout(done, 700));
  expect(heard('not-brought-in')).toHaveLength(1);
  expect(await read(Ann, 'Song.song')).toBe('one');
  running.kill('SIGKILL');
  await until('it is brought in', () => heard('brought-in').length > 0);
  expect(await read(Ann, 'Song.song')).toBe('two');
});

test('with pull.auto off, and while a take is being recorded, nothing is brought in', async () => {
  const { Ann, Ben } = await band('Ann', 'Ben');
  const { news, heard, ofVersions } = listening(Ann, { auto: false });
  await Ben.save({ 'Song.song': 'two' });
  await Ben.push();
  await until('it is told', () => heard('team-published').length > 0);
  news.recording(true);
  await new Promise((done) => setTimeout(done, 300));
  await Ben.save({ 'Song.song': 'three' });
  await Ben.push();
  await new Promise((done) => setTimeout(done, 700));
  expect(ofVersions()).toHaveLength(1);
  expect(await read(Ann, 'Song.song')).toBe('one');
});

test('when all is quiet the remote is asked ever less, up to every quarter of an hour, and often again when work begins', async () => {
  const { Ann } = await band('Ann');
  const clock = fakeClock();
  const asked: number[] = [];
  const sleep = async (ms: number, signal?: AbortSignal) => await clock.sleep(ms, signal);
  const slow = {
    ...clock,
    sleep: async (ms: number, signal?: AbortSignal) => {
      asked.push(ms);
      await sleep(ms, signal);
    },
  };
  const config = { ...Ann.project.config, pull: { auto: true, pollSeconds: 60 } };
  const news = startNews({ ...Ann.project, config }, noDaw, slow, () => undefined);
  await until('it is quiet', () => asked.filter((ms) => ms === 900_000).length >= 2);
  await news.stop();
  expect(asked.slice(0, 10)).toEqual(Array.from({ length: 10 }, () => 60_000));
  expect(Math.max(...asked)).toBe(900_000);
  expect(asked).toContain(480_000);
});

test.each(['a folder', 'reached over http', 'reached over ssh'])(
  'where a remote is %s, a look at it starts no git as long as nothing has happened there but by ourselves, and misses nothing',
  async (kind) => {
    const { Ann, Ben, remote } = await band('Ann', 'Ben');
    if (kind !== 'a folder') {
      // The git of the server is not meant.
      const env = { PATH: process.env['PATH'] ?? '' };
      const server = kind.endsWith('http')
        ? await httpRemote({ env })
        : await sshRemote({ acceptGitProtocol: true, env });
      Object.assign(process.env, server.env);
      onTestFinished(() => Object.keys(server.env).forEach((name) => delete process.env[name]));
      await fs.symlink(remote.dir, path.join(path.dirname(server.dir), 'band.git'));
      await git(Ann.root, ['remote', 'set-url', 'origin', server.url.replace('song.git', 'band.git')]);
    }
    const { calls, ended } = await countedGit();
    const { heard } = listening(Ann);
    const untilNone = async () =>
      await until('it starts none any more', async () => {
        const before = calls().length;
        await new Promise((done) => setTimeout(done, 600));
        return before > 0 && calls().length === before;
      });
    await untilNone();
    const ann = await lockContext(Ann.project);
    await acquireLock(ann, { how: 'hand' });
    await untilNone();
    const before = calls().length;
    expect((await renewLock(ann)).outcome).toBe('done');
    await untilNone();
    const after = calls().slice(before);
    expect([after.some((call) => call.includes(' push ')), after.some((call) => call.includes(' fetch '))]).toEqual([
      true,
      kind === 'a folder',
    ]);
    await ended();
    const note = path.join(Ann.root, '.oxenvcs/state/lock.json');
    await fs.rm(note);
    await until('what was swept away is noted anew', async () => existsSync(note));
    await releaseLock(ann);
    await acquireLock(await lockContext(Ben.project), { how: 'hand' });
    await until('the lock is told', () => heard('lock-elsewhere').length > 0);
    await Ben.save({ 'Song.song': 'two' });
    await Ben.push();
    await until('the version is told', () => heard('team-published').length > 0);
    const tip = await Ben.head();
    await git(remote.dir, ['update-ref', 'refs/heads/oxenvcs/rescue/ben/20261124T100000Z', tip]);
    const rescued = ['rev-parse', '--quiet', '--verify', 'refs/remotes/origin/oxenvcs/rescue/ben/20261124T100000Z'];
    await until('the rescue is here', async () => (await tryGit(Ann.root, rescued)).exitCode === 0);
    await git(remote.dir, ['update-ref', '-d', 'refs/heads/oxenvcs/rescue/ben/20261124T100000Z']);
    await until('it is gone', async () => (await tryGit(Ann.root, rescued)).exitCode !== 0);
  },
);

/** From now on each git that is started is counted, until it is over. */
async function countedGit() {
  const dir = await sandbox();
  const [log, before] = [path.join(dir, 'calls'), process.env['PATH']];
  const real = (before ?? '').split(':').find((folder) => existsSync(path.join(folder, 'git'))) ?? '';
  await write(dir, { calls: '', git: `#!/bin/sh\necho "$*" >>'${log}'\nexec '${real}/git' "$@"\n` });
  await fs.chmod(path.join(dir, 'git'), 0o755);
  process.env['PATH'] = `${dir}:${before}`;
  const ended = async () => void (process.env['PATH'] = before);
  onTestFinished(ended);
  return { calls: () => readFileSync(log, 'utf8').split('\n').slice(0, -1), ended };
}

test('a watcher brings in what the team published, makes no version of it, and says who made it', async () => {
  const { Ann, Ben } = await band('Ann', 'Ben');
  const env = { OXENVCS_PULL_POLL_SECONDS: '0.3', OXENVCS_WATCH_QUIET_SECONDS: '0.3', OXENVCS_WATCH_SCAN_SECONDS: '1' };
  const watching = background(['watch', Ann.root], { cwd: Ann.root, env });
  await watching.waitForLine(/Watching/);
  await Ben.save({ 'Song.song': 'two', 'Take.wav': 't' });
  await Ben.push();
  await watching.waitForLine(/Ben published a new version\./);
  await watching.waitForLine(/1 version of the team brought in/);
  await write(Ann.root, { 'Other.song': 'Ann’s' });
  await watching.waitForLine(/Other\.song saved/);
  await watching.waitForLine(/1 version published/);
  expect(watching.lines.filter((line) => line.includes('✓'))).toHaveLength(1);
  expect(await git(Ann.root, ['log', '--format=%an', '-2', 'main'])).toBe('Ann\nBen\n');
});

test('that somebody takes the lock is told with who it is, and that it is free again; that it was so before is no news', async () => {
  const { Ann, Ben } = await band('Ann', 'Ben');
  const ben = await lockContext(Ben.project);
  await acquireLock(ben, { how: 'hand' });
  // Ann's computer knew already.
  await lookAtLock(await lockContext(Ann.project));
  const { heard } = listening(Ann);
  await new Promise((done) => setTimeout(done, 800));
  expect(heard('lock-elsewhere')).toEqual([]);
  await releaseLock(ben);
  await until('it is told as free', () => heard('lock-free').length === 1);
  await acquireLock(ben, { how: 'hand' });
  await until('it is told', () => heard('lock-elsewhere').length === 1);
  await new Promise((done) => setTimeout(done, 500));
  expect(heard('lock-elsewhere')).toMatchObject([{ failure: { row: 'lock-held', details: { name: 'Ben' } } }]);
  expect(heard('lock-free')).toHaveLength(1);
});

test('a server that asks to be left alone is not looked at before that time', async () => {
  const { Ann } = await band('Ann');
  const server = await httpRemote();
  await git(Ann.root, ['remote', 'set-url', 'origin', server.url]);
  server.trouble = () => ({ status: 429, headers: { 'Retry-After': '60' } });
  const { heard } = listening(Ann);
  await until('it was asked by git', () => server.requests.some((request) => request.startsWith('GET')));
  const asked = server.requests.length;
  await new Promise((done) => setTimeout(done, 800));
  expect(server.requests).toHaveLength(asked);
  expect(heard('trouble')).toEqual([]);
});
