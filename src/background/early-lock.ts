import { type LockContext, lockContext } from '../lock/context.ts';
import { cachedStatus } from '../lock/status.ts';
import { asFailure, type Failure } from '../model/failures.ts';
import { branchTip, notCheckedOut, type Project, refCommit, remoteBranchRef } from '../project/project.ts';
import { noteIntent } from '../queue/entries.ts';
import { type Clock, isoTime } from '../system/clock.ts';
import { type Taken, takeLock } from '../sync/onto.ts';
import type { Reach } from './reach.ts';

export interface EarlyPorts {
  clock: Clock;
  signal: AbortSignal;
  reach: Reach;
  /** What the work began on, for the others to see. */
  paths: readonly string[];
  onLocked: (outcome: Taken) => void;
  onHeld: (failure: Failure) => void;
}

/**
 * A save is coming: takes the lock, so that nobody starts work that must wait. `reached`: it is ours, the remote has just
 * answered. `not-reached`: it is wanted still; the work goes on all the same, and what it began on is noted. `done`: no more
 * is to be done for it.
 */
export async function lockEarly(project: Project, ports: EarlyPorts): Promise<'reached' | 'not-reached' | 'done'> {
  const { clock, signal, reach, onLocked, onHeld } = ports;
  // What is saved to another branch is not published by itself: it must keep nobody from this one.
  if ((await notCheckedOut(project)) !== null) return 'done';
  const ctx = await lockContext(project, clock, signal);
  // To find out that nobody answers takes half a minute, in which versions are made.
  const begun = await beginning(project, ports);
  if (reach.silence() !== null || reach.isSpared()) {
    await intend(project, ctx, begun);
    return 'not-reached';
  }
  const started = clock.monotonic();
  try {
    const outcome = await takeLock(project, ctx);
    onLocked(outcome);
    // That was known without asking.
    if (outcome === 'already-mine') return 'done';
    await reach.note('lock', started, null, null);
    return 'reached';
  } catch (error) {
    const failure = asFailure(error);
    const isOffline = failure.code === 'OFFLINE';
    await reach.note('lock', started, failure, isOffline ? project.config.network.initialBackoffMs : null);
    // Who has the lock is told now; all else when the version cannot be published.
    if (failure.code === 'LOCK_HELD') onHeld(failure);
    if (!isOffline) return 'done';
    reach.failed(failure);
    await intend(project, ctx, begun);
    return 'not-reached';
  }
}

type Beginning = Parameters<typeof noteIntent>[1];

/** What is worked on from now on; null before the first version. */
async function beginning(project: Project, { clock, paths }: EarlyPorts): Promise<Beginning | null> {
  const commit = await branchTip(project);
  if (commit === null) return null;
  const base = await refCommit(project, remoteBranchRef(project));
  return { commit, branch: project.config.branch, createdAt: isoTime(clock.now()), base, paths: [...paths] };
}

async function intend(project: Project, ctx: LockContext, begun: Beginning | null): Promise<void> {
  if (begun !== null && !(await cachedStatus(ctx)).mine) await noteIntent(project, begun);
}
