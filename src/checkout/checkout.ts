import * as fs from 'node:fs/promises';
import path from 'node:path';
import { whyNotNow } from '../commit/busy.ts';
import { takeIndexLock } from '../commit/index-lock.ts';
import { noteTimes, restoreTimes } from '../commit/media-times.ts';
import { bringIndexUp, noteIndexBehind } from '../commit/user-index.ts';
import type { DawProfile } from '../daw/profile.ts';
import { gitFailure } from '../git/failures.ts';
import { tryGit } from '../git/run.ts';
import { diffTrees, type TreeChange } from '../git/tree.ts';
import { asFailure, Failure } from '../model/failures.ts';
import { alone, untilKnownMs } from '../project/guard.ts';
import type { Project } from '../project/project.ts';
import { statOf } from '../system/stat.ts';
import { differing } from './differs.ts';
import { discard, place, prepare } from './files.ts';
import { bringPromised } from './promised.ts';
import { endJournal, isUnderWay, type Journal, readJournal, writeJournal } from './journal.ts';
import { assertNoDaw, assertRoom, assertUntouched } from './way.ts';

export interface Arrival {
  /** Where HEAD is; null: it has no commit yet. */
  from: string | null;
  /** A descendant of it. */
  to: string;
  profile: DawProfile;
  /** For the reflog, from which later is seen what a DAW had in memory. */
  why: string;
  /** Nobody asks for it: it must be sure that no DAW runs, and this many bytes stay free. Null: a person does. */
  byItself: { reserve: number } | null;
}

/** How long another process that brings something in is waited for, ms. */
const patienceMs = 10_000;

/**
 * Moves HEAD, index and files together from one version to a later one. New files are written beside the project first;
 * then, with git's index locked and no version made meanwhile, they are renamed into place. Files that do not differ are
 * not touched, and keep their times. A process that is killed leaves a journal: the next one goes on, or puts all back.
 * Throws `not-now`, `would-overwrite`, `daw-runs`, `disk-full`, `busy`, and of a partial clone `offline`, `auth`….
 */
export async function checkOut(project: Project, arrival: Arrival): Promise<void> {
  const done = await alone(project, 'checkout', patienceMs, async () => {
    await goOn(project);
    if ((await headCommit(project)) === arrival.to) return; // that was it
    const changes = await diffTrees(project.root, arrival.from, arrival.to);
    try {
      await assertSafe(project, arrival, changes);
      await bringPromised(project, arrival.to, changes);
      await assertRoom(project.root, changes, arrival.byItself?.reserve ?? 0);
      await prepare(project, arrival.to, withFile(changes));
      await moveTogether(project, arrival, changes);
      // Takes that are as they were once get the time that they had: some DAWs take another time for another take.
      await restoreTimes(project, new Set(withFile(changes)));
    } finally {
      await discard(project.root);
    }
  });
  if (done.outcome === 'taken') throw busy(done.pid);
}

/** Goes on with a move that was broken off, if there is one. False: it is under way in another process just now. */
export async function finishCheckout(project: Project): Promise<boolean> {
  if (!(await isUnderWay(project))) return true;
  // One that was killed before it had written its name is not waited for by the next one in vain.
  const patience = { ms: 0, withUnknownMs: untilKnownMs };
  const done = await alone(project, 'checkout', patience, async () => await goOn(project));
  return done.outcome === 'done';
}

const busy = (pid: number | null): Failure =>
  new Failure('busy', { detail: `Process ${pid ?? '?'} is bringing versions into this project` });

/** Would it be done now? Throws what `checkOut` throws where it would not. */
export async function assertCanCheckOut(project: Project, arrival: Arrival): Promise<void> {
  await assertSafe(project, arrival, await diffTrees(project.root, arrival.from, arrival.to));
}

async function assertSafe(project: Project, arrival: Arrival, changes: readonly TreeChange[]): Promise<void> {
  const reason = await whyNotNow(project);
  if (reason !== null) throw new Failure('not-now', { detail: reason });
  await assertNoDaw(arrival.profile, changes, { sure: arrival.byItself !== null });
  await assertUntouched(project, changes);
}

