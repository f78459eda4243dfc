import { tryGit } from '../git/run.ts';
import { Failure } from '../model/failures.ts';
import { loadView, type View } from './cache.ts';
import type { LockContext } from './context.ts';
import { remoteTip } from './look.ts';
import { failureOf, isAncestor, lookAtLock, moveLock, type NotDone, recover, trackingRef, verdictOn } from './move.ts';
import { withMutex } from './mutex.ts';
import { type Held, newLock, nextRecord } from './record.ts';
import type { Move } from './swap.ts';
import { heartbeatMs, standsForMs } from './time.ts';

export interface Wanted {
  /** By a person, or for a save. */
  how: 'hand' | 'save';
  message?: string;
  /** Instead of the setting. */
  leaseMs?: number;
}

export type Acquired =
  | { outcome: 'acquired' | 'already-mine' | 'taken-over'; held: Held }
  /** Somebody else has it (or a newer program, or a record that cannot be read). */
  | { outcome: 'held'; failure: Failure }
  /** The remote's branch holds something that this clone lacks. */
  | { outcome: 'stale-base'; failure: Failure }
  | NotDone;

/** How often a swap is tried anew after it was lost to somebody whose record leaves the lock free. */
const rounds = 5;

/**
 * Takes the lock: one compare-and-swap on one connection, from what was last seen; only when that turns out to be
 * outdated is the remote read first.
 */
export async function acquireLock(ctx: LockContext, wanted: Wanted): Promise<Acquired> {
  return await withMutex(ctx, async () => {
    const open = await recover(ctx);
    if (open !== null && (open.outcome === 'unreachable' || open.outcome === 'refused')) return open;
    let view = await loadView(ctx);
    for (let round = 0; round < rounds; round++) {
      let verdict = verdictOn(ctx, view);
      if (round > 0 || view.checkedAt === null || verdict.is !== 'free') {
        const looked = await lookAtLock(ctx);
        if (looked.outcome !== 'read') return looked;
        ({ view, verdict } = looked);
      }
      if (verdict.is === 'mine') return await keep(ctx, view, verdict.held, wanted);
      if (verdict.is === 'held' || verdict.is === 'newer' || verdict.is === 'damaged')
        return { outcome: 'held', failure: failureOf(ctx, verdict) };
      const base = await baseHere(ctx);
      if (base.outcome === 'stale-base') return base;
      const before = verdict.is === 'free' ? verdict.before : verdict.held;
      const taken = verdict.is === 'takeable' ? verdict : null;
      const leaseMs = wanted.leaseMs ?? ctx.settings.lock.leaseHours * 3_600_000;
      const record = newLock(
        {
          branch: ctx.branch,
          owner: ctx.owner,
          how: wanted.how,
          leaseMs,
          heartbeatMs: heartbeatMs(ctx.settings.lock.heartbeatMinutes, leaseMs),
          base: base.tip,
          message: wanted.message ?? '',
          now: ctx.clock.now(),
          event: taken?.event ?? 'acquired',
          reason: taken?.reason ?? null,
        },
        before?.record ?? null,
      );
      const moved = await moveLock(ctx, view, record, unmoved(ctx, base.tip));
      if (moved.outcome === 'done') return { outcome: taken ? 'taken-over' : 'acquired', held: moved.held };
      if (moved.outcome !== 'lost') return moved;
      const current = await currentBase(ctx, base.tip);
      if (current !== null) return current;
    }
    throw new Failure('busy', { detail: 'The lock changes hands faster than it can be taken' });
  });
}

/** It is ours already: a fresh look confirmed it. One that has run out for us is renewed. */
async function keep(ctx: LockContext, view: View, held: Held, wanted: Wanted): Promise<Acquired> {
  const byHand = wanted.how === 'hand' && held.record.how !== 'hand';
  if (!byHand && wanted.leaseMs === undefined && wanted.message === undefined && counts(ctx, view, held))
    return { outcome: 'already-mine', held };
  const change = {
    how: wanted.how === 'hand' ? ('hand' as const) : held.record.how,
    ...(wanted.leaseMs ? { leaseMs: wanted.leaseMs } : {}),
    ...(wanted.message ? { message: wanted.message } : {}),
  };
  const moved = await moveLock(ctx, view, nextRecord(held.record, 'renewed', ctx.clock.now(), change));
  if (moved.outcome === 'done') return { outcome: 'already-mine', held: moved.held };
  return moved.outcome === 'lost'
    ? { outcome: 'held', failure: new Failure('lock-not-ours', { branch: ctx.branch }) }
    : moved;
}

