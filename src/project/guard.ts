import * as fs from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import lockfile from 'proper-lockfile';
import * as v from 'valibot';
import { outliveGitOf } from '../git/orphans.ts';
import { Failure } from '../model/failures.ts';
import { isoTime } from '../system/clock.ts';
import { ifMissing, writeWhole } from '../system/disk.ts';
import { isAlive } from '../system/process.ts';
import { isNode } from '../system/processes.ts';
import { listenIn } from '../system/listen-in.ts';
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

/** A lock beside which no name was written in so long is nobody's, ms. */
const staleMs = 6000;
/** After so long it is clear whether a holder that nobody knows is still there, ms. */
export const untilKnownMs = staleMs + 2000;

export type Job = 'watch' | 'publish' | 'setup' | 'lock' | 'checkout' | 'daemon';

/**
 * Touched every `update` ms; three missed touches make a lock stale. The background process holds hundreds for months, and a
 * laptop sleeps longer than any such time: those are touched rarely, and taken from a process that lives only where that
 * is no process of ours. The same values everywhere.
 */
const short = { update: 2000, stale: staleMs };
const lasting = { update: 2000, stale: 10 * 365 * 86_400_000 };
const long = { ...lasting, update: 300_000 };
const timing: Record<Job, typeof short> = {
  watch: long,
  publish: short,
  setup: short,
  lock: short,
  // It moves files: one that has slept in the middle of it goes on with that, and nobody else may have done it meanwhile.
  checkout: lasting,
  daemon: long,
};

