import { Failure } from '../model/failures.ts';
import { isoTime } from '../system/clock.ts';
import { askBase, type Base, knownBase, type KnownBase } from './base.ts';
import { loadView, type Loss, type View } from './cache.ts';
import { capabilities } from './capabilities.ts';
import type { LockContext } from './context.ts';
import type { Verdict } from './judge.ts';
import type { Unreachable } from './look.ts';
import { moveLock, type NotDone, recover } from './move.ts';
import { withMutex } from './mutex.ts';
import { probeRemote } from './probe.ts';
import { type Held, leaseOf, type LockRecord, newLock, nextRecord } from './record.ts';
import type { Move } from './swap.ts';
import { heartbeatMs, standsForMs } from './time.ts';
import { failureOf, lookAtLock, lostFailure, verdictOn } from './view.ts';

export interface Wanted {
  /** By a person, or for a save. */
  how: 'hand' | 'save';
  message?: string;
  /** Instead of the setting. */
  leaseMs?: number;
  /** The commit to be published under it, which must hold all that the team has published; the local branch, unless given. */
  tip?: string;
}

export type Acquired =
  | { outcome: 'acquired' | 'already-mine' | 'taken-over'; held: Held }
  /**
   * Somebody else has it (then `held` is their record), or a newer program, or nobody can read it. `takeableInMs`: how
   * long it would have to stay as it is to be taken without force.
   */
  | { outcome: 'held'; failure: Failure; held: Held | null; takeableInMs: number | null }
  /** The remote's branch holds something that this clone lacks. */
  | { outcome: 'stale-base'; failure: Failure }
  | NotDone;

/** How often a swap is tried anew, ever later, when nothing seems to stand in its way. */
const rounds = 6;

/**
 * Takes the lock: one compare-and-swap on one connection, from what was last seen; only when that turns out to be
 * outdated is the remote read first. A call that is repeated after `unreachable` sends the identical record again.
 */
export async function acquireLock(ctx: LockContext, wanted: Wanted): Promise<Acquired> {
  const noted = await loadView(ctx);
  const mine = verdictOn(ctx, noted);
  // Without waiting for our turn: a publish may be under way for long.
  if (mine.is === 'mine' && isSure(ctx, noted, mine.held, wanted)) return { outcome: 'already-mine', held: mine.held };
  const known = knownBase(ctx, wanted.tip); // git reads it while we wait for our turn
  known.catch(() => undefined); // it is told where it is used
  return await withMutex(ctx, async () => {
    const open = await recover(ctx);
    if (stuck(open)) return open;
    let view = await loadView(ctx);
    let fresh = open?.outcome === 'done';
    let trouble: Failure | null = null;
    let asked: Base | null = null;
    for (let round = 1; round <= rounds; round++) {
      let verdict = verdictOn(ctx, view);
      if (!fresh && (view.checkedAt === null || verdict.is !== 'free')) {
        const looked = await lookAtLock(ctx);
        if (looked.outcome !== 'read') return looked;
        ({ view, verdict } = looked);
      }
      if (verdict.is === 'mine') {
        const earlier = open?.outcome === 'done' ? open.held : null;
        return earlier?.record.lockId === verdict.held.record.lockId && taking.has(earlier.record.event)
          ? { outcome: outcomeOf(earlier.record), held: verdict.held }
          : await keep(ctx, view, verdict.held, wanted);
      }
      if (verdict.is !== 'free' && verdict.is !== 'takeable') return heldBy(ctx, verdict);
      const { atomic } = await capabilities(ctx);
      const here = round === 1 ? await known : await knownBase(ctx, wanted.tip);
      const base = asked ?? (await baseHere(ctx, wanted, here, atomic));
      if (base.outcome !== 'base') return base;
      const record = taken(ctx, wanted, verdict, base.tip);
      const moved = await moveLock(ctx, view, record, atomic ? unmoved(ctx, base.tip) : []);
      if (moved.outcome === 'done') return { outcome: outcomeOf(record), held: moved.held };
      if (moved.outcome === 'refused' && (await hasOtherPlace(ctx, moved.failure))) {
        view = await loadView(ctx);
        fresh = false;
        continue;
      }
      if (moved.outcome === 'unreachable' || moved.outcome === 'refused') return moved;
      if (moved.outcome === 'not-atomic') continue;
      fresh = true;
      ({ view, failure: trouble } = moved);
      if (!moved.unchanged) continue;
      const now = await askBase(ctx, wanted.tip);
      if (now.outcome !== 'base') return now;
      // The remote has lost the branch: what is noted of it says nothing any more.
      asked = now.tip === null ? now : null;
      if (now.tip === base.tip) await pause(ctx, round);
    }
    return faster(ctx, trouble);
  });
}

