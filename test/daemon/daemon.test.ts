import { spawn } from 'node:child_process';
import * as fs from 'node:fs/promises';
import path from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { git, gitLine } from '../../src/git/run.ts';
import { until, user } from '../support/daemon.ts';
import { isRunning } from '../support/processes.ts';
import { write } from '../support/sandbox.ts';

const subject = async (song: string) => await gitLine(song, ['log', '-1', '--format=%s']);
const states = async (run: (args: string[]) => Promise<{ json: () => unknown }>) => {
  const { projects } = (await run(['daemon', 'status', '--json'])).json() as {
    projects: { project: string; state: string }[];
  };
  return Object.fromEntries(projects.map(({ project, state }) => [path.basename(project), state]));
};

test('one background process watches all projects, also those that come and go while it runs, and ends when told', async () => {
  const { dir, run, song, daemonFolder } = await user();
  const first = await song('First Song');
  const started = await run(['daemon', 'start', '--json']);
  expect(started.json()).toMatchObject({ running: true, outcome: 'started' });
  const { pid } = started.json() as { pid: number };
  const second = await song('Second Söng 🎸\nwith a newline');
  for (const one of [first, second]) await write(one, { 'Song.als': 'two' });
  for (const one of [first, second])
    await until('it is a version', async () => (await subject(one)) === 'Song.als saved');
  expect((await run(['status', '--json'], first)).json()).toMatchObject({
    daemon: { running: true, pid },
    watcher: { pid },
  });
  expect((await run(['daemon', 'start', '--json'])).json()).toMatchObject({
    running: true,
    pid,
    outcome: 'already-running',
  });

  // What was unplugged is watched again.
  const unplugged = path.join(dir, 'unplugged', 'Song');
  await fs.mkdir(path.dirname(unplugged));
  await fs.rename(second, unplugged);
  await until('it is missed', async () => (await states(run))[path.basename(second)] === 'absent');
  await write(unplugged, { 'Song.als': 'on the train' });
  await fs.rename(unplugged, second);
  await until('it is back', async () => (await git(second, ['show', 'HEAD:Song.als'])) === 'on the train');

  // What was renamed is watched there.
  const renamed = path.join(dir, 'Renamed');
  await until('it is published', async () => (await git(second, ['rev-list', 'origin/main..main'])) === '');
  await fs.rename(second, renamed);
  await until('it is found', async () => (await states(run))['Renamed'] === 'watched');
  await write(renamed, { 'Song.als': 'three' });
  await until('it is a version', async () => (await git(renamed, ['show', 'HEAD:Song.als'])) === 'three');
  expect(await states(run)).toEqual({ 'First Song': 'watched', Renamed: 'watched' });

  const told = (await run(['daemon', 'logs'])).stdout;
  expect(told).toMatch(/First Song: ✓ Song\.als saved/);
  expect(told).toMatch(/The folder is not there/);
  expect(told).toContain(`It lies elsewhere now and is watched there: ${renamed}`);

  // A project that is left is let go first, for good.
  expect((await run(['remove'], renamed)).code).toBe(0);
  expect(await states(run)).toEqual({ 'First Song': 'watched' });
  // One that was deleted can be left, too.
  await fs.rm(first, { recursive: true, force: true, maxRetries: 5 });
  await until('it is missed', async () => (await states(run))['First Song'] === 'absent');
  expect((await run(['remove', first])).stdout).toContain('is not there, and is not watched any more');
  expect(await states(run)).toEqual({});
  expect((await run(['remove', first, '--json'])).json()).toMatchObject({ error: { code: 'USAGE' } });
  const stopped = await run(['daemon', 'stop', '--json']);
  expect(stopped.json()).toMatchObject({ running: false, outcome: 'stopped' });
  await until('it has ended', async () => !isRunning(pid));
  expect((await run(['daemon', 'stop', '--json'])).json()).toMatchObject({ outcome: 'not-running' });
  // Nothing is left in the way, and only the owner may look.
  expect(await fs.readdir(path.join(dir, 'run', 'oxenvcs'))).toEqual([]);
  expect((await fs.stat(path.join(dir, 'run', 'oxenvcs'))).mode & 0o777).toBe(0o700);
  expect((await fs.stat(daemonFolder)).mode & 0o777).toBe(0o700);
});

