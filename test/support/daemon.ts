import * as fs from 'node:fs/promises';
import path from 'node:path';
import { onTestFinished } from 'vitest';
import { type Background, background, type CliResult, oxenvcs } from './cli.ts';
import { isRunning, killTree } from './processes.ts';
import { sandbox, write } from './sandbox.ts';

/** Settings of a daemon that does not let a test wait. */
const quick = {
  OXENVCS_WATCH_QUIET_SECONDS: '0.3',
  OXENVCS_WATCH_MEDIA_QUIET_SECONDS: '0.6',
  OXENVCS_WATCH_SCAN_SECONDS: '2',
  OXENVCS_PULL_POLL_SECONDS: '0.3',
  OXENVCS_NETWORK_INITIAL_BACKOFF_MS: '100',
  OXENVCS_NETWORK_MAX_BACKOFF_MS: '500',
  // At the lowest priority it would wait for all other tests.
  OXENVCS_PRIORITY: 'usual',
};

/** Without those. */
export const asUsersHaveIt: Record<string, undefined> = Object.fromEntries(
  Object.keys(quick).map((name) => [name, undefined]),
);

export interface User {
  dir: string;
  /** Where the background process has its record, its socket and its log. */
  daemonFolder: string;
  env: Record<string, string | undefined>;
  run: (args: string[], cwd?: string, env?: Record<string, string>) => Promise<CliResult>;
  start: (args: string[]) => Background;
  /** A project with one session. */
  song: (name?: string, remote?: string) => Promise<string>;
  /** The process that calls itself this user's background process. */
  daemonPid: () => Promise<number>;
  log: () => Promise<string>;
}

/** A user with a data folder of their own; their background process is killed when the test is over. */
export async function user(env: Record<string, string | undefined> = {}): Promise<User> {
  const dir = await sandbox();
  const data = path.join(dir, 'data');
  const daemonFolder = path.join(data, 'oxenvcs', 'daemon');
  const all = { ...quick, XDG_DATA_HOME: data, XDG_RUNTIME_DIR: path.join(dir, 'run'), ...env };
  const run = async (args: string[], cwd = dir, more = {}) => await oxenvcs(args, { cwd, env: { ...all, ...more } });
  const daemonPid = async () => {
    const text = await fs.readFile(path.join(daemonFolder, 'daemon.json'), 'utf8').catch(() => '{"pid":0}');
    return (JSON.parse(text) as { pid: number }).pid;
  };
  onTestFinished(async () => {
    const pid = await daemonPid();
    if (pid === 0) return; // none was started, or it did not come so far
    if (isRunning(pid)) killTree(pid);
    await until('it has ended', async () => !isRunning(pid));
  });
  return {
    dir,
    daemonFolder,
    env: all,
    run,
    start: (args) => background(args, { cwd: dir, env: all }),
    song: async (name = 'My Söng 🎸', remote) => {
      const song = path.join(dir, name);
      await write(song, { 'Song.als': 'one' });
      const made = await run(['init', song, ...(remote === undefined ? [] : ['--remote', remote])]);
      if (made.code !== 0) throw new Error(made.stderr);
      return song;
    },
    daemonPid,
    log: async () => await fs.readFile(path.join(daemonFolder, 'daemon.log'), 'utf8').catch(() => ''),
  };
}

/** Waits until it holds, 20 s at most. */
export async function until(what: string, holds: () => Promise<boolean>): Promise<void> {
  for (const end = Date.now() + 20_000; !(await holds()); await new Promise((done) => setTimeout(done, 50)))
    if (Date.now() > end) throw new Error(`it never came to be that ${what}`);
}
