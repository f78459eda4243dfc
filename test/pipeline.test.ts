import { spawn } from 'node:child_process';
import * as fs from 'node:fs/promises';
import path from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { git, gitLine, tryGit } from '../src/git/run.ts';
import { loadView } from '../src/lock/cache.ts';
import { acquireLock } from '../src/lock/lease.ts';
import { type Background, background, oxenvcs } from './support/cli.ts';
import { fileRemote, httpRemote } from './support/remotes.ts';
import { sandbox, write } from './support/sandbox.ts';
import { team, version } from './support/team.ts';

const quick = {
  OXENVCS_WATCH_QUIET_SECONDS: '0.3',
  OXENVCS_WATCH_MEDIA_QUIET_SECONDS: '0.6',
  OXENVCS_WATCH_SCAN_SECONDS: '1',
  OXENVCS_NETWORK_INITIAL_BACKOFF_MS: '100',
  OXENVCS_NETWORK_MAX_BACKOFF_MS: '500',
};

interface Song {
  song: string;
  dir: string;
  run: (args: string[]) => ReturnType<typeof oxenvcs>;
  watch: () => Promise<Background>;
}

async function newSong(remote: string | null, files: Record<string, string> = { 'Song.als': 'one' }): Promise<Song> {
  const dir = await sandbox();
  const song = path.join(dir, 'My Söng 🎸');
  await write(song, files);
  const run = async (args: string[]) => await oxenvcs(args, { cwd: song, env: quick });
  const made = await run(['init', ...(remote === null ? [] : ['--remote', remote])]);
  if (made.code !== 0) throw new Error(made.stderr);
  const watch = async () => {
    const started = background(['watch', song], { cwd: dir, env: quick });
    await started.waitForLine(/Watching/);
    return started;
  };
  return { song, dir, run, watch };
}

async function until(what: string, holds: () => Promise<boolean>, timeoutMs = 20_000): Promise<void> {
  for (const end = Date.now() + timeoutMs; !(await holds()); await new Promise((done) => setTimeout(done, 50)))
    if (Date.now() > end) throw new Error(`it never came to be that ${what}`);
}

const tip = async (repo: string) => await gitLine(repo, ['rev-parse', 'refs/heads/main']);
const subjects = async (repo: string) =>
  (await git(repo, ['log', '--reverse', '--format=%s', 'main'])).trim().split('\n').slice(1);
const queueFiles = async (song: string) =>
  await fs.readdir(path.join(song, '.oxenvcs', 'queue')).catch(() => [] as string[]);
const entries = async (song: string) => (await queueFiles(song)).filter((name) => /^\d+-[0-9a-f]+\.json$/.test(name));

test('one save is one version, published under the lock, with nothing left to do', async () => {
  const remote = await fileRemote();
  const { song, run, watch } = await newSong(remote.url);
  const watching = await watch();
  await until(
    'the first version is published',
    async () => (await tip(remote.dir).catch(() => '')) === (await tip(song)),
  );
  await write(song, { 'Song.als': 'two', 'Samples/Vocals 1.wav': 'a', 'Samples/Vocals 2.wav': 'b' });
  await watching.waitForLine(/Song\.als saved; 2 new takes/);
  await until(
    'it is published',
    async () => (await tip(remote.dir)) === (await tip(song)) && (await entries(song)).length === 0,
  );
  expect(await subjects(remote.dir)).toEqual(['Song.als saved; 2 new takes']);
  const status = (await run(['status', '--json'])).json();
  expect(status).toMatchObject({
    project: song,
    branch: 'main',
    daw: 'live',
    remote: { url: remote.url, reachable: true },
    watcher: { state: 'clean', pid: watching.pid },
    lock: {
      held: true,
      mine: true,
      source: 'remote',
      fencing: 'atomic',
      lock: { owner: { name: 'Ann' }, expired: false },
    },
    queue: { pending: 0, failed: 0, halted: 0 },
    unpublished: 0,
    behind: 0,
    remoteKind: 'remote',
    problems: [],
  });
  const log = (await run(['log', '--json'])).json() as { versions: object[] };
  expect(log.versions[0]).toMatchObject({
    author: 'Ann',
    message: 'Song.als saved; 2 new takes',
    files: 3,
    published: true,
    incomplete: false,
  });
});

