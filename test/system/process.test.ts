import { randomBytes } from 'node:crypto';
import * as fs from 'node:fs/promises';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, expect, it, vi } from 'vitest';
import { type Call, hasEnded, isAlive, run } from '../../src/system/process.ts';
import { isRunning } from '../support/processes.ts';
import { sandbox } from '../support/sandbox.ts';

async function sh(script: string, call: Partial<Call> = {}) {
  return await run('/bin/sh', ['-c', script], { cwd: await sandbox(), env: process.env, ...call });
}

/** Waits in real time, also where timers are faked. */
async function until(isSo: () => boolean | Promise<boolean>): Promise<void> {
  while (!(await isSo())) await sleep(20);
}

/** The number of a process that wrote it to `file`. */
async function pidIn(file: string): Promise<number> {
  const text = async () => await fs.readFile(file, 'utf8').catch(() => '');
  await until(async () => (await text()).endsWith('\n'));
  return Number(await text());
}

afterEach(() => void vi.useRealTimers());

it('gives the exit code, or the signal that ended it', async () => {
  expect(await sh('echo out; echo err >&2; exit 3')).toEqual({
    exitCode: 3,
    signal: null,
    stdout: Buffer.from('out\n'),
    stderr: 'err\n',
    killed: null,
  });
  expect(await sh('kill -TERM $$')).toMatchObject({ exitCode: null, signal: 'SIGTERM', killed: null });
});

it('passes arguments as they are, through no shell', async () => {
  const odd = ['$(touch x)', '; exit 9', 'two words', '', '-n', 'ö\n🎵'];
  const result = await run(process.execPath, ['-p', 'JSON.stringify(process.argv.slice(1))', '--', ...odd], {
    cwd: await sandbox(),
    env: process.env,
  });
  expect(JSON.parse(result.stdout.toString())).toEqual(odd);
});

it('takes more input than a pipe holds, and gives binary output as it is', async () => {
  const input = randomBytes(3_000_000);
  const { stdout } = await sh('cat', { input });
  expect(stdout.equals(input)).toBe(true);
});

it('does not mind a program that ends before it has read its input', async () => {
  expect(await sh('exit 4', { input: randomBytes(3_000_000) })).toMatchObject({ exitCode: 4 });
});

it('leaves no program waiting for input that never comes', async () => {
  expect((await sh('cat; echo end')).stdout.toString()).toBe('end\n');
  expect((await sh('cat; echo end', { input: '' })).stdout.toString()).toBe('end\n');
});

it('shows standard error as it comes, with letters of several bytes whole', async () => {
  const seen: string[] = [];
  const { stderr } = await sh(`printf '\\303' >&2; sleep 0.1; printf '\\266\\n' >&2`, {
    onStderr: (text) => seen.push(text),
  });
  expect(seen.join('')).toBe('ö\n');
  expect(stderr).toBe('ö\n');
});

it.each([
  ['when it is called off', 'abort'],
  ['when its time is up', 'timeout'],
  ['when it has said nothing for too long', 'idle'],
] as const)('%s: ends it and all that it started', async (_, how) => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
  const file = path.join(await sandbox(), 'pid');
  const enough = new AbortController();
  const ending = { abort: { signal: enough.signal }, timeout: { timeoutMs: 60_000 }, idle: { idleMs: 60_000 } }[how];
  const running = sh(`sh -c 'echo $$ > "$0"; sleep 600; true' '${file}'; true`, ending);
  const grandchild = await pidIn(file);
  vi.advanceTimersByTime(59_999);
  expect(isRunning(grandchild)).toBe(true);
  if (how === 'abort') enough.abort();
  else vi.advanceTimersByTime(1);
  const killed = how === 'abort' ? 'abort' : 'timeout';
  expect(await running).toMatchObject({ exitCode: null, signal: 'SIGKILL', killed });
  await until(() => !isRunning(grandchild));
});

it('lives as long as it says something', async () => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
  const cwd = await sandbox();
  const script = 'for i in 1 2 3 4; do echo $i >&2; until test -e go$i; do sleep 0.02; done; done';
  const onStderr = (text: string) => {
    vi.advanceTimersByTime(59_000);
    void fs.writeFile(path.join(cwd, `go${text.trim()}`), '');
  };
  expect(await sh(script, { cwd, idleMs: 60_000, onStderr })).toMatchObject({ exitCode: 0, killed: null });
});

