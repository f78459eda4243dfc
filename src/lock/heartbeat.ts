import { asFailure, Failure } from '../model/failures.ts';
import { nextBeat, type Pulse } from './beat.ts';
import { loadView, type Loss } from './cache.ts';
import type { LockContext } from './context.ts';
import { type Acquired, acquireLock, releaseLock, renewLock, type Wanted } from './lease.ts';
import type { Held } from './record.ts';
import { standsForMs } from './time.ts';
import { lookAtLock, lostFailure, verdictOn } from './view.ts';

/** What the holder is doing. */
export interface Activity {
  /** How long nobody has worked here (no save, nothing open), ms. */
  idleForMs: number;
  /** Wall clock, ms, since when nothing is open and all is published; null: busy. The person's other machine may then take it. */
  idleSince: number | null;
}

export type Beat =
  | { is: 'renewed'; held: Held }
  /** It could not be renewed; it is tried again. After `standsForMs` the holder counts itself out. */
  | { is: 'late'; failure: Failure; standsForMs: number };

export type BeatEnd =
  /** Broken or taken over: from now on saves go to the rescue branch. */
  | { why: 'lost'; failure: Failure; loss: Loss }
  /** Released, by hand or from another process. */
  | { why: 'released' }
  /** Nobody has worked here for `maxIdleHours`: the lease is left to run out, so that nobody is locked out. */
  | { why: 'idle' }
  /** It could not be renewed before the lease was over. It may still be ours: `acquireLock` finds out. */
  | { why: 'over'; failure: Failure | null }
  /** The signal was aborted. The lock is still held. */
  | { why: 'stopped' };

export interface HeartbeatPorts {
  activity: () => Activity;
  onBeat?: (beat: Beat) => void;
  signal: AbortSignal;
}

/**
 * Keeps the lock that this clone holds alive until it is lost, released, left alone or `signal` is aborted. It also goes
 * on with one that a process before it has left behind. Never throws for what a remote can do.
 */
export async function keepLock(context: LockContext, { activity, onBeat, signal }: HeartbeatPorts): Promise<BeatEnd> {
  const ctx = { ...context, signal: context.signal ? AbortSignal.any([signal, context.signal]) : signal };
  const maxMs = ctx.settings.lock.maxIdleHours * 3_600_000;
  let failures = 0;
  let triedAt = 0;
  let failure: Failure | null = null;
  while (!signal.aborted) {
    const { idleForMs, idleSince } = activity();
    const now = { at: ctx.clock.now(), uptime: ctx.clock.uptime() };
    const pulse = await pulseOf(ctx, { failures, triedAt }, idleSince);
    if ('why' in pulse) {
      // What two processes write down at once may be outdated for a moment: the remote decides.
      const looked = await lookAtLock(ctx);
      if (looked.outcome === 'read' && looked.verdict.is === 'mine') continue;
      return pulse;
    }
    const next = nextBeat(pulse, now, { forMs: idleForMs, maxMs });
    if (next.do === 'wait') {
      await ctx.clock.sleep(next.ms, signal).catch((error: unknown) => {
        if (!signal.aborted) throw error;
      });
      continue;
    }
    if (next.do === 'end') return next.why === 'idle' ? { why: 'idle' } : { why: 'over', failure };
    const renewed = await renewLock(ctx, { idleSince }).catch((error: unknown) => ({
      outcome: 'unreachable' as const,
      failure: asFailure(error),
    }));
    if (renewed.outcome === 'done') {
      failures = 0;
      onBeat?.({ is: 'renewed', held: renewed.held });
    } else if (renewed.outcome === 'not-ours') {
      return renewed.loss ? { why: 'lost', failure: renewed.failure, loss: renewed.loss } : { why: 'released' };
    } else if (!signal.aborted) {
      failures += 1;
      triedAt = ctx.clock.uptime();
      ({ failure } = renewed);
      const stands = standsForMs(pulse.leaseMs, pulse.renewed, { at: ctx.clock.now(), uptime: triedAt });
      onBeat?.({ is: 'late', failure, standsForMs: stands });
    }
  }
  return { why: 'stopped' };
}

/** The state of our lease, as this and other processes of this clone have left it. */
async function pulseOf(
  ctx: LockContext,
  tries: Pick<Pulse, 'failures' | 'triedAt'>,
  idleSince: number | null,
): Promise<Pulse | BeatEnd> {
  const view = await loadView(ctx);
  const verdict = verdictOn(ctx, view);
  if (verdict.is !== 'mine')
    return view.lost ? { why: 'lost', failure: lostFailure(ctx, view), loss: view.lost } : { why: 'released' };
  const { record } = verdict.held;
  // Notes that were cleaned away: the wall clock is all there is.
  const renewed = view.renewed ?? { at: Date.parse(record.renewedAt), uptime: ctx.clock.uptime() };
  const outdated = (record.idleSince === null) !== (idleSince === null);
  return { ...tries, leaseMs: record.leaseMs, heartbeatMs: record.heartbeatMs, renewed, outdated };
}

export type WithLease<T> =
  | { outcome: 'done'; value: T; end: BeatEnd }
  | Exclude<Acquired, { held: Held; failure?: never }>;

/**
 * Runs `work` while holding the lock. Its signal is aborted, with the Failure as its reason, when the lock is lost. A
 * lock that no person has taken by hand is given back afterwards (`goesBack`), also one that was taken before for a commit.
 */
export async function withLease<T>(
  ctx: LockContext,
  wanted: Wanted,
  work: (signal: AbortSignal, held: Held, goesBack: boolean) => Promise<T>,
): Promise<WithLease<T>> {
  const got = await acquireLock(ctx, wanted);
  if ('failure' in got) return got;
  const goesBack = got.held.record.how !== 'hand';
  const stop = new AbortController();
  const lost = new AbortController();
  const activity = () => ({ idleForMs: 0, idleSince: null });
  const beating = keepLock(ctx, { activity, signal: stop.signal }).then((end) => {
    if (end.why === 'lost' || end.why === 'over')
      lost.abort(end.failure ?? new Failure('lock-not-ours', { branch: ctx.branch }));
    return end;
  });
  try {
    const value = await work(lost.signal, got.held, goesBack);
    stop.abort();
    return { outcome: 'done', value, end: await beating };
  } finally {
    stop.abort();
    const end = await beating;
    // The work may have given it back itself.
    const isOurs = verdictOn(ctx, await loadView(ctx)).is === 'mine';
    if (goesBack && isOurs && end.why === 'stopped') await releaseLock(ctx);
  }
}