test('offline saves are versions at once, wait in order, and go out by themselves when the remote is back', async () => {
  const remote = await fileRemote();
  const { song, run, watch } = await newSong(remote.url);
  const watching = await watch();
  const all = async () =>
    (await tip(remote.dir).catch(() => '')) === (await tip(song)) && (await entries(song)).length === 0;
  await until('the first version is published', all);
  const unplugged = `${remote.dir}.unplugged`;
  await fs.rename(remote.dir, unplugged);
  for (const text of ['two', 'three']) {
    await write(song, { 'Song.als': text });
    await until('it is queued', async () => (await entries(song)).length === (text === 'two' ? 1 : 2));
  }
  const log = (await run(['log', '--json'])).json() as { versions: { published: boolean }[] };
  expect(log.versions.map(({ published }) => published)).toEqual([false, false, true]);
  const made = await tip(song);
  await fs.rename(unplugged, remote.dir);
  await until('both are published', async () => (await tip(remote.dir)) === made && (await entries(song)).length === 0);
  expect(await subjects(remote.dir)).toEqual(['Song.als saved', 'Song.als saved']);
  expect((await watching.kill('SIGINT')).code).toBe(130);
});

test('a version whose entry in the queue cannot be written is told all the same, and goes out when that is mended', async () => {
  const remote = await fileRemote();
  const { song, watch } = await newSong(remote.url);
  const watching = await watch();
  await watching.waitForLine(/1 version published/);
  // Where the refs of the queue are to lie.
  await git(song, ['update-ref', 'refs/oxenvcs/queue', 'HEAD']);
  await write(song, { 'Song.als': 'two' });
  await watching.waitForLine(/⚠ .*refs\/oxenvcs\/queue.* It is tried again by itself/);
  await watching.waitForLine(/Song\.als saved/);
  await git(song, ['update-ref', '-d', 'refs/oxenvcs/queue']);
  await until('it is published', async () => (await tip(remote.dir)) === (await tip(song)));
  expect(await subjects(remote.dir)).toEqual(['Song.als saved']);
});

test('Ctrl-C while a save waits for its take leaves a version, not half a one', async () => {
  const { song, watch } = await newSong(null);
  const watching = await watch();
  const take = await fs.open(path.join(song, 'Take.wav'), 'w');
  await take.write('recording');
  await write(song, { 'Song.als': 'two' });
  // It has settled, and is captured; its version waits for the take alone.
  await watching.waitForLine(/Waiting: audio is being written/);
  expect((await watching.kill('SIGINT')).code).toBe(130);
  await take.close();
  expect(await subjects(song)).toEqual(['Song.als saved; recording goes on']);
  expect(await git(song, ['log', '-1', '--format=%B'])).toContain('Incomplete: Take.wav');
  expect(await git(song, ['ls-tree', '--name-only', 'main'])).not.toContain('Take.wav');
  await fs.access(path.join(song, '.git', 'index.lock')).then(
    () => expect.unreachable('an index.lock was left'),
    () => undefined,
  );
});