/** The locks that this process holds. */
const held = new Set<string>();

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
  let ours = '';
  const note = async () => {
    ours = (await lookAt(lockPath))?.identity ?? '';
    const value = { v: 1, pid: process.pid, host: os.hostname(), lock: ours };
    await writeWhole(noteFile(project, job), `${JSON.stringify(value)}\n`);
  };
  const lock = async (): Promise<() => Promise<void>> =>
    // proper-lockfile keeps its books by this path, so each job needs its own; the lock itself is `<path>.lock`.
    await lockfile.lock(statePath(project, job), {
      realpath: false,
      ...timing[job],
      onCompromised: () => {
        retaking = retake();
      },
    });
  const take = async (): Promise<() => Promise<void>> =>
    await lock().catch(async (error: NodeJS.ErrnoException) => {
      if (error.code !== 'ENOENT') throw error;
      // The background process's own folder is on no disk that comes back.
      if (job === 'daemon') await fs.mkdir(project.root, { recursive: true, mode: 0o700 });
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
  /** Something was done to the lock, or to the note: without it the lock would be nobody's in a moment. */
  const touched = () => {
    retaking = retaking.then(async () => {
      // Whoever sweeps may still be at it.
      await new Promise((done) => setTimeout(done, 500));
      if (release === null) return;
      const lies = await lookAt(lockPath);
      // One that is another's by now is left to them: that is noticed at the next touch.
      if (lies !== null && lies.identity !== ours) return;
      if (lies !== null) {
        if ((await holderOf(project, job))?.pid !== process.pid) await note().catch(() => undefined);
        return;
      }
      // proper-lockfile forgets it; there is nothing to remove.
      await release().catch(() => undefined);
      await retake();
    });
  };
  for (const start = performance.now(); ; ) {
    release = await take().catch((error: NodeJS.ErrnoException) => {
      // Whoever had it before may just have tidied the folder away.
      if (error.code === 'ELOCKED' || error.code === 'ENOENT') return null;
      throw error;
    });
    if (release !== null) {
      await outliveLast(project, job, release);
      // Beside the work, which need not wait for it. Should it fail: after a SIGKILL the lock is waited for until it is stale.
      const noted = note().catch(() => undefined);
      // Of a lock that is touched rarely it would be noticed late that somebody has swept it away.
      const files = [lockPath, noteFile(project, job)].map((file) => path.basename(file));
      const deafen = timing[job] === long ? listenIn(path.dirname(lockPath), files, touched) : null;
      held.add(lockPath);
      try {
        return { outcome: 'done', value: await work(lost.signal) };
      } finally {
        deafen?.();
        await Promise.all([noted, retaking]);
        // While the lock is ours, the note is. One that stays tells that its process was killed.
        if (release !== null) await fs.rm(noteFile(project, job), { force: true }).catch(() => undefined);
        await release?.();
        held.delete(lockPath);
      }
    }
    const holder = await holderOf(project, job);
    const waited = performance.now() - start;
    if (holder === null) await fs.rm(lockPath, { recursive: true, force: true });
    else if (waited >= (holder.pid === null && holder.elsewhere === null ? withUnknownMs : patienceMs))
      return { outcome: 'taken', pid: holder.pid };
    else await new Promise((done) => setTimeout(done, 100));
  }
}

/** Gives way to what the last one may have left at work when it was killed. Gives the lock back where that does not end. */
async function outliveLast(project: Pick<Project, 'root'>, job: Job, release: () => Promise<void>): Promise<void> {
  try {
    const left = await readRecord(project, noteFile(project, job), Note);
    if (left.state !== 'ok' || left.value.host !== os.hostname() || isAlive(left.value.pid)) return;
    await outliveGitOf(left.value.pid);
  } catch (error) {
    await release();
    throw error;
  }
}

export interface Holder {
  /** Null where it cannot be told: on another computer, or its note is damaged. */
  pid: number | null;
  /** It has the folder open over a share; without a sign of life it counts as gone from `until` on. */
  elsewhere: { host: string; until: string } | null;
}

/** Who has the job now; null: nobody. */
export async function whoHas(project: Pick<Project, 'root'>, job: 'watch' | 'publish'): Promise<Holder | null> {
  return await holderOf(project, job);
}

/** Why a project cannot be watched, or left: by whom it is watched. */
export async function alreadyWatched(project: Pick<Project, 'root'>): Promise<Failure> {
  const holder = await whoHas(project, 'watch');
  if (holder?.elsewhere) return new Failure('watched-elsewhere', { dir: project.root, ...holder.elsewhere });
  return new Failure('already-watched', { dir: project.root, pid: holder?.pid ?? '?' });
}

/** Whose lock it is that lies there; null: nobody's, or one that was left behind. */
async function holderOf(project: Pick<Project, 'root'>, job: Job): Promise<Holder | null> {
  const lock = await lookAt(lockFolder(project, job));
  if (lock === null) return null;
  const untouchedMs = Date.now() - lock.touchedAt;
  const read = await readRecord(project, noteFile(project, job), Note);
  const unknown = { pid: null, elsewhere: null };
  if (read.state !== 'ok' || read.value.lock !== lock.identity) return untouchedMs < staleMs ? unknown : null;
  const { pid, host } = read.value;
  const freshMs = 3 * timing[job].update;
  const fresh = untouchedMs < freshMs;
  if (host !== os.hostname())
    return fresh ? { pid: null, elsewhere: { host, until: isoTime(lock.touchedAt + freshMs) } } : null;
  // A folder that was away, with its disk or under another name, brings our own lock of that time back.
  if (!isAlive(pid) || (pid === process.pid && !held.has(lockFolder(project, job)))) return null;
  // After a restart, or a long time, another program has the number.
  return fresh || (timing[job] !== short && (await isNode(pid))) ? { pid, elsewhere: null } : null;
}

/** Inodes are used again; the time of birth, where the system keeps one, is not. */
async function lookAt(folder: string): Promise<{ identity: string; touchedAt: number } | null> {
  const stat = await fs.stat(folder, { bigint: true }).catch(ifMissing(null));
  return stat && { identity: `${stat.ino}:${stat.birthtimeNs}`, touchedAt: Number(stat.mtimeMs) };
}

const lockFolder = (project: Pick<Project, 'root'>, job: Job): string => statePath(project, `${job}.lock`);
const noteFile = (project: Pick<Project, 'root'>, job: Job): string => statePath(project, `${job}-holder.json`);
