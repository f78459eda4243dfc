import { Failure } from '../model/failures.ts';
import { alone } from '../project/guard.ts';
import { inTurn, isTaken } from '../system/turns.ts';
import type { LockContext } from './context.ts';

/** How long another process of this clone is waited for, ms: one push of the lock takes seconds at most. */
const patienceMs = 60_000;

/**
 * One writer of the lock at a time in this clone: the heartbeat would race its own publish. First within the process,
 * then across processes. It keeps us from getting in our own way; what is safe rests on the compare-and-swap alone.
 * Throws `busy` when another process has it for too long.
 */
export async function withMutex<T>(ctx: Pick<LockContext, 'root'>, work: () => Promise<T>): Promise<T> {
  return await inTurn(ctx.root, async () => {
    const result = await alone(ctx, 'lock', patienceMs, work);
    if (result.outcome === 'done') return result.value;
    throw new Failure('busy', { detail: `Process ${result.pid ?? '?'} is changing the lock of this project` });
  });
}

/** The same, but only if nobody is at it just now; null otherwise. */
export async function ifNobodyElse<T>(ctx: Pick<LockContext, 'root'>, work: () => Promise<T>): Promise<T | null> {
  if (isTaken(ctx.root)) return null;
  const result = await alone(ctx, 'lock', 0, work);
  return result.outcome === 'done' ? result.value : null;
}