/** A remote that was never asked what it allows turns the lock down: may it lie somewhere else? */
async function hasOtherPlace(ctx: LockContext, { code }: Failure): Promise<boolean> {
  const { namespace, probedAt } = await capabilities(ctx);
  if (code !== 'REMOTE_REFUSED' || probedAt !== null) return false;
  const probed = await probeRemote(ctx);
  return probed.outcome === 'probed' && probed.found.namespace !== namespace;
}

const taking = new Set<LockRecord['event']>(['acquired', 'taken-over', 'handed-over']);
const outcomeOf = ({ event }: LockRecord) => (event === 'acquired' ? 'acquired' : 'taken-over');

function taken(ctx: LockContext, wanted: Wanted, verdict: Verdict & { is: 'free' | 'takeable' }, base: string | null) {
  const leaseMs = leaseOf(wanted.leaseMs ?? ctx.settings.lock.leaseHours * 3_600_000);
  const before = verdict.is === 'free' ? verdict.before : verdict.held;
  const { event, reason } = verdict.is === 'takeable' ? verdict : { event: 'acquired' as const, reason: null };
  const { branch, owner } = ctx;
  const beat = heartbeatMs(ctx.settings.lock.heartbeatMinutes, leaseMs);
  const times = { leaseMs, heartbeatMs: beat, now: ctx.clock.now() };
  const { how, message = '' } = wanted;
  return newLock({ branch, owner, how, base, message, event, reason, ...times }, before?.record ?? null);
}

function heldBy(ctx: LockContext, verdict: Exclude<Verdict, { is: 'free' | 'mine' | 'takeable' }>): Acquired {
  const theirs = verdict.is === 'held' ? verdict : null;
  const failure = failureOf(ctx, verdict);
  return { outcome: 'held', failure, held: theirs?.held ?? null, takeableInMs: theirs?.takeableInMs ?? null };
}

/** It is ours already: a fresh look confirmed it. One that has run out for us is renewed. */
async function keep(ctx: LockContext, view: View, held: Held, wanted: Wanted): Promise<Acquired> {
  const byHand = wanted.how === 'hand' && held.record.how !== 'hand';
  if (!byHand && wanted.leaseMs === undefined && wanted.message === undefined && counts(ctx, view, held))
    return { outcome: 'already-mine', held };
  const how = wanted.how === 'hand' ? 'hand' : held.record.how;
  const { message = held.record.message } = wanted;
  const leaseMs = leaseOf(wanted.leaseMs ?? held.record.leaseMs);
  const beat = heartbeatMs(ctx.settings.lock.heartbeatMinutes, leaseMs);
  const change = { how, leaseMs, heartbeatMs: beat, message, idleSince: null };
  const moved = await moveLock(ctx, view, nextRecord(held.record, 'renewed', ctx.clock.now(), change));
  if (moved.outcome === 'done') return { outcome: 'already-mine', held: moved.held };
  if (moved.outcome === 'not-atomic') return { outcome: 'refused', failure: moved.failure };
  if (moved.outcome !== 'lost') return moved;
  if (moved.verdict.is === 'mine') return { outcome: 'already-mine', held: moved.verdict.held };
  return { outcome: 'held', failure: lostFailure(ctx, moved.view), held: null, takeableInMs: null };
}

/**
 * A save needs no connection while the lease stands and was confirmed within a heartbeat: should it have been broken
 * since, the fence turns the publish down.
 */
function isSure(ctx: LockContext, view: View, held: Held, { how, leaseMs, message }: Wanted): boolean {
  if (how !== 'save' || leaseMs !== undefined || message !== undefined) return false;
  const heardMs = view.checkedAt === null ? Infinity : Math.abs(ctx.clock.now() - view.checkedAt);
  return heardMs < held.record.heartbeatMs && counts(ctx, view, held);
}