test('who holds the lock, and that a recording is waited for, is said once and not at every look', async () => {
  const remote = await fileRemote();
  const [ann, ben] = await team(remote.url, ['Ann', 'Ben']);
  if (!ann || !ben) return expect.unreachable();
  const { root } = ann.project;
  const watching = background(['watch', root], { cwd: root, env: { ...quick, OXENVCS_PULL_POLL_SECONDS: '0.3' } });
  await until('it has seen that nobody has it', async () => (await loadView(ann.ctx)).checkedAt !== null);
  await acquireLock(ben.ctx, { how: 'save' });
  const take = await fs.open(path.join(root, 'Take.wav'), 'w');
  await take.write('flush 1,');
  await write(root, { 'Song.als': 'while recording' });
  await watching.waitForLine(/Waiting: audio is being written/);
  await take.write('flush 2,');
  await write(root, { 'Song.als': 'still recording', 'Take 2.wav': 'another track' });
  await watching.waitForLine(/saved; recording goes on/);
  await take.close();
  await watching.waitForLine(/saved; 2 new takes/);
  await watching.waitForLine(/2 versions kept here/);
  await version(ben);
  await git(ben.project.root, ['push', '--quiet', 'origin', 'main']);
  await watching.waitForLine(/Ben published a new version/);
  await watching.kill('SIGINT');
  const lines = watching.lines.map((line) => line.replace(/^\S+ +/, ''));
  expect(lines.filter((line) => line.startsWith('Waiting:'))).toHaveLength(1);
  const held = lines.filter((line) => line.startsWith('Ben holds the lock')).map((line) => line.split('. ')[1]);
  expect(held.at(-1)).toBe('2 versions kept here until it is free.');
  expect(new Set(held).size).toBe(held.length);
});

test('a second watcher of the same folder is refused, and one that was killed is not waited for', async () => {
  const { song, run, watch } = await newSong(null);
  const first = await watch();
  const second = await run(['watch']);
  expect(second.code).toBe(1);
  expect(second.stderr).toContain(`is being watched already (process ${first.pid})`);
  await first.kill('SIGKILL');
  await watch();
  expect(await entries(song)).toBeDefined();
});

test('saves made while nobody watched are caught up at the next start', async () => {
  const { song, watch } = await newSong(null);
  await write(song, { 'Song.als': 'while it was off' });
  const watching = await watch();
  await watching.waitForLine(/Song\.als saved/);
});

test('a project folder that vanishes while it is watched ends the watch with a sentence', async () => {
  const { song, dir, watch } = await newSong(null);
  const watching = await watch();
  await fs.rename(song, path.join(dir, 'moved away'));
  await watching.waitForLine(/The project folder .* is gone/);
  expect((await watching.ended).code).toBe(7);
  // Under the name of an unplugged disk it would be in the way when the disk comes back.
  expect(await fs.readdir(dir)).not.toContain(path.basename(song));
});

test('settings that are broken are not published with the next save: they would stop the whole team', async () => {
  const remote = await fileRemote();
  const { song, watch } = await newSong(remote.url);
  const watching = await watch();
  const settings = path.join(song, '.oxenvcs', 'config.json');
  const sound = await fs.readFile(settings, 'utf8');
  await write(song, { '.oxenvcs/config.json': '{"brnch":', 'Song.als': 'two' });
  await watching.waitForLine(/Song\.als saved/);
  expect(await git(song, ['show', 'HEAD:.oxenvcs/config.json'])).toBe(sound);
  await write(song, { '.oxenvcs/config.json': '{"v":1,"daw":"live"}\n', 'Song.als': 'three' });
  const committed = async () => await git(song, ['show', 'HEAD:.oxenvcs/config.json']);
  await until('mended settings are in the next version', async () => (await committed()).includes('"daw":"live"'));
});

test('git clean -fdx under a running watch does not end it', async () => {
  const { song, run, watch } = await newSong(null);
  const watching = await watch();
  await watching.waitForLine(/1 version published/);
  // A note that the watcher writes in that very moment keeps a folder alive: git then says so with exit 1.
  await tryGit(song, ['clean', '-fdxq']);
  await until('the watcher is seen again', async () => (await run(['status'])).stdout.includes('Watched:'));
  await write(song, { 'Song.als': 'two' });
  await watching.waitForLine(/Song\.als saved/);
  await until('all is published', async () => (await entries(song)).length === 0);
  await until('that is said in words', async () => (await run(['status'])).stdout.includes('every save is a version.'));
  expect((await watching.kill()).code).toBe(130);
});

