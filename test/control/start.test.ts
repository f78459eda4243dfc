import { spawn } from 'node:child_process';
import { once } from 'node:events';
import * as fs from 'node:fs/promises';
import path from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { daemonFolder, recordFile } from '../../src/control/place.ts';
import type { Greeting } from '../../src/control/protocol.ts';
import { runningProgram, startDaemon, stopDaemon } from '../../src/control/start.ts';
import { listen } from '../../src/daemon/listen.ts';
import { type Handlers, makeServe } from '../../src/daemon/serve.ts';
import { type Clock, systemClock } from '../../src/system/clock.ts';
import { isRunning } from '../support/processes.ts';
import { sandbox, write } from '../support/sandbox.ts';

/**
 * A background process, answered for by this one; what it says of itself, and whether it does as it is told. `silent`: the
 * connection stands, and nothing comes.
 */
async function running({ how = 'obeys', ...said }: Partial<Greeting> & { how?: 'obeys' | 'lingers' | 'silent' }) {
  const dir = await sandbox();
  Object.assign(process.env, { XDG_DATA_HOME: path.join(dir, 'data'), XDG_RUNTIME_DIR: path.join(dir, 'run') });
  await write(dir, { 'main.js': 'console.error("begun anew\\nand more"); process.exitCode = 1;' });
  const process_ = spawn('sleep', ['600'], { stdio: 'ignore' });
  const { pid = 0 } = process_;
  const ended = once(process_, 'exit') as Promise<[number | null, NodeJS.Signals | null]>;
  onTestFinished(() => void process_.kill('SIGKILL'));
  const file = path.join(dir, 'main.js');
  const greeting = { oxenvcs: 1, pid, token: 't', version: '1.2.3', program: file, builtAt: 0, startedAt: '', ...said };
  const none = async (): Promise<never> => {
    throw new Error('nobody asks for it');
  };
  const stop: Handlers['stop'] = async () => {
    if (how === 'lingers') return {};
    process_.kill('SIGTERM');
    setImmediate(() => void ear.close());
    return {};
  };
  const handlers = { status: none, look: none, forget: none, borrow: none, check: none, stop };
  const ear = await listen('t', how === 'silent' ? () => undefined : makeServe(greeting, handlers), null);
  onTestFinished(async () => await ear.close());
  await fs.mkdir(daemonFolder(), { recursive: true });
  await fs.writeFile(recordFile(), JSON.stringify({ v: 1, pid, token: 't', socket: ear.address }));
  return {
    pid,
    file,
    ended,
    start: async (clock = systemClock) => await startDaemon({ version: '1.2.3', file }, clock),
  };
}

const later = Date.now() + 1e9;

test.each<[string, Partial<Greeting>]>([
  ['of a newer program, whatever it was started from', { version: '1.3.0', program: '/elsewhere' }],
  ['of the same version, of another installation', { program: '/elsewhere' }],
  ['of this very program', { builtAt: later }],
])('one %s goes on', async (_, said) => {
  const { pid, start } = await running(said);
  const remark = expect.stringContaining('after the next login');
  expect(await start()).toEqual({ outcome: 'already-running', pid, service: null, remark });
  expect([isRunning(pid), await runningProgram()]).toEqual([true, said.program ?? expect.stringMatching(/main\.js$/)]);
});

test.each<[string, Partial<Greeting>]>([
  ['of an older program', { version: '1.2.2', builtAt: later }],
  ['of this program as it was before it was built anew', { builtAt: 1 }],
])(
  'one %s is told to go; what the next one says when it cannot begin is told, and not what others said before',
  async (_, said) => {
    const { pid, ended, start } = await running(said);
    await write(daemonFolder(), { 'output.log': 'long ago\n' });
    let slept = 0;
    const sleep: Clock['sleep'] = async (ms, signal) => {
      await systemClock.sleep(ms, signal);
      slept += ms;
    };
    await expect(start({ ...systemClock, sleep })).rejects.toMatchObject({
      row: 'daemon-not-started',
      details: { detail: 'begun anew' },
    });
    // It went by itself, and nobody waits for one that has ended.
    expect([await ended, slept < 10_000]).toEqual([[null, 'SIGTERM'], true]);
    expect([isRunning(pid), await runningProgram()]).toEqual([false, null]);
  },
);

/** Waits are over at once, and time goes by with them. */
function hurried(): Clock & { passed: () => number } {
  let passed = 0;
  const sleep = async (ms: number) => {
    passed += ms;
    await systemClock.sleep(5);
  };
  return { ...systemClock, monotonic: () => passed, sleep, passed: () => passed };
}

test('one that does not end within its 5 s is killed, also where it does not even answer; a start leaves that one alone', async () => {
  const lingers = await running({ how: 'lingers' });
  const clock = hurried();
  expect(await stopDaemon(clock)).toEqual({ pid: lingers.pid });
  expect([await lingers.ended, clock.passed() > 5000, clock.passed() < 10_000]).toEqual([
    [null, 'SIGKILL'],
    true,
    true,
  ]);
  const silent = await running({ how: 'silent' });
  const hint = expect.stringContaining('daemon restart');
  await expect(silent.start()).rejects.toMatchObject({ row: 'daemon-hangs', hint, details: { pid: silent.pid } });
  expect(await stopDaemon(hurried())).toEqual({ pid: silent.pid });
  // It might only have been held up.
  expect(await silent.ended).toEqual([null, 'SIGTERM']);
  expect(await stopDaemon(hurried())).toBeNull();
});
