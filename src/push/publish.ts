import { gitLine } from '../git/run.ts';
import { askBase, type Base, knownBase } from '../lock/base.ts';
import { loadView, type Loss, type View } from '../lock/cache.ts';
import { capabilities } from '../lock/capabilities.ts';
import type { LockContext } from '../lock/context.ts';
import type { Verdict } from '../lock/judge.ts';
import { faster, pause, stuck } from '../lock/lease.ts';
import type { Unreachable } from '../lock/look.ts';
import { moveLock, type NotDone, recover, trackingRef } from '../lock/move.ts';
import { withMutex } from '../lock/mutex.ts';
import { type LockRecord, nextRecord } from '../lock/record.ts';
import { type Move, swap } from '../lock/swap.ts';
import { isAncestor, lookAtLock, lostFailure, verdictOn } from '../lock/view.ts';
import { Failure } from '../model/failures.ts';

export type Published =
  | { outcome: 'published' | 'up-to-date'; commit: string; bytesSent: number }
  /** The lock is not ours. `loss`: it was, and was taken from us. */
  | { outcome: 'not-ours'; failure: Failure; loss: Loss | null }
  /** The remote's branch holds something that `tip` does not. */
  | { outcome: 'moved'; failure: Failure }
  | NotDone;

export interface PublishOptions {
  /** The commit that the remote's branch shall be at. */
  tip: string;
  /**
   * What must be on the remote before the branch moves (prepare.ts), given what the branch is at there. It may take hours:
   * the heartbeat goes on meanwhile. Called again should the branch turn out to be somewhere else.
   */
  before?: (base: string | null) => Promise<void>;
  /** Gives the lock back in the same push. */
  release?: boolean;
}

/** How often a swap is tried anew, ever later, when nothing seems to stand in its way. */
const rounds = 6;

/**
 * Moves the remote's branch to `tip` and the lock record one on, in one atomic push: a save whose lock no longer stands
 * cannot land, however late it arrives. (With a breaker inside the server's hook the branch moved after the lock was
 * lost in 23 of 23 pushes that left the record as it was, in 19 of 23 that were not atomic, in 0 of 23 of these.) Doing
 * it twice is the same as once.
 */
export async function publish(ctx: LockContext, options: PublishOptions): Promise<Published> {
  const { before } = options;
  let ready: Ready = before ? 'not-yet' : 'always';
  if (before && verdictOn(ctx, await loadView(ctx)).is === 'mine') {
    const { tip } = await knownBase(ctx);
    await before(tip);
    ready = { base: tip };
  }
  for (;;) {
    const done = await withMutex(ctx, async () => await publishNow(ctx, options, ready));
    if (done.outcome !== 'not-ready') return done;
    await before?.(done.base);
    ready = { base: done.base };
  }
}

/** Which base `before` has run for. */
type Ready = 'always' | 'not-yet' | { base: string | null };
type Tried = Published | { outcome: 'not-ready'; base: string | null };

async function publishNow(ctx: LockContext, options: PublishOptions, ready: Ready): Promise<Tried> {
  const open = await recover(ctx);
  if (stuck(open)) return open;
  if (open?.outcome === 'done' && isDone(open.held.record, options))
    return { outcome: 'published', commit: options.tip, bytesSent: 0 };
  const view = await loadView(ctx);
  const verdict = verdictOn(ctx, view);
  if (verdict.is === 'mine') return await publishFrom(ctx, options, ready, view, verdict);
  const looked = await lookAtLock(ctx);
  return looked.outcome === 'read' ? await publishFrom(ctx, options, ready, looked.view, looked.verdict) : looked;
}

/** Was this very publish done by an earlier run that did not live to hear of it? */
const isDone = ({ event, state, published }: LockRecord, { tip, release = false }: PublishOptions): boolean =>
  published === tip && (event === 'published' || event === 'released') && (!release || state === 'released');