test('settings that are not JSON are refused by name with exit code 2', async () => {
  const { song, run } = await newSong(null);
  await write(song, { '.oxenvcs/config.json': '{"v":1,' });
  const refused = await run(['status', '--json']);
  expect(refused.code).toBe(2);
  expect(refused.json()).toMatchObject({ error: { code: 'CONFIG_INVALID', retryable: false } });
  expect(refused.stderr).toMatch(/config\.json: it is not JSON/);
});

test('refused credentials: the version stays queued, halted, and the sentence says what to do; when they are good again it goes out by itself', async () => {
  const auth = { user: 'ann', password: 'secret' };
  const remote = await httpRemote({ auth });
  const { song, run } = await newSong(null);
  await git(song, ['remote', 'set-url', 'origin', remote.url.replace('://', '://ann:wrong-word@')]);
  const pushed = await run(['push', '--json']);
  expect(pushed.code).toBe(6);
  expect(pushed.json()).toMatchObject({ error: { code: 'AUTH' } });
  expect(pushed.stdout + pushed.stderr).not.toContain('wrong-word');
  const queue = (await run(['queue', 'list', '--json'])).json();
  expect(queue).toMatchObject({
    entries: [{ state: 'halted', kind: 'publish', branch: 'main', attempts: 1, lastError: { code: 'AUTH' } }],
  });
  const status = await run(['status', '--json']);
  expect(status.stdout).not.toContain('wrong-word');
  expect(status.json()).toMatchObject({ problems: [{ code: 'AUTH' }] });

  const watching = background(['watch', song], { cwd: song, env: { ...quick, OXENVCS_PULL_POLL_SECONDS: '0.3' } });
  await watching.waitForLine(/credentials/);
  const [before, asked] = [remote.requests.length, 8];
  await until('it has been turned down more than once', async () => remote.requests.length >= before + asked);
  auth.password = 'wrong-word';
  await watching.waitForLine(/1 version published/);
  expect(watching.lines.filter((line) => /credentials.*kept here/.test(line))).toHaveLength(1);
});

test('a remote that is no repository is refused at init, and named', async () => {
  const { song, dir, run } = await newSong(null);
  const refused = await run(['init', song, '--remote', path.join(dir, 'nothing-here.git')]);
  expect(refused.code).toBe(2);
  expect(refused.stderr).toContain('There is no Git repository at');
});

test('offline: push says so with exit 4 after its tries, and --no-retry tries once', async () => {
  const { song, run } = await newSong(null);
  await git(song, ['remote', 'set-url', 'origin', 'http://127.0.0.1:9/none.git']);
  const once = await run(['push', '--no-retry']);
  expect(once.code).toBe(4);
  expect(once.stdout).not.toContain('Retrying');
  const tried = await run(['push']);
  expect(tried.code).toBe(4);
  expect(tried.stdout).toMatch(/⚠ Attempt 1 failed: .*\nRetrying in 0\.[01] s…/);
  expect(tried.stderr).toMatch(/^⚠ The remote cannot be reached: /);
});

