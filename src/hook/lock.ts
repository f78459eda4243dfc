import { lockContext } from '../lock/context.ts';
import { acquireLock } from '../lock/lease.ts';
import { lookAtLock } from '../lock/view.ts';
import { whoHas } from '../project/guard.ts';
import type { Project } from '../project/project.ts';
import { systemClock } from '../system/clock.ts';

/**
 * Takes the lock for a commit or a push by hand, where it is free; else finds out who has it. What is found out is noted
 * in the cache, from which the hook (in sh) judges. Gives what the person should know all the same, or null.
 * Throws where the remote cannot be asked.
 */
export async function takeLock(project: Project, signal: AbortSignal): Promise<string | null> {
  const ctx = await lockContext(project, systemClock, signal);
  const { auto, leaseHours, releaseAfterIdleMinutes } = project.config.lock;
  if (!auto) {
    const looked = await lookAtLock(ctx);
    if (looked.outcome !== 'read') throw looked.failure;
    return null;
  }
  // Without a watcher nobody would give it back: then it lasts no longer than nobody may work before it is given back.
  const isWatched = (await whoHas(project, 'watch')) !== null;
  const leaseMs = Math.min(leaseHours * 3_600_000, releaseAfterIdleMinutes * 60_000);
  const got = await acquireLock(ctx, { how: 'save', ...(isWatched ? {} : { leaseMs }) });
  if (got.outcome === 'stale-base') return `${got.failure.message} ${got.failure.hint}`;
  if (got.outcome === 'unreachable' || got.outcome === 'refused') throw got.failure;
  return null;
}
