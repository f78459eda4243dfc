import * as fs from 'node:fs/promises';
import { createConnection, type Socket } from 'node:net';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { expect, onTestFinished, test } from 'vitest';
import { reachDaemon } from '../../src/control/client.ts';
import { daemonFolder, recordFile } from '../../src/control/place.ts';
import { register } from '../../src/control/registry.ts';
import type { Greeting } from '../../src/control/protocol.ts';
import { listen } from '../../src/daemon/listen.ts';
import { type Handlers, makeServe } from '../../src/daemon/serve.ts';
import { asOnlyDaemon } from '../../src/daemon/singleton.ts';
import { Failure } from '../../src/model/failures.ts';
import { alone } from '../../src/project/guard.ts';
import { systemClock } from '../../src/system/clock.ts';
import { oxenvcs } from '../support/cli.ts';
import { until } from '../support/daemon.ts';
import { sandbox, write } from '../support/sandbox.ts';

/** A user with nothing yet; `run` is where the socket belongs. */
async function nobody(): Promise<{ dir: string; run: string }> {
  const dir = await sandbox();
  const run = path.join(dir, 'run');
  Object.assign(process.env, { XDG_DATA_HOME: path.join(dir, 'data'), XDG_RUNTIME_DIR: run });
  return { dir, run };
}

const greetingOf = (token: string): Greeting => ({
  oxenvcs: 1,
  pid: process.pid,
  token,
  version: '0',
  program: '/p',
  builtAt: 0,
  startedAt: '',
});
const nothing: Handlers = {
  status: async () => ({ projects: [] }),
  stop: async () => ({}),
  look: async () => ({ projects: [] }),
  forget: async () => ({}),
  borrow: async () => ({}),
  check: async () => ({ findings: [] }),
};
const serving =
  (handlers: Partial<Handlers> = {}) =>
  (token: string) =>
    makeServe(greetingOf(token), { ...nothing, ...handlers });

/** Says lines, and gives those that come. */
function connected(address: string): { socket: Socket; say: (line: string) => void; next: () => Promise<unknown> } {
  const socket = createConnection(address);
  const lines = createInterface({ input: socket })[Symbol.asyncIterator]();
  onTestFinished(() => void socket.destroy());
  return {
    socket,
    say: (line) => void socket.write(`${line}\n`),
    next: async () => JSON.parse((await lines.next()).value as string) as unknown,
  };
}

test('a background process that is just ending is waited for, and one that answers is not, whatever became of its lock', async () => {
  await nobody();
  await fs.mkdir(daemonFolder(), { recursive: true });
  let isThere = false;
  const ending = alone({ root: daemonFolder() }, 'daemon', 0, async () => {
    isThere = true;
    await systemClock.sleep(300);
  });
  await until('it is there', async () => isThere);
  const second = await asOnlyDaemon(systemClock, serving(), async () => {
    await fs.rm(path.join(daemonFolder(), '.oxenvcs'), { recursive: true });
    return await asOnlyDaemon(systemClock, serving(), async () => 'two of them');
  });
  expect(second).toEqual({ outcome: 'done', value: { outcome: 'taken', pid: process.pid } });
  await ending;
  // Nothing is left of it to answer.
  expect(await reachDaemon()).toEqual({ outcome: 'not-running' });
  expect((await fs.stat(recordFile())).mode & 0o777).toBe(0o600);
});

test('of two that took the same stale lock the one whose record was written over is none', async () => {
  await nobody();
  const record = { v: 1, pid: 7, token: 'of the other', socket: '/nowhere' };
  const waits: number[] = [];
  // It writes while ours waits to be sure.
  const sleep = async (ms: number) => {
    waits.push(ms);
    await fs.writeFile(recordFile(), JSON.stringify(record));
  };
  const guarded = await asOnlyDaemon({ ...systemClock, sleep }, serving(), async () => 'two of them');
  expect([guarded, waits]).toEqual([{ outcome: 'taken', pid: 7 }, [200]]);
  expect(((await fs.stat(daemonFolder())).mode & 0o777).toString(8)).toBe('700');
});

test('one whose folder is deleted while it runs stays the only one, and is found again, until another that answers has its place', async () => {
  const { run } = await nobody();
  await fs.rm(run, { recursive: true, force: true });
  // As on a Mac, where the socket lies in that folder, too.
  delete process.env['XDG_RUNTIME_DIR'];
  const guarded = await asOnlyDaemon(systemClock, serving(), async (_, lost) => {
    await fs.rm(daemonFolder(), { recursive: true });
    await until('it is found', async () => (await tokenThatAnswers()) !== null);
    await until('its lock is back', async () => (await fs.readdir(daemonFolder())).includes('.oxenvcs'));
    expect((await fs.stat(daemonFolder())).mode & 0o777).toBe(0o700);
    expect(await asOnlyDaemon(systemClock, serving(), async () => 'two of them')).toMatchObject({ outcome: 'taken' });
    // Nobody answers at what an old backup brings back, or has been written by hand.
    const ours = await tokenThatAnswers();
    await fs.writeFile(recordFile(), JSON.stringify({ v: 1, pid: process.pid, token: 'old', socket: '/nowhere' }));
    await until('its record is back', async () => (await tokenThatAnswers()) === ours);
    expect(lost.aborted).toBe(false);
    const other = await listen('other', serving()('other'), null);
    const record = { v: 1, pid: process.pid, token: 'other', socket: other.address };
    await fs.writeFile(recordFile(), JSON.stringify(record));
    await until('it is lost', async () => lost.aborted);
    await other.close();
    return 'ended';
  });
  expect(guarded).toEqual({ outcome: 'done', value: 'ended' });
});