async function publishFrom(
  ctx: LockContext,
  options: PublishOptions,
  ready: Ready,
  view: View,
  verdict: Verdict,
): Promise<Tried> {
  const { tip } = options;
  let trouble: Failure | null = null;
  for (let round = 1; round <= rounds; round++) {
    if (verdict.is !== 'mine') return { outcome: 'not-ours', failure: lostFailure(ctx, view), loss: view.lost };
    const base = await baseOf(ctx, tip);
    if (base.outcome === 'stale-base') return movedOn(ctx);
    if (base.outcome !== 'base') return base;
    if (ready !== 'always' && (ready === 'not-yet' || ready.base !== base.tip))
      return { outcome: 'not-ready', base: base.tip };
    const branch = { ref: `refs/heads/${ctx.branch}`, old: base.tip, next: tip };
    const { atomic } = await capabilities(ctx);
    const record = recordOf(ctx, verdict.held.record, atomic ? options : null);
    const moved = await moveLock(ctx, view, record, atomic ? [branch] : []);
    if (moved.outcome === 'done' && !atomic) return await unfenced(ctx, options, branch);
    if (moved.outcome === 'done')
      return { outcome: base.tip === tip ? 'up-to-date' : 'published', commit: tip, bytesSent: moved.bytesSent };
    if (moved.outcome === 'unreachable' || moved.outcome === 'refused') return moved;
    if (moved.outcome === 'not-atomic') continue;
    ({ view, verdict, failure: trouble } = moved);
    if (!moved.unchanged) continue; // another process of ours renewed it, or it is lost: the verdict tells
    const now = await askBase(ctx, tip);
    if (now.outcome === 'stale-base') return movedOn(ctx);
    if (now.outcome !== 'base') return now;
    // Deleted, or renamed: then it must not be made a second time.
    if (now.tip === null && base.tip !== null) return movedOn(ctx);
    if (now.tip === base.tip) await pause(ctx, round);
  }
  return faster(ctx, trouble);
}

/** The record that goes with the branch; where they cannot go together, one that only renews the lease. */
function recordOf(ctx: LockContext, before: LockRecord, options: PublishOptions | null): LockRecord {
  const now = ctx.clock.now();
  if (options === null) return nextRecord(before, 'renewed', now, { idleSince: null });
  const published = { published: options.tip, idleSince: null };
  return options.release
    ? nextRecord(before, 'released', now, { ...published, state: 'released' })
    : nextRecord(before, 'published', now, published);
}

/**
 * Where the host has no atomic push: the lease was renewed just now, so the branch follows. Between the two somebody may
 * break the lock: that is why it is called advisory. The branch itself is still moved by compare-and-swap.
 */
async function unfenced(ctx: LockContext, { tip, release }: PublishOptions, branch: Move): Promise<Published> {
  const swapped = await swap(ctx, [branch], { atomic: false });
  if (swapped.outcome === 'refused') return swapped;
  if (swapped.outcome !== 'done') {
    // Whether it has landed only the remote knows; if it cannot be asked, the next try finds out.
    const now = await askBase(ctx, tip);
    if (now.outcome === 'stale-base') return movedOn(ctx);
    if (now.outcome !== 'base') return now;
    if (now.tip === null && branch.old !== null) return movedOn(ctx);
    if (now.tip !== tip) return { outcome: 'unreachable', failure: swapped.failure };
  }
  await gitLine(ctx.root, ['update-ref', trackingRef(ctx), tip]);
  if (release) {
    const view = await loadView(ctx);
    const verdict = verdictOn(ctx, view);
    if (verdict.is === 'mine') await moveLock(ctx, view, recordOf(ctx, verdict.held.record, { tip, release }));
  }
  const bytesSent = swapped.outcome === 'done' ? swapped.bytesSent : 0;
  return { outcome: branch.old === tip ? 'up-to-date' : 'published', commit: tip, bytesSent };
}

/** A lease permits a move that is no fast-forward: that `tip` holds the base is checked here. */
async function baseOf(ctx: LockContext, tip: string): Promise<Base | Unreachable> {
  const { tip: base } = await knownBase(ctx);
  if (base !== null && (base === tip || (await isAncestor(ctx, base, tip)))) return { outcome: 'base', tip: base };
  return await askBase(ctx, tip);
}

const movedOn = (ctx: LockContext): Published => ({
  outcome: 'moved',
  failure: new Failure('remote-moved', { branch: ctx.branch }),
});
