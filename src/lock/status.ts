import { isoTime } from '../system/clock.ts';
import { loadView, type View } from './cache.ts';
import type { LockContext } from './context.ts';
import { lookAtLock, verdictOn } from './move.ts';
import type { Failure } from '../model/failures.ts';
import type { LockRecord } from './record.ts';
import { isExpired } from './time.ts';

/** A lock, as every `--json` gives it. */
export interface ShownLock {
  id: string;
  owner: { name: string; email: string; host: string };
  acquiredAt: string;
  renewedAt: string;
  expiresAt: string;
  generation: number;
  message: string;
  expired: boolean;
}

export interface LockStatus {
  held: boolean;
  mine: boolean;
  lock: ShownLock | null;
  source: 'remote' | 'cache';
  checkedAt: string | null;
  fencing: 'atomic' | 'advisory';
}

/** What the remote says now; without network what it said last, and why it could not be asked. */
export async function lockStatus(ctx: LockContext): Promise<{ status: LockStatus; unreachable: Failure | null }> {
  const looked = await lookAtLock(ctx);
  if (looked.outcome === 'read') return { status: statusOf(ctx, looked.view, 'remote'), unreachable: null };
  return { status: await cachedStatus(ctx), unreachable: looked.failure };
}

/** What was last seen, without network. */
export const cachedStatus = async (ctx: LockContext): Promise<LockStatus> =>
  statusOf(ctx, await loadView(ctx), 'cache');

export const shownLock = (record: LockRecord, now: number): ShownLock => ({
  id: record.lockId,
  owner: { name: record.owner.name, email: record.owner.email, host: record.owner.host },
  acquiredAt: record.acquiredAt,
  renewedAt: record.renewedAt,
  expiresAt: record.expiresAt,
  generation: record.generation,
  message: record.message,
  expired: isExpired(record, now),
});

function statusOf(ctx: LockContext, view: View, source: LockStatus['source']): LockStatus {
  const verdict = verdictOn(ctx, view);
  const record = view.seen.state === 'record' && view.seen.record.state === 'held' ? view.seen.record : null;
  return {
    // A record that cannot be read counts as held: it is never overwritten.
    held: verdict.is !== 'free',
    mine: verdict.is === 'mine',
    lock: record === null ? null : shownLock(record, ctx.clock.now()),
    source,
    checkedAt: view.checkedAt === null ? null : isoTime(view.checkedAt),
    fencing: 'atomic',
  };
}
