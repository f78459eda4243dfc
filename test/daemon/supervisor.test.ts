import * as fs from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { build } from 'esbuild';
import { expect, onTestFinished, test } from 'vitest';
import { type Supervisor, supervise } from '../../src/daemon/supervisor.ts';
import type { TendEvent, WatchProject } from '../../src/daemon/tend.ts';
import { Failure } from '../../src/model/failures.ts';
import { type Clock, systemClock } from '../../src/system/clock.ts';
import { run } from '../../src/system/process.ts';
import { diskProgram } from '../../src/system/priority.ts';
import { until, user } from '../support/daemon.ts';
import { sandbox } from '../support/sandbox.ts';

/** Waits are over at once, and are noted. */
function hurried(): { clock: Clock; waits: number[] } {
  const waits: number[] = [];
  const sleep = async (ms: number, signal?: AbortSignal) => {
    waits.push(ms);
    await systemClock.sleep(Math.min(ms, 5), signal);
  };
  return { waits, clock: { ...systemClock, sleep } };
}

async function projects(names: string[]): Promise<string[]> {
  const dir = await sandbox();
  for (const name of names) await fs.mkdir(path.join(dir, name, '.git'), { recursive: true });
  return names.map((name) => path.join(dir, name));
}

function start(clock: Clock, watchProject: WatchProject): { supervisor: Supervisor; told: [string, TendEvent][] } {
  const told: [string, TendEvent][] = [];
  const supervisor = supervise({ clock, watchProject, tell: (root, event) => told.push([path.basename(root), event]) });
  onTestFinished(async () => await supervisor.stop());
  return { supervisor, told };
}

const forever = async (signal: AbortSignal) =>
  await new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve()));
const states = (supervisor: Supervisor) =>
  Object.fromEntries(supervisor.states().map(({ project, state }) => [path.basename(project), state]));

test('a project that fails is begun anew, ever more seldom, and told; the others never notice', async () => {
  const roots = await projects(['good', 'bad']);
  const { clock, waits } = hurried();
  const begun: string[] = [];
  const { supervisor, told } = start(clock, async (root, { signal }) => {
    begun.push(path.basename(root));
    if (root.endsWith('bad') && begun.length < 8) throw new Failure('no-git');
    await forever(signal);
  });
  supervisor.tendTo(roots);
  await until('it is begun often enough', async () => begun.length === 8);
  expect(begun.filter((name) => name === 'good')).toHaveLength(1);
  const retries = told.map(([name, event]) => (event.event === 'failing' ? `${name} ${event.failure.row}` : ''));
  expect(retries).toEqual(Array(6).fill('bad no-git'));
  // From 2 s, doubled each time, less up to a half.
  const long = waits.filter((ms) => ms >= 1000);
  expect(long).toHaveLength(6);
  for (const [n, ms] of long.entries()) {
    expect(ms).toBeLessThanOrEqual(2000 * 2 ** n);
    expect(ms).toBeGreaterThanOrEqual(1000 * 2 ** n);
  }
  expect(states(supervisor)).toEqual({ good: 'watched', bad: 'watched' });
});

test('what a project throws where nobody catches it ends its watch alone, and it is begun anew', async () => {
  const roots = await projects(['good', 'bad']);
  const begun: string[] = [];
  const { supervisor } = start(hurried().clock, async (root, { signal }) => {
    begun.push(path.basename(root));
    await forever(signal);
  });
  supervisor.tendTo(roots);
  await until('both are begun', async () => begun.length === 2);
  supervisor.crashed(roots[1] ?? '', new Error('in a timer'));
  supervisor.crashed('/not/known', new Error('in a timer'));
  await until('it is begun anew', async () => begun.length === 3);
  expect(begun.toSorted()).toEqual(['bad', 'bad', 'good']);
});

test('whose work it was that threw is known, in timers and in promises; too much of nobody’s is the end', async () => {
  const bundle = path.join(await sandbox(), 'worker.mjs');
  const entry = path.resolve(import.meta.dirname, '../support/crash-worker.ts');
  await build({ entryPoints: [entry], outfile: bundle, bundle: true, platform: 'node', format: 'esm' });
  const { exitCode, stdout } = await run(process.execPath, [bundle], { cwd: os.tmpdir(), env: process.env });
  const lines = stdout.toString().trim().split('\n');
  expect(lines.slice(0, 3).toSorted()).toEqual(['one: in a timer', 'one: later', 'two: in a promise']);
  expect(lines.slice(3)).toEqual([...Array<string>(6).fill('nobody: stray'), 'gave up']);
  expect(exitCode).toBe(3);
});

test('a project that is lent is not begun before it is given back, nor one that is forgotten', async () => {
  const [root = ''] = await projects(['one']);
  let running = 0;
  const { supervisor } = start(hurried().clock, async (_, { signal }) => {
    running += 1;
    await forever(signal);
    running -= 1;
  });
  supervisor.tendTo([root]);
  await until('it is begun', async () => running === 1);
  const [first, second] = [new AbortController(), new AbortController()];
  await Promise.all([supervisor.lend(root, first.signal), supervisor.lend(root, second.signal)]);
  expect({ running, ...states(supervisor) }).toEqual({ running: 0, one: 'lent' });
  supervisor.tendTo([root]);
  first.abort();
  expect(running).toBe(0);
  second.abort();
  await until('it is taken back', async () => running === 1);
  await supervisor.forget(root);
  expect({ running, ...states(supervisor) }).toEqual({ running: 0 });
});

test.runIf(process.platform === 'linux')('the background process waits for everybody else', async () => {
  const { run: cli, song, daemonPid, log } = await user({ OXENVCS_PRIORITY: undefined });
  await song();
  await cli(['daemon', 'start']);
  const pid = await daemonPid();
  await until('it has begun', async () => (await log()).includes('begins'));
  const threads = await fs.readdir(`/proc/${pid}/task`);
  expect(threads.map((id) => os.getPriority(Number(id)))).toEqual(threads.map(() => 19));
});

test('each system is told in its own words to let others at the disk first', () => {
  expect(diskProgram('linux', [7, 8], 'lowest')).toEqual({ name: 'ionice', args: ['-c', '3', '-p', '7', '8'] });
  expect(diskProgram('linux', [7], 'usual')).toEqual({ name: 'ionice', args: ['-c', '2', '-p', '7'] });
  expect(diskProgram('darwin', [7], 'lowest')).toEqual({ name: 'taskpolicy', args: ['-b', '-p', '7'] });
  expect(diskProgram('darwin', [7], 'usual')).toEqual({ name: 'taskpolicy', args: ['-B', '-p', '7'] });
  expect(diskProgram('win32', [7], 'lowest')).toBeNull();
});