/** Does the holder still count itself in, by its own clocks? */
export function counts(ctx: LockContext, view: View, { record }: Held): boolean {
  if (view.renewed === null) return Date.parse(record.expiresAt) > ctx.clock.now();
  return standsForMs(record.leaseMs, view.renewed, { at: ctx.clock.now(), uptime: ctx.clock.uptime() }) > 0;
}

/**
 * The base to take the lock on. What is known here is enough where the push itself proves it; where it cannot (nothing
 * is known, or no atomic push), the remote is asked: the swap of the lock then fails if anybody published since.
 */
async function baseHere(
  ctx: LockContext,
  wanted: Wanted,
  { tip, held }: KnownBase,
  atomic: boolean,
): Promise<Base | Unreachable> {
  if (tip !== null && held && atomic) return { outcome: 'base', tip };
  return await askBase(ctx, wanted.tip);
}

/** The branch goes along unmoved: where it is not what we think, the whole push is rejected. */
const unmoved = (ctx: LockContext, base: string | null): Move[] =>
  base === null ? [] : [{ ref: `refs/heads/${ctx.branch}`, old: base, next: base }];

export type Changed =
  | { outcome: 'done'; held: Held }
  /** `loss`: it was ours and was taken from us. */
  | { outcome: 'not-ours'; failure: Failure; loss: Loss | null }
  | NotDone;

/** A fresh lease. `idleSince` (wall clock, ms): nothing is open and all is published since then; null: busy. */
export async function renewLock(ctx: LockContext, { idleSince = null }: { idleSince?: number | null } = {}) {
  const idle = idleSince === null ? null : isoTime(idleSince);
  return await change(ctx, (record) => nextRecord(record, 'renewed', ctx.clock.now(), { idleSince: idle }));
}

/** Gives the lock back, as a record that says so: some servers refuse deletes. */
export const releaseLock = async (ctx: LockContext): Promise<Changed> =>
  await change(ctx, (record) => nextRecord(record, 'released', ctx.clock.now(), { state: 'released' }));

async function change(ctx: LockContext, next: (record: LockRecord) => LockRecord): Promise<Changed> {
  return await withMutex(ctx, async () => {
    const open = await recover(ctx);
    if (stuck(open)) return open;
    let view = await loadView(ctx);
    let verdict = verdictOn(ctx, view);
    let trouble: Failure | null = null;
    if (verdict.is !== 'mine') {
      const looked = await lookAtLock(ctx);
      if (looked.outcome !== 'read') return looked;
      ({ view, verdict } = looked);
    }
    for (let round = 1; round <= rounds; round++) {
      if (verdict.is !== 'mine') return { outcome: 'not-ours', failure: lostFailure(ctx, view), loss: view.lost };
      const moved = await moveLock(ctx, view, next(verdict.held.record));
      if (moved.outcome === 'done') return moved;
      if (moved.outcome === 'unreachable' || moved.outcome === 'refused') return moved;
      if (moved.outcome === 'not-atomic') continue;
      ({ view, verdict, failure: trouble } = moved);
      if (moved.unchanged) await pause(ctx, round);
    }
    return faster(ctx, trouble);
  });
}

/** Is it still not known what became of an earlier push? */
export const stuck = (open: Awaited<ReturnType<typeof recover>>): open is NotDone =>
  open !== null && (open.outcome === 'unreachable' || open.outcome === 'refused');

export const pause = async (ctx: LockContext, round: number): Promise<void> =>
  await ctx.clock.sleep(25 * 2 ** round * (0.5 + Math.random()), ctx.signal);

/** Nothing stood in the way, and yet it could not be written. */
export function faster(ctx: LockContext, last: Failure | null): NotDone {
  // A lock file on the remote that nobody takes away.
  if (last?.row === 'remote-busy') return { outcome: 'unreachable', failure: last };
  const detail = String(last?.details['detail'] ?? 'the lock changes faster than it can be written');
  return { outcome: 'refused', failure: new Failure('remote-refused', { remote: ctx.remote.name, detail }, last) };
}
