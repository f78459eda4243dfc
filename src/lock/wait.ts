import type { LockContext } from './context.ts';
import { type Acquired, acquireLock, type Wanted } from './lease.ts';
import { lookAtLock } from './view.ts';

export interface WaitPorts {
  /** How long to wait, ms; the lock is asked for once in any case. */
  waitMs: number;
  /** Told when it turns out that somebody holds it, and each time that changes: who, and since when. */
  onHeld?: (held: Extract<Acquired, { outcome: 'held' }>) => void;
}

/** Between two looks, ms: short at first, since most waits are for somebody who is just leaving. */
const firstMs = 1000;
const longestMs = 15_000;

/**
 * Takes the lock when its turn has come: asks, and while somebody holds it looks again until they let go, or until the
 * time is over. Any other answer ends the waiting.
 */
export async function acquireWaiting(ctx: LockContext, wanted: Wanted, ports: WaitPorts): Promise<Acquired> {
  const end = ctx.clock.monotonic() + ports.waitMs;
  let told: string | null = null;
  let gap = firstMs;
  for (;;) {
    const got = await acquireLock(ctx, wanted);
    if (got.outcome !== 'held') return got;
    const lockId = got.held?.record.lockId ?? '';
    if (told !== lockId) ports.onHeld?.(got);
    told = lockId;
    do {
      const left = end - ctx.clock.monotonic();
      if (left <= 0) return got;
      await ctx.clock.sleep(Math.min(gap, left), ctx.signal);
      gap = Math.min(longestMs, gap * 1.5);
    } while (!(await mayBeFree(ctx)));
  }
}

/** Only when it may be free is it asked for: many who wait must not push all the time. A remote that is away is waited for too. */
async function mayBeFree(ctx: LockContext): Promise<boolean> {
  const looked = await lookAtLock(ctx);
  return looked.outcome === 'refused' || (looked.outcome === 'read' && looked.verdict.is !== 'held');
}
