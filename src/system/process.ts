import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import * as fs from 'node:fs/promises';
import { Readable, type Writable } from 'node:stream';

export interface Call {
  cwd: string;
  /** The whole environment of the child. */
  env: NodeJS.ProcessEnv;
  /** Written to standard input, which is then closed; without it standard input is empty. */
  input?: string | Uint8Array | Readable;
  /** Standard output goes there as it comes, as fast as it is taken, and is not part of the result. */
  output?: Writable;
  signal?: AbortSignal;
  /** The process group is killed after so many ms. */
  timeoutMs?: number;
  /** The process group is killed when standard error has said nothing for so many ms (git's progress is there). */
  idleMs?: number;
  /** Sees standard error as it comes. */
  onStderr?: (text: string) => void;
  /** Sees what is written to file descriptor 3 as it comes: a trace that must not mix with standard error. Not on Windows. */
  onTrace?: (text: string) => void;
}

export interface Result {
  /** null: ended by a signal. */
  exitCode: number | null;
  signal: NodeJS.Signals | null;
  stdout: Buffer;
  stderr: string;
  /** Why we ended it ourselves, if we did. */
  killed: 'timeout' | 'abort' | null;
}

/** So long a program that has ended may leave its output open (ms): what it started and left running may hold it for ever. */
const lingerMs = 2000;
/** A killed program that waits for a disk which does not answer ends when that one does; it is not waited for any longer, ms. */
const deadMs = 5000;
/** A timer above this fires at once (ms). */
const longestTimer = 2_147_483_647;

/**
 * Runs a program in its own process group, so that ending it ends its children too: killing git alone leaves the
 * transport helper running. Never through a shell. Rejects only if the program cannot be started.
 */
export function run(program: string, args: readonly string[], call: Call): Promise<Result> {
  return new Promise((resolve, reject) => {
    const child = spawn(program, args, {
      cwd: call.cwd,
      env: call.env,
      detached: process.platform !== 'win32',
      windowsHide: true,
      stdio: [call.input === undefined ? 'ignore' : 'pipe', 'pipe', 'pipe', ...(call.onTrace ? ['pipe' as const] : [])],
    });
    let killed: Result['killed'] = null;
    const end = (why: 'timeout' | 'abort') => {
      killed ??= why;
      if (child.pid !== undefined) endGroup(child.pid);
      stuck ??= setTimeout(() => {
        done();
        for (const stream of child.stdio) stream?.destroy();
        child.unref();
        resolve({ exitCode: null, signal: 'SIGKILL', stdout: Buffer.concat(stdout), stderr, killed });
      }, deadMs);
    };
    const onAbort = () => end('abort');
    const after = (ms: number | undefined) =>
      ms === undefined ? undefined : setTimeout(end, Math.min(ms, longestTimer), 'timeout');
    const timer = after(call.timeoutMs);
    const idle = after(call.idleMs);
    let linger: NodeJS.Timeout | undefined;
    let stuck: NodeJS.Timeout | undefined;
    call.signal?.addEventListener('abort', onAbort);
    if (call.signal?.aborted) onAbort();

    const stdout: Buffer[] = [];
    let stderr = '';
    let heard = 0;
    if (call.output) child.stdout?.pipe(call.output);
    else
      child.stdout?.on('data', (chunk: Buffer) => {
        stdout.push(chunk);
        heard += chunk.length;
        linger?.refresh();
      });
    child.stderr?.setEncoding('utf8').on('data', (text: string) => {
      stderr += text;
      idle?.refresh();
      call.onStderr?.(text);
    });
    const trace = call.onTrace ? (child.stdio[3] as Readable) : null;
    if (call.onTrace) trace?.setEncoding('utf8').on('data', call.onTrace);
    // A child that ends before it has read everything breaks the pipe; its exit code tells the story.
    child.stdin?.on('error', () => undefined);
    if (call.input instanceof Readable) call.input.pipe(child.stdin as Writable);
    else child.stdin?.end(call.input);

    const done = () => {
      clearTimeout(timer);
      clearTimeout(idle);
      clearTimeout(linger);
      clearTimeout(stuck);
      call.signal?.removeEventListener('abort', onAbort);
    };
    child.on('error', (error) => {
      done();
      reject(error);
    });
    // A hook that starts something in the background hands it our pipes; nobody waits for that to end.
    child.on('exit', () => {
      linger = setTimeout(() => {
        const before = heard;
        // At the lowest priority seconds may pass between the end of a program and our reading of what it has said, which comes now.
        setImmediate(() => {
          if (heard !== before) return;
          // Whoever takes it slowly gets it whole.
          if (!call.output) child.stdout?.destroy();
          child.stderr?.destroy();
          trace?.destroy();
        });
      }, lingerMs);
    });
    child.on('close', (exitCode, signal) => {
      done();
      resolve({ exitCode, signal, stdout: Buffer.concat(stdout), stderr, killed });
    });
  });
}

/**
 * Starts a program that goes on when we have ended: in a session of its own, with nothing to read, what it says appended
 * to `log`. Resolves with its process number as soon as it runs; rejects if it cannot be started.
 */
export async function startDetached(
  program: string,
  args: readonly string[],
  { cwd, env, log }: { cwd: string; env: NodeJS.ProcessEnv; log: string },
): Promise<number | undefined> {
  const out = await fs.open(log, 'a', 0o600);
  try {
    const stdio = ['ignore', out.fd, out.fd] as const;
    const child = spawn(program, args, { cwd, env, detached: true, windowsHide: true, stdio: [...stdio] });
    await once(child, 'spawn');
    child.unref();
    return child.pid;
  } finally {
    await out.close();
  }
}

/** SIGKILL to a process that `run` has started, and to all that it started. Fine where it has ended already. */
export function endGroup(pid: number): void {
  if (process.platform === 'win32') {
    const kill = spawn('taskkill', ['/pid', String(pid), '/T', '/F'], { windowsHide: true, stdio: 'ignore' });
    kill.on('error', () => endAll(pid));
  } else endAll(-pid);
}

function endAll(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL');
  } catch (error) {
    // It has ended already; a Mac says EPERM while the ended ones are not yet fetched.
    if (!['ESRCH', 'EPERM'].includes(String((error as NodeJS.ErrnoException).code))) throw error;
  }
}

/** Does a process of that number run? One of another user counts. */
export function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EPERM') return false;
  }
  return process.platform !== 'linux' || !hasEnded(statOf(pid));
}

/**
 * `/proc/PID/stat` of one that was ended and that its parent has not fetched: in a container whose first process fetches
 * nobody its number stays taken for ever. The name in brackets may hold anything.
 */
export const hasEnded = (stat: string): boolean => /^ [ZXx] /.test(stat.slice(stat.lastIndexOf(')') + 1));

/** Empty where it cannot be read. */
function statOf(pid: number): string {
  try {
    return readFileSync(`/proc/${pid}/stat`, 'utf8');
  } catch {
    return '';
  }
}
