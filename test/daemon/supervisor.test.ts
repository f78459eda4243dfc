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
import { fileWatches } from '../support/file-watches.ts';
import { sandbox, write } from '../support/sandbox.ts';

/** Waits are over at once, and are noted. `pass`: so much time went by, ms. */
function hurried(): { clock: Clock; waits: number[]; pass: (ms: number) => void } {
  const waits: number[] = [];
  let passed = 0;
  const sleep = async (ms: number, signal?: AbortSignal) => {
    waits.push(ms);
    await systemClock.sleep(Math.min(ms, 5), signal);
  };
  const pass = (ms: number) => {
    passed += ms;
  };
  return { waits, pass, clock: { ...systemClock, monotonic: () => systemClock.monotonic() + passed, sleep } };
}

async function projects(names: string[]): Promise<string[]> {
  const dir = await sandbox();
  for (const name of names)
    for (const folder of ['.git', '.oxenvcs']) await fs.mkdir(path.join(dir, name, folder), { recursive: true });
  return names.map((name) => path.join(dir, name));
}

function start(clock: Clock, watchProject: WatchProject): { supervisor: Supervisor; told: [string, TendEvent][] } {
  const told: [string, TendEvent][] = [];
  const seek = async () => null;
  const supervisor = supervise({
    clock,
    watchProject,
    seek,
    tell: (root, event) => told.push([path.basename(root), event]),
  });
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

test('one that failed at once is waited for up to a quarter of an hour, one that went well for a minute seconds, one that others watch 5 s', async () => {
  const [root = ''] = await projects(['bad']);
  const { clock, waits, pass } = hurried();
  let begun = 0;
  const { supervisor, told } = start(clock, async (_, { signal }) => {
    begun += 1;
    if (begun === 15) pass(60_001);
    if (begun === 17) throw new Failure('already-watched', { dir: root, pid: 7 });
    if (begun < 18) throw new Failure('no-git');
    await forever(signal);
  });
  supervisor.tendTo([root]);
  await until('it is begun often enough', async () => begun === 18);
  const retries = waits.slice(1);
  for (const ms of retries.slice(10, 14)) {
    expect(ms).toBeGreaterThanOrEqual(450_000);
    expect(ms).toBeLessThanOrEqual(900_000);
  }
  for (const [n, ms] of retries.slice(14, 16).entries()) expect(ms).toBeLessThanOrEqual(2000 * 2 ** n);
  expect(retries.slice(16)).toEqual([5000]);
  expect(told.at(-1)?.[1]).toMatchObject({ event: 'failing', failure: { row: 'already-watched' }, retryMs: 5000 });
});

test('what becomes of a project is in the list: paused, resumed, failing and why, absent; its end is no failure', async () => {
  const [first = '', second = ''] = await projects(['one', 'two']);
  const watched: ({ fail: (error: Error) => void } & Parameters<WatchProject>[1])[] = [];
  const { supervisor, told } = start(systemClock, async (_, ports) => {
    await new Promise<void>((resolve, reject) => {
      watched.push({ ...ports, fail: reject });
      ports.signal.addEventListener('abort', () => resolve());
    });
  });
  supervisor.tendTo([first, second]);
  await until('both are begun', async () => watched.length === 2);
  const list = () => supervisor.states().map(({ state, detail }) => [state, detail]);
  const [one, two] = watched;
  one?.tell({ event: 'paused', until: null });
  expect(list()).toEqual([
    ['paused', expect.stringContaining('`oxenvcs resume`')],
    ['watched', ''],
  ]);
  one?.tell({ event: 'resumed' });
  expect(list()[0]).toEqual(['watched', '']);
  one?.fail(new Failure('no-git'));
  await until('it waits', async () => list()[0]?.[0] === 'failing');
  const { message, hint } = new Failure('no-git');
  expect(list()[0]?.[1]).toBe(`${message} ${hint}`);
  await fs.rm(path.join(second, '.git'), { recursive: true });
  two?.fail(new Failure('folder-vanished', { dir: second }));
  await until('it is missed', async () => list()[1]?.[0] === 'absent');
  const before = told.map(([name, { event }]) => `${name} ${event}`);
  expect(before).toEqual(['one paused', 'one resumed', 'one failing', 'two absent']);
  await fs.mkdir(path.join(second, '.git'));
  await until('it is begun anew', async () => watched.length === 3);
  await supervisor.stop();
  expect([told.length, watched.length, list()]).toEqual([before.length, 3, []]);
});

test('what fails while a project is being deleted is not told; all else is, in its order, once that is clear or at the end', async () => {
  const [deleted = '', damaged = ''] = await projects(['deleted', 'damaged']);
  const trouble = { event: 'trouble', failure: new Failure('no-git') } as const;
  const unsent = { event: 'not-published', failure: new Failure('no-git'), versions: 1, retryMs: 1 } as const;
  const watchIt: WatchProject = async (root, { signal, tell }) => {
    for (const event of [trouble, unsent, { event: 'resumed' } as const]) tell(event);
    if (root === deleted) await fs.rm(path.join(root, '.git'), { recursive: true });
    else await forever(signal);
  };
  const toldOf = (name: string, told: [string, TendEvent][]) =>
    told.flatMap(([of, { event }]) => (of === name ? [event] : []));
  const { clock, waits } = hurried();
  const { supervisor, told } = start(clock, watchIt);
  supervisor.tendTo([deleted, damaged]);
  await until('all is told', async () => told.length === 5);
  expect(toldOf('deleted', told)).toEqual(['resumed', 'absent']);
  expect(toldOf('damaged', told)).toEqual(['trouble', 'not-published', 'resumed']);
  expect(waits.filter((ms) => ms > 1000 && ms <= 2000).length).toBeGreaterThanOrEqual(4);
  await supervisor.stop();
  // Nor does the end wait for it.
  const slow = start({ ...clock, sleep: async (ms, signal) => await systemClock.sleep(ms * 1000, signal) }, watchIt);
  slow.supervisor.tendTo([damaged]);
  await systemClock.sleep(100);
  expect(slow.told).toEqual([]);
  await slow.supervisor.stop();
  expect(toldOf('damaged', slow.told)).toEqual(['trouble', 'not-published', 'resumed']);
});

test('settings that did not hold are tried again as soon as they are written, not after the quarter of an hour that it may have come to', async () => {
  const [root = ''] = await projects(['one']);
  const waits: number[] = [];
  let begun = 0;
  const sleep = async (ms: number, signal?: AbortSignal) => {
    waits.push(ms);
    // Nothing but the settings ends such a wait.
    await systemClock.sleep(ms > 1000 ? 3_600_000 : ms / 100, signal);
  };
  const { supervisor } = start({ ...systemClock, sleep }, async (_, { signal }) => {
    begun += 1;
    if (begun === 1) throw new Failure('config-invalid', { file: 'f', detail: 'd' });
    await forever(signal);
  });
  supervisor.tendTo([root]);
  await until('it waits', async () => waits.length === 2);
  await write(root, { '.oxenvcs/config.json': '{"v":1}' });
  await until('it is begun anew', async () => begun === 2);
  // The editor may still have been at it.
  expect(waits.at(-1)).toBe(1000);
});

test('a disk that is mounted over its folder, of which nobody tells, is found in half a minute, and one whose folders come with it at once', async () => {
  const [mounted = ''] = await projects(['mounted']);
  await fs.rm(path.join(mounted, '.git'), { recursive: true });
  const begun: string[] = [];
  const watchIt: WatchProject = async (root, { signal }) => {
    begun.push(path.basename(root));
    await forever(signal);
  };
  const { clock, waits } = hurried();
  const watches = fileWatches();
  start(clock, watchIt).supervisor.tendTo([mounted]);
  await until('it is missed', async () => waits.includes(30_000));
  await fs.mkdir(path.join(mounted, '.git'));
  await until('it is found', async () => begun.length === 1);
  expect(Math.max(...waits)).toBe(30_000);
  // For months, perhaps.
  await until('nothing is left of the looking', async () => watches.size === 0);
  // By the real clock that would be long.
  const plugged = path.join(path.dirname(mounted), 'disk', 'Songs', 'plugged');
  const { supervisor, told } = start(systemClock, watchIt);
  supervisor.tendTo([plugged]);
  await until('it is missed', async () => told.length === 1);
  await fs.mkdir(path.join(plugged, '.git'), { recursive: true });
  await until('it is found', async () => begun.length === 2);
});

test('a folder that may not be looked into is no unplugged disk: what is wrong with it is told', async () => {
  const loop = path.join(await sandbox(), 'loop');
  await fs.symlink(loop, loop);
  const { supervisor, told } = start(hurried().clock, async () => {
    throw new Failure('no-rights', { detail: 'it may not be read' });
  });
  supervisor.tendTo([loop]);
  await until('it is told', async () => told.length > 0);
  expect(told[0]?.[1]).toMatchObject({ event: 'failing', failure: { row: 'no-rights' } });
});

test('many do not begin at once, and one that is let go before its turn never does', async () => {
  const roots = await projects(['a', 'b', 'c']);
  const { clock, waits } = hurried();
  const begun: string[] = [];
  const { supervisor } = start(
    { ...clock, sleep: async (ms, signal) => await clock.sleep(ms * 1e6, signal) },
    async (root, { signal }) => {
      begun.push(path.basename(root));
      await forever(signal);
    },
  );
  supervisor.tendTo(roots);
  expect(waits.map((ms) => ms / 1e6)).toEqual([0, 30, 60]);
  await supervisor.stop();
  expect(begun).toEqual([]);
});

test('what a project throws where nobody catches it ends its watch alone, and it is begun anew', async () => {
  const roots = await projects(['good', 'bad']);
  const begun: string[] = [];
  const { supervisor, told } = start(hurried().clock, async (root, { signal }) => {
    begun.push(path.basename(root));
    await forever(signal);
  });
  supervisor.tendTo(roots);
  await until('both are begun', async () => begun.length === 2);
  supervisor.crashed(roots[1] ?? '', new Error('in a timer'));
  supervisor.crashed('/not/known', new Error('in a timer'));
  await until('it is begun anew', async () => begun.length === 3);
  expect(begun.toSorted()).toEqual(['bad', 'bad', 'good']);
  expect(told).toMatchObject([['bad', { event: 'failing', failure: { details: { detail: 'in a timer' } } }]]);
});

test('whose work it was that threw is known, in timers and in promises; too much of nobody’s within a minute is the end', async () => {
  const bundle = path.join(await sandbox(), 'worker.mjs');
  const entry = path.resolve(import.meta.dirname, '../support/crash-worker.ts');
  await build({ entryPoints: [entry], outfile: bundle, bundle: true, platform: 'node', format: 'esm' });
  const { exitCode, stdout } = await run(process.execPath, [bundle], { cwd: os.tmpdir(), env: process.env });
  const lines = stdout.toString().trim().split('\n');
  expect(lines.slice(0, 3).toSorted()).toEqual(['one: in a timer', 'one: later', 'two: in a promise']);
  const stray = [...Array<string>(5).fill('nobody: long ago'), ...Array<string>(6).fill('nobody: stray')];
  expect(lines.slice(3)).toEqual([...stray, 'gave up']);
  expect(exitCode).toBe(3);
});

test('a project that is lent is not begun before it is given back, nor one that is forgotten', async () => {
  const [root = ''] = await projects(['one']);
  let [running, begun] = [0, 0];
  const { supervisor } = start(hurried().clock, async (_, { signal }) => {
    running += 1;
    begun += 1;
    await forever(signal);
    // Its last saves become versions.
    await systemClock.sleep(20);
    running -= 1;
  });
  supervisor.tendTo([root]);
  await until('it is begun', async () => running === 1);
  const [first, second] = [new AbortController(), new AbortController()];
  await Promise.all([supervisor.lend(root, first.signal), supervisor.lend(root, second.signal)]);
  expect({ running, ...states(supervisor) }).toEqual({ running: 0, one: 'lent' });
  supervisor.tendTo([root]);
  first.abort();
  expect(supervisor.states()).toMatchObject([{ state: 'lent' }]);
  second.abort();
  await until('it is taken back', async () => running === 1);
  await supervisor.forget(root);
  expect({ running, ...states(supervisor) }).toEqual({ running: 0 });
  // One that is watched in the foreground, but not registered, is nobody's here.
  const third = new AbortController();
  await supervisor.lend(root, third.signal);
  expect(states(supervisor)).toEqual({});
  third.abort();
  supervisor.tendTo([root]);
  await until('it is begun anew', async () => running === 1);
  // Left, and made a project again before it has ended.
  supervisor.tendTo([]);
  supervisor.tendTo([]);
  supervisor.tendTo([root]);
  await until('it is begun once more', async () => begun === 4 && running === 1);
  await systemClock.sleep(50);
  expect(begun).toBe(4);
  await supervisor.stop();
  expect(running).toBe(0);
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