/** Does the holder still count itself in? More than a heartbeat must be left. */
export function counts(ctx: LockContext, view: View, { record }: Held): boolean {
  if (view.renewed === null) return Date.parse(record.expiresAt) - ctx.clock.now() > record.heartbeatMs;
  return standsForMs(record.leaseMs, view.renewed, { at: ctx.clock.now(), uptime: ctx.uptime() }) > 0;
}

/** What this clone last saw of the remote's branch, if the local branch holds it. */
async function baseHere(
  ctx: LockContext,
): Promise<{ outcome: 'base'; tip: string | null } | { outcome: 'stale-base'; failure: Failure }> {
  const read = async (ref: string) => {
    const result = await tryGit(ctx.root, ['rev-parse', '--verify', '--quiet', `${ref}^{commit}`]);
    return result.exitCode === 0 ? result.stdout.toString('utf8').trim() : null;
  };
  const [base, local] = await Promise.all([read(trackingRef(ctx)), read(`refs/heads/${ctx.branch}`)]);
  if (base === null || (await isAncestor(ctx, base, local))) return { outcome: 'base', tip: base };
  return { outcome: 'stale-base', failure: new Failure('stale-base', { branch: ctx.branch }) };
}

/** The branch goes along unmoved: where it is not what we think, the whole push is rejected. */
const unmoved = (ctx: LockContext, base: string | null): Move[] =>
  base === null ? [] : [{ ref: `refs/heads/${ctx.branch}`, old: base, next: base }];

/** After a lost swap: has the branch moved on? Where this clone holds what it moved to, only our note was outdated. */
async function currentBase(ctx: LockContext, base: string | null): Promise<Acquired | null> {
  const tip = await remoteTip(ctx);
  if (tip.outcome !== 'read') return tip;
  if (tip.tip === base || tip.tip === null) return null;
  const known = (await tryGit(ctx.root, ['cat-file', '-e', `${tip.tip}^{commit}`])).exitCode === 0;
  if (known && (await isAncestor(ctx, tip.tip, `refs/heads/${ctx.branch}`))) {
    await tryGit(ctx.root, ['update-ref', trackingRef(ctx), tip.tip]);
    return null;
  }
  return { outcome: 'stale-base', failure: new Failure('stale-base', { branch: ctx.branch }) };
}

export type Changed = { outcome: 'done'; held: Held } | { outcome: 'not-ours'; failure: Failure } | NotDone;

/** A fresh lease. */
export const renewLock = async (ctx: LockContext): Promise<Changed> =>
  await change(ctx, (held) => nextRecord(held.record, 'renewed', ctx.clock.now()));

/** Gives the lock back, as a record that says so: some servers refuse deletes. */
export const releaseLock = async (ctx: LockContext): Promise<Changed> =>
  await change(ctx, (held) => nextRecord(held.record, 'released', ctx.clock.now(), { state: 'released' }));

async function change(ctx: LockContext, next: (held: Held) => ReturnType<typeof nextRecord>): Promise<Changed> {
  return await withMutex(ctx, async () => {
    const open = await recover(ctx);
    if (open !== null && (open.outcome === 'unreachable' || open.outcome === 'refused')) return open;
    let view = await loadView(ctx);
    for (let round = 0; round < rounds; round++) {
      let verdict = verdictOn(ctx, view);
      if (round > 0 || verdict.is !== 'mine') {
        const looked = await lookAtLock(ctx);
        if (looked.outcome !== 'read') return looked;
        ({ view, verdict } = looked);
      }
      if (verdict.is !== 'mine') return { outcome: 'not-ours', failure: notOurs(ctx, verdict) };
      const moved = await moveLock(ctx, view, next(verdict.held));
      if (moved.outcome !== 'lost') return moved;
    }
    throw new Failure('busy', { detail: 'The lock changes faster than it can be written' });
  });
}

function notOurs(ctx: LockContext, verdict: Exclude<ReturnType<typeof verdictOn>, { is: 'mine' }>): Failure {
  if (verdict.is === 'free' || verdict.is === 'takeable') return new Failure('lock-not-ours', { branch: ctx.branch });
  return failureOf(ctx, verdict);
}