test('the lock by hand: taken, refused to the other with exit 3, given back', async () => {
  const remote = await fileRemote();
  const { run } = await newSong(remote.url);
  expect((await run(['push', '--json'])).json()).toMatchObject({
    outcome: 'pushed',
    branch: 'main',
    parts: 1,
    attempts: 1,
  });
  expect((await run(['push', '--json'])).json()).toMatchObject({ outcome: 'up-to-date', bytesSent: 0 });
  // A push by hand gives the lock back: nobody would renew it.
  expect((await run(['lock', 'status', '--json'])).json()).toMatchObject({ held: false, mine: false });
  const acquire = ['lock', 'acquire', '--message', 'mixing', '--json'];
  expect((await run(acquire)).json()).toMatchObject({ outcome: 'acquired', attempts: 1, lock: { message: 'mixing' } });
  expect((await run(acquire)).json()).toMatchObject({ outcome: 'already-mine' });

  const dir = await sandbox();
  await git(dir, ['clone', '--quiet', remote.url, 'ben']);
  const ben = async (args: string[]) => await oxenvcs(args, { cwd: path.join(dir, 'ben'), env: quick });
  await git(path.join(dir, 'ben'), ['config', 'user.name', 'Ben']);
  expect((await ben(['init'])).code).toBe(0);
  const refused = await ben(['lock', 'acquire', '--json']);
  expect(refused.code).toBe(3);
  expect(refused.json()).toMatchObject({ error: { code: 'LOCK_HELD', name: 'Ann', retryable: true } });
  expect((await ben(['lock', 'status', '--json'])).json()).toMatchObject({
    held: true,
    mine: false,
    lock: { owner: { name: 'Ann' }, message: 'mixing' },
  });
  expect((await run(['lock', 'release', '--json'])).json()).toMatchObject({ lock: null, outcome: 'released' });
  expect((await ben(['lock', 'acquire', '--timeout', '0.5', '--json'])).json()).toMatchObject({
    outcome: 'acquired',
    lock: { owner: { name: 'Ben' } },
  });
});

test('--wait takes the lock as soon as the other gives it back, and says who has it meanwhile', async () => {
  const remote = await fileRemote();
  const { run } = await newSong(remote.url);
  await run(['push']);
  await run(['lock', 'acquire']);
  const dir = await sandbox();
  await git(dir, ['clone', '--quiet', remote.url, 'ben']);
  await git(path.join(dir, 'ben'), ['config', 'user.name', 'Ben']);
  await oxenvcs(['init'], { cwd: path.join(dir, 'ben'), env: quick });
  const waiting = background(['lock', 'acquire', '--wait', '30s'], {
    cwd: path.join(dir, 'ben'),
    env: { ...quick, OXENVCS_PULL_POLL_SECONDS: '0.2' },
  });
  await waiting.waitForLine(/Waiting: Ann holds the lock/);
  await run(['lock', 'release']);
  await waiting.waitForLine(/✓ Lock acquired/);
  expect((await waiting.ended).code).toBe(0);
});

test.each([
  [['frobnicate'], 2],
  [['push', '--colour'], 2],
  [['lock', 'acquire', '--wait', 'soon'], 2],
  [[], 2],
])('wrong words are a wrong use, with a next step: %j', async (args, code) => {
  const { run } = await newSong(null);
  const refused = await run([...args, '--json']);
  expect(refused.code).toBe(code);
  expect(refused.json()).toMatchObject({ error: { code: 'USAGE' } });
});

test('a folder that is no project: exit 7', async () => {
  const dir = await sandbox();
  for (const args of [['status'], ['push'], ['log'], ['queue', 'list'], ['lock', 'status'], ['watch']]) {
    const refused = await oxenvcs([...args, '--json'], { cwd: dir });
    expect(refused.code).toBe(7);
    expect(refused.json()).toMatchObject({ error: { code: 'NOT_A_PROJECT' } });
  }
});

test('what is not the team’s is left alone: a version of another branch is not published by itself', async () => {
  const remote = await fileRemote();
  const { song, run, watch } = await newSong(remote.url);
  await run(['push']);
  await git(song, ['checkout', '--quiet', '-b', 'idea']);
  const watching = await watch();
  await write(song, { 'Song.als': 'an idea' });
  await watching.waitForLine(/Song\.als saved/);
  await watching.kill('SIGINT');
  expect(await entries(song)).toEqual([]);
  expect(await git(remote.dir, ['for-each-ref', 'refs/heads'])).not.toContain('idea');
});