test('of several that are started at once one stays, and the others say so', async () => {
  const { run, daemonPid } = await user();
  const all = await Promise.all(Array.from({ length: 4 }, async () => await run(['daemon', 'start', '--json'])));
  expect(all.map(({ code }) => code)).toEqual([0, 0, 0, 0]);
  const pid = await daemonPid();
  for (const one of all) expect(one.json()).toMatchObject({ running: true, pid });
  const another = await run(['daemon', 'run']);
  expect(another).toMatchObject({ code: 0, stdout: expect.stringContaining(`process ${pid}`) });
});

test('one that cannot read the list of projects does not say that it runs, and says why it does not', async () => {
  const { dir, run, daemonPid } = await user();
  await write(path.join(dir, 'data', 'oxenvcs'), { projects: 'a file, where a folder should be' });
  const started = await run(['daemon', 'start']);
  expect(started).toMatchObject({ code: 1, stdout: '', stderr: expect.stringMatching(/did not start: .*projects/) });
  expect(await daemonPid()).toBe(0);
});

test('after a SIGKILL the next one starts at once, whatever lies in its place', async () => {
  const { dir, run, daemonPid } = await user();
  await run(['daemon', 'start']);
  const killed = await daemonPid();
  process.kill(killed, 'SIGKILL');
  await until('it is gone', async () => !isRunning(killed));
  const sockets = path.join(dir, 'run', 'oxenvcs');
  const left = await fs.readdir(sockets);
  expect(left).toHaveLength(1);
  await write(sockets, { 'somebody’s.sock': 'not ours' });
  expect((await run(['daemon', 'status', '--json'])).json()).toMatchObject({ running: false });
  expect((await run(['daemon', 'start', '--json'])).json()).toMatchObject({ outcome: 'started' });
  const now = await fs.readdir(sockets);
  expect(now).toContain('somebody’s.sock');
  expect(now).not.toContain(left[0]);
  const socket = now.find((name) => /^[0-9a-f-]+\.sock$/.test(name)) ?? '';
  expect((await fs.stat(path.join(sockets, socket))).mode & 0o777).toBe(0o600);
});

test('one that does not answer is told as such in a moment, and restart gets past it', async () => {
  const { run, song, daemonPid } = await user();
  const one = await song();
  await run(['daemon', 'start']);
  const pid = await daemonPid();
  process.kill(pid, 'SIGSTOP');
  const status = await run(['daemon', 'status', '--json']);
  expect(status).toMatchObject({ code: 1 });
  expect(status.json()).toMatchObject({ running: true, pid, answers: false });
  // Its silence stops nobody else.
  expect((await run(['status', '--json'], one)).json()).toMatchObject({ daemon: { running: true, pid } });
  expect((await run(['daemon', 'restart', '--json'])).json()).toMatchObject({ running: true, outcome: 'restarted' });
  expect(isRunning(pid)).toBe(false);
});

test('one of an older program is told to go; one of another protocol is not spoken to', async () => {
  const { run, daemonFolder, dir } = await user();
  const [socket, told] = [path.join(dir, 'old.sock'), path.join(dir, 'told')];
  // What a program of years ago says, and understands.
  const old = spawn(process.execPath, ['-e', oldDaemon, socket, told], { stdio: 'ignore' });
  onTestFinished(() => void old.kill('SIGKILL'));
  await until(
    'it listens',
    async () =>
      await fs.access(socket).then(
        () => true,
        () => false,
      ),
  );
  await write(daemonFolder, { 'daemon.json': JSON.stringify({ v: 1, pid: old.pid, token: 't', socket }) });
  const status = await run(['daemon', 'status', '--json']);
  expect(status.json()).toMatchObject({ error: { code: 'BUSY', hint: expect.stringContaining('daemon restart') } });
  expect((await run(['daemon', 'start', '--json'])).json()).toMatchObject({ outcome: 'restarted' });
  expect(await fs.readFile(told, 'utf8')).toBe('{"id":1,"request":{"do":"stop"}}\n');
});

const oldDaemon = `
  const [socket, told] = process.argv.slice(1);
  const greeting = { oxenvcs: 99, pid: process.pid, token: 't', version: '0.0.9', program: '/gone', builtAt: 0, startedAt: '' };
  require('net').createServer((client) => {
    client.on('error', () => {}).write(JSON.stringify({ id: 0, result: greeting }) + '\\n');
    client.on('data', (text) => {
      require('fs').appendFileSync(told, text);
      client.end(JSON.stringify({ id: 1, result: {} }) + '\\n', () => process.exit());
    });
  }).listen(socket);
`;
