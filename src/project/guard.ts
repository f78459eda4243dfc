import * as fs from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import lockfile from 'proper-lockfile';
import * as v from 'valibot';
import { ifMissing, writeWhole } from '../system/disk.ts';
import { isAlive } from '../system/process.ts';
import { type Project, statePath } from './project.ts';
import { makeFolder, readRecord } from './state.ts';

/**
 * One process at a time for one job of a project (watching, publishing, setting up, writing the lock), on this machine. proper-lockfile takes a lock
 * for stale when it was not touched for a while; after a SIGKILL nobody should have to wait for that, so the holder's
 * process number stands beside the lock, and the lock of a dead process is taken at once.
 */

/** Not flushed: after a power cut nobody holds anything. */
const Note = v.object({
  v: v.literal(1),
  pid: v.number(),
  /** A process of another computer that has this folder open over a share is not seen from here. */
  host: v.string(),
  /** The very lock that it is about: the next holder of the same name may not have written its own yet. */
  lock: v.string(),
});

/** A lock that was not touched for so long is nobody's, ms. */
const staleMs = 6000;
/** After so long it is clear whether a holder that nobody knows is still there, ms. */
export const untilKnownMs = staleMs + 2000;

export type Job = 'watch' | 'publish' | 'setup' | 'lock' | 'checkout' | 'daemon';

export type Guarded<T> = { outcome: 'done'; value: T } | { outcome: 'taken'; pid: number | null };

/**
 * Runs `work` as the only one with this job. `taken`: another process has it, also after `patience` (ms). A right that is gone
 * while working (`git clean -fdx` has swept it away, the machine slept past the stale time) is taken again; the signal is
 * aborted where that fails, since another process has it now. `withUnknownMs`: so long is waited where it cannot be told
 * who has it; one that was killed before it had written its name is not taken for one that works.
 */
export async function alone<T>(
  project: Pick<Project, 'root'>,
  job: Job,
  patience: number | { ms: number; withUnknownMs: number },
  work: (lost: AbortSignal) => Promise<T>,
): Promise<Guarded<T>> {
  const { ms: patienceMs, withUnknownMs } =
    typeof patience === 'number' ? { ms: patience, withUnknownMs: patience } : patience;
  const lockPath = lockFolder(project, job);
  const lost = new AbortController();
  let release: (() => Promise<void>) | null = null;
  let retaking = Promise.resolve();
  const note = async () => {
    const value = { v: 1, pid: process.pid, host: os.hostname(), lock: await identity(lockPath) };
    await writeWhole(noteFile(project, job), `${JSON.stringify(value)}\n`);
  };
  const lock = async (): Promise<() => Promise<void>> =>
    // proper-lockfile keeps its books by this path, so each job needs its own; the lock itself is `<path>.lock`.
    await lockfile.lock(statePath(project, job), {
      realpath: false,
      // Touched every `update` ms; three missed touches make it stale. The same values everywhere.
      stale: staleMs,
      update: 2000,
      onCompromised: () => {
        retaking = retake();
      },
    });
  const take = async (): Promise<() => Promise<void>> =>
    await lock().catch(async (error: NodeJS.ErrnoException) => {
      if (error.code !== 'ENOENT') throw error;
      await makeFolder(path.dirname(lockPath));
      return await lock();
    });
  const retake = async () => {
    release = null;
    try {
      release = await take();
      await note();
    } catch (error) {
      lost.abort(error);
    }
  };
  for (const start = performance.now(); ; ) {
    release = await take().catch((error: NodeJS.ErrnoException) => {
      // Whoever had it before may just have tidied the folder away.
      if (error.code === 'ELOCKED' || error.code === 'ENOENT') return null;
      throw error;
    });
    if (release !== null) {
      // Beside the work, which need not wait for it. Should it fail: after a SIGKILL the lock is waited for until it is stale.
      const noted = note().catch(() => undefined);
      try {
        return { outcome: 'done', value: await work(lost.signal) };
      } finally {
        await Promise.all([noted, retaking]);
        await release?.();
      }
    }
    const holder = await whoNoted(project, job);
    const waited = performance.now() - start;
    if (holder?.alive === false) await fs.rm(lockPath, { recursive: true, force: true });
    else if (waited >= (holder === null ? withUnknownMs : patienceMs))
      return { outcome: 'taken', pid: holder?.pid ?? null };
    else await new Promise((done) => setTimeout(done, 100));
  }
}

/** Who has the job now; null: nobody. `pid` is null where it cannot be told: on another computer, or its note is damaged. */
export async function whoHas(
  project: Pick<Project, 'root'>,
  job: 'watch' | 'publish',
): Promise<{ pid: number | null } | null> {
  if (!(await lockfile.check(statePath(project, job), { realpath: false, stale: staleMs }))) return null;
  const holder = await whoNoted(project, job);
  return holder?.alive === false ? null : { pid: holder?.pid ?? null };
}

/** What stands beside the lock that is there now; null: nothing that can be read, or not about this one. */
async function whoNoted(project: Pick<Project, 'root'>, job: Job): Promise<{ pid: number; alive: boolean } | null> {
  const read = await readRecord(project, noteFile(project, job), Note);
  if (read.state !== 'ok' || read.value.host !== os.hostname()) return null;
  const { pid, lock } = read.value;
  return lock === (await identity(lockFolder(project, job))) ? { pid, alive: isAlive(pid) } : null;
}

/** Inodes are used again; the time of birth, where the system keeps one, is not. */
async function identity(folder: string): Promise<string> {
  const stat = await fs.stat(folder, { bigint: true }).catch(ifMissing(null));
  return stat === null ? '' : `${stat.ino}:${stat.birthtimeNs}`;
}

const lockFolder = (project: Pick<Project, 'root'>, job: Job): string => statePath(project, `${job}.lock`);
const noteFile = (project: Pick<Project, 'root'>, job: Job): string => statePath(project, `${job}-holder.json`);