test('the lock goes back by itself when nobody works here, but not while the DAW has the project open', async () => {
  const remote = await fileRemote();
  const { song, dir, run } = await newSong(remote.url);
  const take = path.join(song, 'Take.wav');
  await write(song, { 'Take.wav': 'audio' });
  const daw = path.join(dir, 'Live');
  await fs.copyFile('/usr/bin/tail', daw);
  await fs.chmod(daw, 0o755);
  const live = spawn(daw, ['-f', take], { stdio: 'ignore' });
  onTestFinished(() => void live.kill('SIGKILL'));
  const env = { ...quick, OXENVCS_LOCK_RELEASE_AFTER_IDLE_MINUTES: '0.03' };
  const watching = background(['watch', song], { cwd: dir, env });
  await watching.waitForLine(/You have the lock/);
  await watching.waitForLine(/published/);
  await write(song, { 'Song.als': 'two' });
  await watching.waitForLine(/Song\.als saved/);
  // Twice the idle time goes by, with the take open in the DAW.
  await new Promise((done) => setTimeout(done, 4000));
  expect((await run(['lock', 'status', '--json'])).json()).toMatchObject({ mine: true });
  live.kill('SIGKILL');
  await watching.waitForLine(/The lock was given back/);
  expect((await run(['lock', 'status', '--json'])).json()).toMatchObject({ held: false });
});

test('a lock that somebody broke is noticed, with who did it and why, and nothing is overwritten', async () => {
  const remote = await fileRemote();
  const { song, dir, run } = await newSong(remote.url);
  // The heartbeat comes every second; a lease as short as that would run out on a busy machine.
  const env = { ...quick, OXENVCS_LOCK_HEARTBEAT_MINUTES: String(1 / 60) };
  const watching = background(['watch', song], { cwd: dir, env });
  await write(song, { 'Song.als': 'somebody works here' });
  await watching.waitForLine(/Song\.als saved/);
  await until('it is published', async () => (await entries(song)).length === 0);
  const other = await sandbox();
  await git(other, ['clone', '--quiet', remote.url, 'ben']);
  await git(path.join(other, 'ben'), ['config', 'user.name', 'Ben']);
  const ben = async (args: string[]) => await oxenvcs(args, { cwd: path.join(other, 'ben'), env: quick });
  await ben(['init', '--no-hooks']);
  const refused = await ben(['lock', 'break', '--json']);
  expect(refused.code).toBe(2);
  expect((await ben(['lock', 'break', '--force', '--reason', 'Ann is on a plane', '--json'])).json()).toMatchObject({
    outcome: 'broken',
    lock: null,
  });
  await watching.waitForLine(/taken from you by Ben: Ann is on a plane/);
  expect((await run(['status', '--json'])).json()).toMatchObject({
    lock: { held: false, lost: { how: 'broken' } },
    problems: [{ code: 'LOCK_LOST' }],
  });
  const { history } = (await run(['lock', 'history', '--json'])).json() as { history: object[] };
  expect(history).toContainEqual(
    expect.objectContaining({
      state: 'broken',
      reason: 'Ann is on a plane',
      by: expect.objectContaining({ name: 'Ben' }),
    }),
  );
});

test('a folder that was copied never counts as the holder; one that was moved does when a person says so', async () => {
  const remote = await fileRemote();
  const { song, dir, run } = await newSong(remote.url);
  await run(['push']);
  expect((await run(['lock', 'acquire'])).code).toBe(0);
  const copy = path.join(dir, 'copy');
  await fs.cp(song, copy, { recursive: true });
  const there = async (args: string[]) => await oxenvcs(args, { cwd: copy, env: quick });
  const refused = await there(['lock', 'acquire', '--json']);
  expect(refused.code).toBe(3);
  expect(refused.stderr).toMatch(/before it was moved or copied/);
  expect((await there(['lock', 'status', '--json'])).json()).toMatchObject({ held: true, mine: false });
  expect((await there(['lock', 'acquire', '--moved', '--json'])).json()).toMatchObject({ outcome: 'already-mine' });
});

