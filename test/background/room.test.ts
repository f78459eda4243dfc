import { randomBytes } from 'node:crypto';
import * as fs from 'node:fs/promises';
import path from 'node:path';
import { expect, test } from 'vitest';
import { diskProblem, noRoomInVault, watchDisk } from '../../src/background/room.ts';
import { git, gitLine } from '../../src/git/run.ts';
import { makeVault } from '../../src/setup/vault.ts';
import { background, oxenvcs } from '../support/cli.ts';
import { projectWithRemote } from '../support/project.ts';
import { fileRemote } from '../support/remotes.ts';
import { sandbox, write } from '../support/sandbox.ts';
import { smallDisk } from '../support/small-disk.ts';

const quick = {
  OXENVCS_WATCH_QUIET_SECONDS: '0.3',
  OXENVCS_WATCH_MEDIA_QUIET_SECONDS: '0.8',
  OXENVCS_WATCH_SCAN_SECONDS: '2',
  OXENVCS_WATCH_GROWING_TAKE_HOLD_SECONDS: '1.2',
};
const mega = 1_000_000;

async function until(what: string, holds: () => Promise<boolean>): Promise<void> {
  for (const end = Date.now() + 30_000; !(await holds()); await new Promise((done) => setTimeout(done, 50)))
    if (Date.now() > end) throw new Error(`it never came to be that ${what}`);
}

interface Status {
  watcher: { state: string; detail: string };
  unpublished: number;
  problems: { code: string; message: string; hint: string }[];
}

test('while a take grows its saves are versions, and nothing is sent; status says so; then all goes out', async () => {
  const remote = await fileRemote();
  const song = path.join(await sandbox(), 'Song');
  await write(song, { 'Song.als': 'one' });
  const cli = { cwd: song, env: quick };
  expect((await oxenvcs(['init', '--no-hooks', '--remote', remote.url], cli)).code).toBe(0);
  const tip = async (dir: string) => await gitLine(dir, ['rev-parse', '--verify', '--quiet', 'refs/heads/main']);
  const watch = background(['watch'], cli);
  await until('the first version is out', async () => (await tip(remote.dir).catch(() => '')) === (await tip(song)));
  const first = await tip(song);

  const take = await fs.open(path.join(song, 'Take 1.wav'), 'a');
  const flushes = setInterval(() => void take.write('flush'), 200);
  try {
    await write(song, { 'Song.als': 'while recording' });
    await watch.waitForLine(/Song\.als saved; recording goes on/);
    await new Promise((done) => setTimeout(done, 700));
    expect(await tip(remote.dir)).toBe(first);
    const status = (await oxenvcs(['status', '--json'], cli)).json() as Status;
    expect(status).toMatchObject({ watcher: { state: 'held' }, unpublished: 1 });
    expect(status.watcher.detail).toBe('audio is being written, nothing is sent meanwhile: Take 1.wav');
  } finally {
    clearInterval(flushes);
    await take.close();
  }
  await until('what was saved while recording is out', async () => (await tip(remote.dir)) === (await tip(song)));
  expect((await oxenvcs(['status', '--json'], cli)).json()).toMatchObject({ unpublished: 0 });
});

test('on a small disk a take that would eat into the reserve waits and says so; the save does not', async () => {
  const disk = await smallDisk(64 * mega);
  const song = path.join(disk, 'Song');
  await write(song, { 'Song.als': 'one' });
  const { bavail, bsize } = await fs.statfs(disk);
  const reserve = 15 * mega;
  const env = { ...quick, OXENVCS_DISK_RESERVE_BYTES: String(reserve), OXENVCS_PUSH_AUTO: 'false' };
  const cli = { cwd: song, env };
  expect((await oxenvcs(['init', '--no-hooks'], cli)).code).toBe(0);
  const filler = path.join(disk, 'filler');
  await fs.writeFile(filler, Buffer.alloc(bavail * bsize - reserve - 20 * mega));
  const watch = background(['watch'], cli);
  await watch.waitForLine(/Watching/);

  await write(song, { 'Song.als': 'two', 'Take.wav': Buffer.alloc(15 * mega, 'noise') });
  await watch.waitForLine(/Song\.als saved; 1 take to follow/);
  await watch.waitForLine(/Waiting: for room on the disk: Take\.wav/);
  await watch.waitForLine(/The disk of .*Song runs low: \d+ MB are left/);
  const status = (await oxenvcs(['status', '--json'], cli)).json() as Status;
  expect(status.watcher.state).toBe('held');
  expect(status.problems[0]?.message).toMatch(/^The disk of .*Song runs low/);
  expect(await git(song, ['log', '-1', '--format=%(trailers:key=Incomplete)'])).toMatch(/Take\.wav/);
  await fs.rm(filler);
  await write(song, { 'Song.als': 'three' });
  await watch.waitForLine(/Song\.als saved; 1 new take/);
});

test('it is said early that the disk runs low, once, with what is ours of it, and again when it gets worse', async () => {
  const { project } = await projectWithRemote();
  const { bavail, bsize } = await fs.statfs(project.gitDir);
  const reserving = (share: number) => ({
    ...project,
    config: { ...project.config, disk: { reserveBytes: Math.round(bavail * bsize * share) } },
  });
  const told: string[] = [];
  const disk = watchDisk(reserving(0.7), ({ failure }) => told.push(failure.row));
  await disk.room();
  const room = await disk.room();
  expect(told).toEqual(['disk-runs-low']);
  expect(room.media).toBeGreaterThan(0);
  expect(room.sessions).toBeGreaterThan(room.media);
  expect(await diskProblem(reserving(0.3))).toBe(null);
  const worse = await diskProblem(reserving(1.5));
  expect(worse).toMatchObject({ row: 'disk-low', code: 'INTERNAL', retryable: true });
  expect(worse?.hint).toMatch(/\d+(\.\d)? (bytes|kB|MB) of it is the history of this project/);
});

test('a vault takes room, too, be it on another disk: what would eat into the reserve is not sent to it', async () => {
  const { project } = await projectWithRemote();
  const { root, config } = project;
  const roomFor = async (reserveBytes: number) =>
    await noRoomInVault({ ...project, config: { ...config, disk: { reserveBytes } } });
  // Another disk, another computer.
  expect(await roomFor(Number.MAX_SAFE_INTEGER)).toBe(null);
  process.env['XDG_DATA_HOME'] = await smallDisk(16 * mega);
  const vault = await makeVault(root, 'main');
  await git(root, ['remote', 'set-url', 'origin', vault]);
  await write(root, { 'Take.wav': randomBytes(4 * mega) });
  await git(root, ['add', '--all']);
  await git(root, ['commit', '--quiet', '-m', 'a take']);
  const { bavail, bsize } = await fs.statfs(vault);
  // Sessions may go into half of it.
  const leaving = async (bytes: number) => await roomFor(2 * (bavail * bsize - bytes));
  expect(await leaving(5 * mega)).toBe(null);
  const failure = await leaving(3 * mega);
  expect(failure).toMatchObject({ row: 'vault-low', retryable: true });
  expect(failure?.message).toMatch(/; 4(\.\d)? MB more would take of the/);
});
