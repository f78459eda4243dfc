import { git, gitLine } from '../git/run.ts';
import type { Failure } from '../model/failures.ts';
import type { LockContext } from './context.ts';
import type { Verdict } from './judge.ts';
import { faster, pause, stuck } from './lease.ts';
import { moveLock, type NotDone, recover } from './move.ts';
import { withMutex } from './mutex.ts';
import { type Held, leaseOf, type LockRecord, newLock, nextRecord } from './record.ts';
import { heartbeatMs } from './time.ts';
import { failureOf, lookAtLock } from './view.ts';

export type Broken =
  /** It is free now. `from`: whose it was; null: what stood there could not be read. */
  | { outcome: 'broken'; held: Held; from: Held | null }
  | { outcome: 'not-held' }
  /** Written by a newer program: it is never overwritten. */
  | { outcome: 'held'; failure: Failure }
  | NotDone;

const rounds = 6;

/**
 * Frees the lock of somebody else, by force. It stays written in the chain who did it and why; the former holder's next
 * heartbeat or publish fails and tells them so.
 */
export async function breakLock(ctx: LockContext, { reason }: { reason: string }): Promise<Broken> {
  return await withMutex(ctx, async () => {
    const open = await recover(ctx);
    if (stuck(open)) return open;
    let looked = await lookAtLock(ctx);
    let trouble: Failure | null = null;
    for (let round = 1; round <= rounds; round++) {
      if (looked.outcome !== 'read') return looked;
      const { view, verdict } = looked;
      if (verdict.is === 'free') return { outcome: 'not-held' };
      if (verdict.is === 'newer') return { outcome: 'held', failure: failureOf(ctx, verdict) };
      const moved = await moveLock(ctx, view, await brokenRecord(ctx, verdict, reason));
      if (moved.outcome === 'done')
        return { outcome: 'broken', held: moved.held, from: verdict.is === 'damaged' ? null : verdict.held };
      if (moved.outcome === 'unreachable' || moved.outcome === 'refused') return moved;
      if (moved.outcome === 'not-atomic') continue;
      trouble = moved.failure;
      if (moved.unchanged) await pause(ctx, round);
      looked = { outcome: 'read', view: moved.view, verdict: moved.verdict };
    }
    return faster(ctx, trouble);
  });
}

type Breakable = Exclude<Verdict, { is: 'free' | 'newer' }>;

async function brokenRecord(ctx: LockContext, verdict: Breakable, reason: string): Promise<LockRecord> {
  const change = { state: 'broken' as const, by: ctx.owner, reason };
  const now = ctx.clock.now();
  if (verdict.is !== 'damaged') return nextRecord(verdict.held.record, 'broken', now, change);
  // Nobody's record to go on from: only its place in the chain is kept.
  const leaseMs = leaseOf(ctx.settings.lock.leaseHours * 3_600_000);
  const times = { leaseMs, heartbeatMs: heartbeatMs(ctx.settings.lock.heartbeatMinutes, leaseMs), now };
  const { branch, owner } = ctx;
  const fresh = newLock(
    { branch, owner, how: 'hand', base: null, message: '', event: 'acquired', reason: null, ...times },
    null,
  );
  const length = await chainLength(ctx, verdict.commit);
  return { ...nextRecord(fresh, 'broken', now, change), generation: length + 1 };
}

/** How many records there are up to this one; 0 where it is no commit at all. */
async function chainLength(ctx: LockContext, tip: string): Promise<number> {
  if ((await gitLine(ctx.root, ['cat-file', '-t', tip])) !== 'commit') return 0;
  return Number(await git(ctx.root, ['rev-list', '--first-parent', '--count', tip]));
}