test('taking the lock brings in what the team published since, but never over unsaved work', async () => {
  const remote = await fileRemote();
  const { song, run } = await newSong(remote.url);
  await run(['push']);
  const dir = await sandbox();
  await git(dir, ['clone', '--quiet', remote.url, 'ben']);
  const ben = path.join(dir, 'ben');
  const publish = async (text: string) => {
    await write(ben, { 'Song.als': text });
    await git(ben, ['commit', '--quiet', '--all', '-m', text]);
    await git(ben, ['push', '--quiet', 'origin', 'main']);
  };
  await publish('Ben’s chorus');
  expect((await run(['lock', 'acquire', '--json'])).json()).toMatchObject({ outcome: 'acquired' });
  expect(await fs.readFile(path.join(song, 'Song.als'), 'utf8')).toBe('Ben’s chorus');
  await run(['lock', 'release']);
  await publish('Ben’s bridge');
  await write(song, { 'Song.als': 'not saved as a version yet' });
  const refused = await run(['lock', 'acquire', '--json']);
  expect(refused.code).toBe(3);
  expect(refused.json()).toMatchObject({ error: { code: 'STALE_BASE' } });
  expect(await fs.readFile(path.join(song, 'Song.als'), 'utf8')).toBe('not saved as a version yet');
});

test('work that begins offline is noted with what it began on, and done when the lock can be taken', async () => {
  const remote = await fileRemote();
  const { song, run } = await newSong(remote.url);
  await run(['push']);
  const base = await tip(song);
  await fs.rename(remote.dir, `${remote.dir}.unplugged`);
  const watching = background(['watch', song], { cwd: song, env: quick });
  await watching.waitForLine(/Watching/);
  await write(song, { 'Song.als': 'on the train' });
  await watching.waitForLine(/Song\.als saved/);
  const listed = async () =>
    ((await run(['queue', 'list', '--json'])).json() as { entries: { kind: string; commit: string }[] }).entries;
  await until('both are listed', async () => (await listed()).length === 2);
  expect((await listed()).map(({ kind, commit }) => ({ kind, commit }))).toEqual([
    { kind: 'intent', commit: base },
    { kind: 'publish', commit: await tip(song) },
  ]);
  const [file = ''] = (await queueFiles(song)).filter((name) => name.endsWith('-intent.json'));
  const intent = JSON.parse(await fs.readFile(path.join(song, '.oxenvcs', 'queue', file), 'utf8')) as object;
  expect(intent).toMatchObject({ kind: 'intent', base, paths: ['Song.als'] });
  await fs.rename(`${remote.dir}.unplugged`, remote.dir);
  await until('all is done', async () => (await listed()).length === 0);
  expect(await tip(remote.dir)).toBe(await tip(song));
});

test('saves that follow each other at once are not left to the next scan', async () => {
  const { song, dir } = await newSong(null);
  const env = { ...quick, OXENVCS_WATCH_QUIET_SECONDS: '0.2', OXENVCS_WATCH_SCAN_SECONDS: '60' };
  const watching = background(['watch', song], { cwd: dir, env });
  await watching.waitForLine(/Watching/);
  const versions = () => watching.lines.filter((line) => line.includes('Song.als saved')).length;
  for (let n = 1; n <= 15; n++) {
    await write(song, { 'Song.als': `save ${n}` });
    await until(`save ${n} is a version`, async () => versions() === n);
  }
});

test('init waits for whoever is at the index just now', async () => {
  const { song, run } = await newSong(null);
  const lock = path.join(song, '.git', 'index.lock');
  await write(song, { 'Other.logicx/ProjectData': 'x' });
  await fs.writeFile(lock, '');
  const [done] = await Promise.all([
    run(['init']),
    new Promise((later) => setTimeout(later, 1500)).then(async () => await fs.rm(lock)),
  ]);
  expect(done.code).toBe(0);
});