async function tokenThatAnswers(): Promise<string | null> {
  const reached = await reachDaemon();
  if (reached.outcome !== 'connected') return null;
  reached.connection.close();
  return reached.connection.greeting.token;
}

test('a socket that is taken away while its process runs is opened anew: else nobody could reach it, nor begin another', async () => {
  await nobody();
  const sleep = async (ms: number, signal?: AbortSignal) => await systemClock.sleep(ms > 1000 ? 20 : ms, signal);
  await asOnlyDaemon({ ...systemClock, sleep }, serving(), async (ear) => {
    const { next } = connected(ear.address);
    await next();
    await fs.rm(ear.address);
    await until('it answers again', async () => {
      const reached = await reachDaemon();
      if (reached.outcome === 'connected') reached.connection.close();
      return reached.outcome === 'connected';
    });
  });
  expect(await reachDaemon()).toEqual({ outcome: 'not-running' });
});

test('one that has only just begun does not say that there is nothing to watch', async () => {
  const { dir } = await nobody();
  const said = async () => (await oxenvcs(['daemon', 'status'], { cwd: dir })).stdout;
  await asOnlyDaemon(systemClock, serving(), async () => {
    expect(await said()).toContain('No project is registered');
    await register('/music/song');
    expect(await said()).toContain('is about to watch 1 project.');
  });
});

test('the socket lies in a folder of ours alone, never in one that somebody has put there; what is no socket is left', async () => {
  const { dir, run } = await nobody();
  const ours = path.join(run, 'oxenvcs');
  await fs.mkdir(ours, { recursive: true });
  await fs.chmod(ours, 0o755);
  const first = await listen('one', () => undefined, null);
  expect(path.dirname(first.address)).toBe(ours);
  expect(((await fs.stat(ours)).mode & 0o777).toString(8)).toBe('700');
  expect(((await fs.stat(first.address)).mode & 0o777).toString(8)).toBe('600');
  // After a SIGKILL nobody removes it.
  const left = path.join(dir, 'left.sock');
  await fs.link(first.address, left);
  await write(dir, { 'a song': 'ours', 'elsewhere/x': '' });
  await (await listen('two', () => undefined, left)).close();
  await (await listen('three', () => undefined, path.join(dir, 'a song'))).close();
  await first.close();
  expect(await fs.readdir(dir)).toEqual(expect.arrayContaining(['a song']));
  expect(await fs.readdir(dir)).not.toContain('left.sock');
  // Nothing is left in the way; a link may lead anywhere.
  await fs.rmdir(ours);
  await write(run, { oxenvcs: 'a file' });
  const beside = await listen('file', () => undefined, null);
  expect(path.dirname(beside.address)).toBe(daemonFolder());
  await beside.close();
  expect(await fs.readFile(ours, 'utf8')).toBe('a file');
  await fs.rm(ours);
  await fs.symlink(path.join(dir, 'elsewhere'), ours);
  const next = await listen('four', () => undefined, null);
  expect(path.dirname(next.address)).toBe(daemonFolder());
  await next.close();
  if (process.getuid?.() !== 0) return;
  await fs.rm(ours);
  await fs.mkdir(ours);
  await fs.chown(ours, 65_534, 65_534);
  const another = await listen('five', () => undefined, null);
  expect(path.dirname(another.address)).toBe(daemonFolder());
  await another.close();
});

test('whoever asks wrongly is told so on the same connection, with what a failure is about; when they are gone that is known', async () => {
  await nobody();
  let gone = false;
  let isTold = false;
  const look: Handlers['look'] = async () => {
    await until('they are gone', async () => gone);
    setImmediate(() => (isTold = true));
    return { projects: [] };
  };
  const borrow: Handlers['borrow'] = async ({ root }, ended) => {
    ended.addEventListener('abort', () => (gone = true));
    throw new Failure('folder-vanished', { dir: root });
  };
  const ear = await listen('one', serving({ borrow, look })('one'), null);
  onTestFinished(async () => await ear.close());
  const { socket, say, next } = connected(ear.address);
  expect(await next()).toMatchObject({ id: 0, result: { token: 'one' } });
  say('not JSON');
  expect(await next()).toMatchObject({ id: -1, error: { row: 'internal' } });
  say('{"id":1,"request":{"do":"dance"}}');
  expect(await next()).toMatchObject({ id: 1, error: { row: 'usage' } });
  say('{"id":2,"request":{"do":"borrow","root":"/one"}}');
  expect(await next()).toMatchObject({ id: 2, error: { row: 'folder-vanished', details: { dir: '/one' } } });
  say('{"id":3,"request":{"do":"status"}}');
  expect(await next()).toEqual({ id: 3, result: { projects: [] } });
  say('{"id":4,"request":{"do":"look"}}');
  socket.destroy();
  // An answer to nobody is no failure of the process.
  await until('it is known', async () => gone && isTold);
});

test('the end waits for nobody who is connected; and a line without an end is cut off', async () => {
  await nobody();
  const ear = await listen('one', serving()('one'), null);
  const [idle, endless] = [connected(ear.address), connected(ear.address)];
  for (const one of [idle, endless]) await one.next();
  endless.socket.on('error', () => undefined).write('x'.repeat(2_000_000));
  await until('it is cut off', async () => endless.socket.destroyed || endless.socket.readableEnded);
  await ear.close();
  await until('the other is let go', async () => idle.socket.destroyed || idle.socket.readableEnded);
  await expect(fs.stat(ear.address)).rejects.toThrow('ENOENT');
});
