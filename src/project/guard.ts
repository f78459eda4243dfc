import * as fs from 'node:fs/promises';
import path from 'node:path';
import lockfile from 'proper-lockfile';
import * as v from 'valibot';
import { isAlive } from '../system/process.ts';
import { type Project, statePath } from './project.ts';
import { makeFolder, readRecord, writeRecord } from './state.ts';

/**
 * One process at a time for one job of a project (watching, publishing, setting up, writing the lock), on this machine. proper-lockfile takes a lock
 * for stale when it was not touched for a while; after a SIGKILL nobody should have to wait for that, so the holder's
 * process number stands beside the lock, and the lock of a dead process is taken at once.
 */

const Holder = v.object({ v: v.literal(1), pid: v.number() });

export type Job = 'watch' | 'publish' | 'setup' | 'lock';

export type Guarded<T> = { outcome: 'done'; value: T } | { outcome: 'taken'; pid: number | null };

/**
 * Runs `work` as the only one with this job. `taken`: another process has it, also after `patienceMs`. A right that is gone
 * while working (`git clean -fdx` has swept it away, the machine slept past the stale time) is taken again; the signal is
 * aborted where that fails, since another process has it now.
 */
export async function alone<T>(
  project: Pick<Project, 'root'>,
  job: Job,
  patienceMs: number,
  work: (lost: AbortSignal) => Promise<T>,
): Promise<Guarded<T>> {
  const holderFile = statePath(project, `${job}-holder.json`);
  const lockPath = statePath(project, `${job}.lock`);
  const lost = new AbortController();
  let release: (() => Promise<void>) | null = null;
  let retaking = Promise.resolve();
  const note = async () => await writeRecord(holderFile, { v: 1, pid: process.pid });
  const take = async (): Promise<() => Promise<void>> => {
    await makeFolder(path.dirname(lockPath));
    // proper-lockfile keeps its books by this path, so each job needs its own; the lock itself is `<path>.lock`.
    return await lockfile.lock(statePath(project, job), {
      realpath: false,
      // Touched every `update` ms; three missed touches make it stale. The same values everywhere.
      stale: 6000,
      update: 2000,
      onCompromised: () => {
        retaking = retake();
      },
    });
  };
  const retake = async () => {
    release = null;
    try {
      release = await take();
      await note();
    } catch (error) {
      lost.abort(error);
    }
  };
  for (const end = performance.now() + patienceMs; ; ) {
    release = await take().catch((error: NodeJS.ErrnoException) => {
      // Whoever had it before may just have tidied the folder away.
      if (error.code === 'ELOCKED' || error.code === 'ENOENT') return null;
      throw error;
    });
    if (release !== null) {
      try {
        await note();
        return { outcome: 'done', value: await work(lost.signal) };
      } finally {
        await retaking;
        await release?.();
      }
    }
    const pid = await holder(project, holderFile);
    if (pid !== null && !isAlive(pid)) await fs.rm(lockPath, { recursive: true, force: true });
    else if (performance.now() >= end) return { outcome: 'taken', pid };
    else await new Promise((done) => setTimeout(done, 100));
  }
}

/** The process that has the job now, or null. */
export async function whoHas(project: Project, job: 'watch' | 'publish'): Promise<number | null> {
  if (!(await lockfile.check(statePath(project, job), { realpath: false, stale: 6000 }))) return null;
  const pid = await holder(project, statePath(project, `${job}-holder.json`));
  return pid !== null && isAlive(pid) ? pid : null;
}

async function holder(project: Pick<Project, 'root'>, file: string): Promise<number | null> {
  const read = await readRecord(project, file, Holder);
  return read.state === 'ok' ? read.value.pid : null;
}