it('loses nothing of what was said when it comes to read it only long after the program has ended', async () => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
  const heldUp = () => void Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 500);
  const call: Call = { cwd: await sandbox(), env: process.env };
  const said = run('/bin/sh', ['-c', 'sleep 0.7; echo said'], call);
  // That both have ended is noticed in one go, before what the first has said is read.
  const other = run('/bin/sh', ['-c', 'echo >&2'], { ...call, onStderr: heldUp });
  const longAfter = other.then(() => vi.advanceTimersByTime(5000));
  heldUp();
  await longAfter;
  expect(await said).toMatchObject({ exitCode: 0, stdout: Buffer.from('said\n') });
});

it('does not run on for one that was called off before it began', async () => {
  const marker = path.join(await sandbox(), 'marker');
  const result = await sh(`sleep 600; touch '${marker}'`, { signal: AbortSignal.abort() });
  expect(result).toMatchObject({ exitCode: null, killed: 'abort' });
});

it('takes the longest of times for what it is', async () => {
  expect(await sh('sleep 0.1', { timeoutMs: Number.MAX_SAFE_INTEGER })).toMatchObject({ exitCode: 0, killed: null });
});

it('does not wait for what a program left in the background, and lets it live', async () => {
  const file = path.join(await sandbox(), 'pid');
  const { exitCode, stdout } = await sh(`echo out; sh -c 'echo $$ > "$0"; exec sleep 600' '${file}' & exit 0`);
  expect({ exitCode, stdout: stdout.toString() }).toEqual({ exitCode: 0, stdout: 'out\n' });
  const left = await pidIn(file);
  expect(isRunning(left)).toBe(true);
  process.kill(left, 'SIGKILL');
});

it('says so when a program is not there', async () => {
  await expect(run('/nowhere/git', [], { cwd: '/', env: {} })).rejects.toMatchObject({ code: 'ENOENT' });
});

it('leaves no listener behind on a signal that is used again and again', async () => {
  const enough = new AbortController();
  const remove = vi.spyOn(enough.signal, 'removeEventListener');
  await sh('true', { signal: enough.signal });
  expect(remove).toHaveBeenCalledOnce();
  enough.abort();
});

it('is over in time also where nothing ends the program, as one that waits for a network drive that is gone', async () => {
  const pidFile = path.join(await sandbox(), 'pid');
  const giveUp = new AbortController();
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
  const running = sh(`echo $$ > '${pidFile}'; echo so far; exec sleep 60`, { signal: giveUp.signal });
  const pid = await pidIn(pidFile);
  // No test can bring the system to such a state.
  const kill = vi.spyOn(process, 'kill').mockReturnValue(true);
  giveUp.abort();
  await vi.advanceTimersByTimeAsync(5000);
  kill.mockRestore();
  expect(await running).toMatchObject({ exitCode: null, signal: 'SIGKILL', killed: 'abort' });
  process.kill(-pid, 'SIGKILL');
});

it('counts a process as ended that nobody fetches, as in a container whose first process fetches nobody', async () => {
  const file = path.join(await sandbox(), 'pid');
  const over = new AbortController();
  // The shell that has started it becomes a program that fetches nobody.
  const parent = sh(`sleep 60 & echo $! > '${file}'; exec sleep 60`, { signal: over.signal });
  const pid = await pidIn(file);
  expect(isAlive(pid)).toBe(true);
  process.kill(pid, 'SIGKILL');
  if (process.platform === 'linux') await until(() => !isAlive(pid));
  over.abort();
  expect(await parent).toMatchObject({ killed: 'abort' });
  await until(() => !isAlive(pid));
});

it.each([
  ['12 (node) Z 1 12 12 0', true],
  ['12 (node) X 1 12 12 0', true],
  ['12 (node) S 1 12 12 0', false],
  ['12 (a) Z (b) R 1 12 12 0', false],
  ['', false],
])('reads of %j whether it has ended', (stat, ended) => expect(hasEnded(stat)).toBe(ended));