async function moveTogether(
  project: Project,
  { from, to, why, profile, byItself }: Arrival,
  changes: readonly TreeChange[],
): Promise<void> {
  const lock = await takeIndexLock(project.gitDir);
  if (lock === null) throw new Failure('not-now', { detail: 'another Git program is at work in this project' });
  try {
    const reason = await whyNotNow(project);
    if (reason !== null) throw new Failure('not-now', { detail: reason });
    const journal = { from, to, why, times: await timesOf(project.root, changes) };
    // From here on no version is made. What was saved, or started, while the files were prepared is seen now.
    await writeJournal(project, journal);
    try {
      if ((await headCommit(project)) !== from)
        throw new Failure('busy', { detail: 'A version was made at the same time' });
      await assertNoDaw(profile, changes, { sure: byItself !== null });
      await assertUntouched(project, changes);
    } catch (error) {
      await endJournal(project);
      throw error;
    }
    try {
      await noteTimes(project);
      await place(project.root, changes);
      await moveHead(project, journal);
    } catch (error) {
      await settle(project, { v: 1, ...journal }, 'back');
      throw asFailure(error);
    }
    await bringIndexUp(project, { ours: lock });
    await endJournal(project);
  } finally {
    await lock.release();
  }
}

async function goOn(project: Project): Promise<void> {
  const journal = await readJournal(project);
  if (journal === null) return;
  await settle(project, journal, 'on');
  await discard(project.root);
}

/**
 * Ends a move that was broken off: `on` to its end, or `back` to where it began. It goes back also when a file holds
 * something else by now: somebody has saved since, on the version that was there before.
 */
async function settle(project: Project, journal: Journal, way: 'on' | 'back'): Promise<void> {
  const { root } = project;
  const { from, to, times } = journal;
  const head = await headCommit(project);
  // Back, from a move that somebody's commit has overtaken: HEAD may be anywhere but at the end.
  if (head === from || (way === 'back' && head !== to)) {
    const changes = await diffTrees(root, from, to);
    const notOld = await differing(project, new Map(changes.map(({ path, old }) => [path, old])));
    const notNext = await differing(project, new Map(changes.map(({ path, next }) => [path, next])));
    const on = way === 'on' && ![...notOld].some((name) => notNext.has(name));
    const left = on
      ? changes.filter(({ path }) => notNext.has(path))
      : changes.filter(({ path }) => !notNext.has(path) && notOld.has(path)).map(backwards);
    const source = on ? to : from;
    if (source !== null) await prepare(project, source, withFile(left));
    await place(root, left);
    if (on) await moveHead(project, journal);
    else for (const { path: name } of left) await restoreTime(root, name, times[name]);
  }
  // HEAD somewhere else: the user has committed since, and what lies here is theirs to see to.
  await bringIndexUp(project);
  await endJournal(project);
}

const backwards = ({ path, old, next }: TreeChange): TreeChange => ({ path, old: next, next: old });

const withFile = (changes: readonly TreeChange[]): string[] =>
  changes.flatMap(({ path, next }) => (next === null ? [] : [path]));

/** The old value makes it a compare-and-swap. */
async function moveHead(project: Project, { from, to, why }: Pick<Journal, 'from' | 'to' | 'why'>): Promise<void> {
  await noteIndexBehind(project, from, to);
  const args = ['update-ref', '--create-reflog', '-m', why, 'HEAD', to, from ?? ''];
  const result = await tryGit(project.root, args);
  if (result.exitCode !== 0) throw gitFailure(result, args);
}

async function headCommit({ root }: Project): Promise<string | null> {
  const result = await tryGit(root, ['rev-parse', '--verify', '--quiet', 'HEAD^{commit}']);
  if (result.exitCode === 1) return null;
  if (result.exitCode !== 0) throw gitFailure(result, ['rev-parse']);
  return result.stdout.toString('utf8').trim();
}

async function timesOf(root: string, changes: readonly TreeChange[]): Promise<Record<string, number>> {
  const times: Record<string, number> = {};
  for (const { path: name } of changes) {
    const stat = await statOf(path.join(root, name));
    if (stat !== null) times[name] = Number(stat.mtimeNs) / 1e6;
  }
  return times;
}

async function restoreTime(root: string, name: string, ms: number | undefined): Promise<void> {
  const stat = await statOf(path.join(root, name));
  if (ms !== undefined && stat?.isFile()) await fs.utimes(path.join(root, name), ms / 1000, ms / 1000);
}
