import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { onTestFinished } from 'vitest';
import { run } from '../../src/system/process.ts';
import { killTree } from './processes.ts';

/** The program as users have it. */
export const main = path.resolve(import.meta.dirname, '../../dist/main.js');

export interface CliOptions {
  cwd: string;
  /** Over this process's environment; undefined takes a variable out. */
  env?: Record<string, string | undefined>;
  input?: string;
}

/** As another user, where that is possible. */
interface BackgroundOptions extends CliOptions {
  uid?: number;
  gid?: number;
}

export interface CliResult {
  /** null: ended by a signal. */
  code: number | null;
  stdout: string;
  stderr: string;
  /** The one JSON document on standard output. Throws, showing both outputs, if it is not one. */
  json: () => unknown;
}

/** Runs the built program to its end. */
export async function oxenvcs(args: readonly string[], { cwd, env, input }: CliOptions): Promise<CliResult> {
  const call = { cwd, env: { ...process.env, ...env }, ...(input === undefined ? {} : { input }) };
  const { exitCode, stdout, stderr } = await run(process.execPath, [main, ...args], call);
  const text = stdout.toString('utf8');
  return { code: exitCode, stdout: text, stderr, json: () => parse(text, stderr) };
}

export interface Background {
  pid: number;
  /** Every line so far, of standard output and standard error alike, as they came. */
  lines: string[];
  /** The first line since the start that matches, once it is there. Fails if the program ends without it, or after `timeoutMs` (20 s). */
  waitForLine: (pattern: RegExp, timeoutMs?: number) => Promise<string>;
  /** SIGTERM, or another signal, to the program alone; gives how it ended. */
  kill: (signal?: NodeJS.Signals) => Promise<Ended>;
  /** How it ended, once it has. */
  ended: Promise<Ended>;
}

interface Ended {
  code: number | null;
  signal: NodeJS.Signals | null;
}

/** Starts the built program and lets it run: `watch`. It is killed, with all that it started, when the test is over. */
export function background(args: readonly string[], { cwd, env, input, ...user }: BackgroundOptions): Background {
  const child = spawn(process.execPath, [main, ...args], { cwd, env: { ...process.env, ...env }, ...user });
  const { pid } = child;
  if (pid === undefined) throw new Error(`node could not be started in ${cwd}`);
  child.stdin.on('error', () => undefined).end(input);
  const lines: string[] = [];
  const waiting = new Set<() => void>();
  const look = () => {
    for (const again of waiting) again();
  };
  for (const stream of [child.stdout, child.stderr])
    createInterface({ input: stream }).on('line', (line) => {
      lines.push(line);
      look();
    });
  const ended = endOf(child);
  let isOver = false;
  void ended.then(() => {
    isOver = true;
    look();
  });

  const waitForLine = async (pattern: RegExp, timeoutMs = 20_000) =>
    await new Promise<string>((resolve, reject) => {
      const stop = () => {
        waiting.delete(again);
        clearTimeout(timer);
      };
      const fail = (why: string) => {
        stop();
        reject(new Error(`${why} without a line that matches ${pattern}. It said:\n${lines.join('\n')}`));
      };
      const again = () => {
        const line = lines.find((one) => pattern.test(one));
        if (line === undefined) return isOver ? fail('It ended') : undefined;
        stop();
        resolve(line);
      };
      const timer = setTimeout(fail, timeoutMs, `${timeoutMs} ms went by`);
      waiting.add(again);
      again();
    });

  onTestFinished(async () => {
    killTree(pid);
    await ended;
  });
  return {
    pid,
    lines,
    waitForLine,
    ended,
    kill: async (signal = 'SIGTERM') => {
      child.kill(signal);
      return await ended;
    },
  };
}

async function endOf(child: ChildProcess): Promise<Ended> {
  // 'close' comes after the last output, also that of children who still hold it: they are killed with the rest.
  const [code, signal] = (await once(child, 'close')) as [number | null, NodeJS.Signals | null];
  return { code, signal };
}

function parse(stdout: string, stderr: string): unknown {
  try {
    return JSON.parse(stdout);
  } catch (cause) {
    throw new Error(`This is not one JSON document:\n${stdout}\nstderr:\n${stderr}`, { cause });
  }
}
