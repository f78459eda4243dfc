import * as fs from 'node:fs/promises';
import os from 'node:os';
import { asFailure, Failure } from '../model/failures.ts';
import { type Clock, endsWithin } from '../system/clock.ts';
import { ifMissing } from '../system/disk.ts';
import { isAlive, startDetached } from '../system/process.ts';
import { type Connection, reachDaemon } from './client.ts';
import { ensureService, isInPlace, serviceKind, startService } from './install.ts';
import { daemonFolder, outputFile } from './place.ts';
import type { ServiceKind } from './service.ts';

/** Begins and ends the background process. */

/** The program that asks: of which version it is, and the file that was started. */
export interface Program {
  version: string;
  file: string;
}

export interface Started {
  outcome: 'started' | 'restarted' | 'already-running';
  pid: number;
  /** How it starts with the user's session; null: it does not. */
  service: ServiceKind | null;
  /** Why it does not, for people. */
  remark: string | null;
}

/** A start takes half a second; a busy machine is given time, ms. */
const startMs = 20_000;
/** It has promised to end within 5 s. */
const endMs = 6000;
/** One that has ended is seen until its parent has fetched it; in some containers that is late, or never. */
const goneMs = 2000;

/**
 * Sees to it that a background process of this program runs, now and after each login. One of an older program, or of the
 * same one built anew, or one that the system does not know of, is told to go first. Throws `daemon-not-started`, `daemon-hangs`.
 */
export async function startDaemon(program: Program, clock: Clock): Promise<Started> {
  const running = await reachDaemon();
  if (running.outcome === 'hangs') throw new Failure('daemon-hangs', { pid: running.pid });
  const kind = await serviceKind();
  let outcome: Started['outcome'] = 'started';
  if (running.outcome === 'connected') {
    const { connection } = running;
    const { pid } = connection.greeting;
    const current = await isCurrent(connection.greeting, program);
    connection.close();
    if (current && (kind === null || (await isInPlace(kind, program.file))))
      return { outcome: 'already-running', pid, service: kind, remark: kind === null ? noService : null };
    await stopDaemon(clock);
    outcome = 'restarted';
  }
  await fs.mkdir(daemonFolder(), { recursive: true, mode: 0o700 });
  const before = (await fs.stat(outputFile()).catch(ifMissing(null)))?.size ?? 0;
  const { pid, ...service } = await begin(kind, program.file);
  return { outcome, pid: await untilItAnswers(pid, before, clock), ...service };
}

const noService = 'It does not start by itself after the next login: this system has no way for that.';

/** By the system, or by ourselves where that has no way, or refuses. `pid` is undefined where the system has started it. */
async function begin(
  kind: ServiceKind | null,
  file: string,
): Promise<Pick<Started, 'service' | 'remark'> & { pid: number | undefined }> {
  // Not in a project: a disk that is in use cannot be unplugged.
  const call = { cwd: os.homedir(), env: process.env, log: outputFile() };
  const byOurselves = async () => await startDetached(process.execPath, [file, 'daemon', 'run', '--quiet'], call);
  if (kind === null) return { pid: await byOurselves(), service: null, remark: noService };
  try {
    await startService(await ensureService(kind, file));
  } catch (error) {
    const { message } = asFailure(error);
    return { pid: await byOurselves(), service: null, remark: `${message} It runs now, but not after the next login.` };
  }
  return { pid: kind === 'autostart' ? await byOurselves() : undefined, service: kind, remark: null };
}

/** Gives its number. Throws `daemon-not-started` with what it said. */
async function untilItAnswers(pid: number | undefined, before: number, clock: Clock): Promise<number> {
  for (const begun = clock.monotonic(); clock.monotonic() - begun < startMs; await clock.sleep(50)) {
    const reached = await reachDaemon();
    if (reached.outcome === 'connected') {
      reached.connection.close();
      return reached.connection.greeting.pid;
    }
    if (pid !== undefined && !isAlive(pid)) break;
  }
  const said = (await fs.readFile(outputFile(), 'utf8').catch(ifMissing(''))).slice(before).trim();
  throw new Failure('daemon-not-started', { detail: said.split('\n')[0] || 'it said nothing' });
}

/** Is it of this very program, or of a newer one? */
async function isCurrent(running: Connection['greeting'], { version, file }: Program): Promise<boolean> {
  const order = compareVersions(running.version, version);
  if (order !== 0) return order > 0;
  return running.program !== file || running.builtAt >= (await fs.stat(file)).mtimeMs;
}

/** Below 0: `a` is older. Pure; what stands behind a dash is left out. */
export function compareVersions(a: string, b: string): number {
  const parts = (version: string) => (version.split('-', 1)[0] ?? '').split('.').map(Number);
  const [first, second] = [parts(a), parts(b)];
  for (let i = 0; i < 3; i++) {
    const difference = (first[i] ?? 0) - (second[i] ?? 0);
    if (difference !== 0) return difference;
  }
  return 0;
}

/** Of which program a background process is that runs; null: there is none, or it does not say. */
export async function runningProgram(): Promise<string | null> {
  const reached = await reachDaemon();
  if (reached.outcome !== 'connected') return null;
  reached.connection.close();
  return reached.connection.greeting.program;
}

/**
 * Ends the background process: what has settled becomes a version first. One that does not end in time is killed. Null:
 * there was none.
 */
export async function stopDaemon(clock: Clock): Promise<{ pid: number } | null> {
  const reached = await reachDaemon();
  if (reached.outcome === 'not-running') return null;
  if (reached.outcome === 'hangs') {
    // The connection stood, so it is no other process of that number.
    process.kill(reached.pid, 'SIGTERM');
    if (!(await endsIn(reached.pid, clock, endMs))) process.kill(reached.pid, 'SIGKILL');
    await endsIn(reached.pid, clock, goneMs);
    return { pid: reached.pid };
  }
  const { connection } = reached;
  const { pid } = connection.greeting;
  // One that is busy, or gone before it has answered, has heard it all the same.
  await connection.ask({ do: 'stop' }).catch(() => undefined);
  const inTime = await endsWithin(connection.closed, endMs, clock);
  connection.close();
  if (!inTime) process.kill(pid, 'SIGKILL');
  await endsIn(pid, clock, goneMs);
  return { pid };
}

/** Does the process end within so many ms? */
async function endsIn(pid: number, clock: Clock, ms: number): Promise<boolean> {
  for (const begun = clock.monotonic(); isAlive(pid); await clock.sleep(50))
    if (clock.monotonic() - begun > ms) return false;
  return true;
}
