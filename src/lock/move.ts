import { tryGit } from '../git/run.ts';
import type { Failure } from '../model/failures.ts';
import { loadView, type RefUpdate, saveView, type View } from './cache.ts';
import { capabilities, learn } from './capabilities.ts';
import type { LockContext } from './context.ts';
import { clearPending, makeRecord, type Pending, prepare, preparedRecord, readPending } from './journal.ts';
import type { Verdict } from './judge.ts';
import { remoteTip } from './look.ts';
import { knownRef, lockRef } from './names.ts';
import type { Held, LockRecord } from './record.ts';
import { type Follow, type Move, swap } from './swap.ts';
import { standsForMs } from './time.ts';
import { isAncestor, lookAtLock } from './view.ts';

/** The remote could not be asked, or does not allow it. */
export type NotDone = { outcome: 'unreachable'; failure: Failure } | { outcome: 'refused'; failure: Failure };

/** What became of one change of the lock ref. */
export type Moved =
  | { outcome: 'done'; held: Held; bytesSent: number }
  /** `unchanged`: the lock is where it was, so the branch that went along is not, or the server is in trouble. */
  | { outcome: 'lost'; view: View; verdict: Verdict; unchanged: boolean; failure: Failure }
  /** Nothing was sent; it is known from now on. */
  | { outcome: 'not-atomic'; failure: Failure }
  | NotDone;

/**
 * Puts `record` on the lock ref by compare-and-swap, together with other refs if given. Journaled before it is sent, so
 * that after a crash or a lost answer the identical record is sent again.
 */
export async function moveLock(ctx: LockContext, view: View, record: LockRecord, others: Move[] = []): Promise<Moved> {
  const { namespace, atomic } = await capabilities(ctx);
  const sent = { at: ctx.clock.now(), uptime: ctx.clock.uptime() };
  const made = await makeRecord(ctx, record, view.seen);
  const { held } = made;
  const moves = [{ ref: lockRef(ctx.branch, namespace), old: view.onRemote, next: held.commit }, ...others];
  const { pending, flushed } = await prepare(ctx, made, { moves, sent });
  return await send(ctx, pending, held, atomic, flushed);
}

/**
 * Finds out what became of a push whose answer is not known: after a SIGKILL, or a connection that broke. "It is not
 * there" proves nothing, since it may land still: so the identical record is sent again, with the identical lease.
 * Null: nothing is open any more.
 */
export async function recover(ctx: LockContext): Promise<Moved | null> {
  const pending = await readPending(ctx);
  if (pending === null) return null;
  const held = await preparedRecord(ctx, pending);
  if (held === null) {
    await clearPending(ctx); // the record never reached the disk, so it was never sent
    return null;
  }
  const now = { at: ctx.clock.now(), uptime: ctx.clock.uptime() };
  const { leaseMs } = held.record;
  const isFresh = standsForMs(leaseMs, pending.sent, now) > leaseMs / 2;
  if (isFresh && (await canSend(ctx, pending))) return await send(ctx, pending, held, (await capabilities(ctx)).atomic);
  // So old that nothing is under way any more, and the lease that it asks for would be worn; or the versions that went
  // along were rewritten and tidied away since: what landed, landed.
  const looked = await lookAtLock(ctx);
  if (looked.outcome !== 'read') return looked;
  if (await hasLanded(ctx, pending, looked.view)) return await landed(ctx, pending, held, looked.view);
  await clearPending(ctx);
  return null;
}

async function send(
  ctx: LockContext,
  pending: Pending,
  held: Held,
  atomic: boolean,
  flushed: Promise<void> | null = null,
): Promise<Moved> {
  const follow = followers(ctx, pending);
  const swapped = await swap(ctx, pending.moves, { atomic, follow });
  await flushed;
  switch (swapped.outcome) {
    case 'done':
      return await landed(ctx, pending, held, null, swapped.bytesSent);
    case 'unclear':
    case 'unreachable':
      // The journal stays: the next run sends it again.
      return { outcome: 'unreachable', failure: swapped.failure };
    case 'refused':
      await clearPending(ctx);
      return { outcome: 'refused', failure: swapped.failure };
    case 'not-atomic':
      await clearPending(ctx);
      await learn(ctx, { atomic: false });
      return { outcome: 'not-atomic', failure: swapped.failure };
    case 'lost':
  }
  // Over file and ssh "lost" is also said when it did land: only the remote's refs tell.
  const looked = await lookAtLock(ctx);
  if (looked.outcome !== 'read') return looked;
  const { view, verdict } = looked;
  if (await hasLanded(ctx, pending, view)) return await landed(ctx, pending, held, view);
  await clearPending(ctx);
  const unchanged = view.onRemote === pending.moves[0]?.old;
  return { outcome: 'lost', view, verdict, unchanged, failure: swapped.failure };
}

/** Is the record on the remote, itself or below one that somebody made since? Then what went along has landed too. */
async function hasLanded(ctx: LockContext, { commit, moves }: Pending, { onRemote }: View): Promise<boolean> {
  if (onRemote !== commit && !(await isAncestor(ctx, commit, onRemote))) return false;
  const branch = moves.find(({ ref, old, next }) => ref === `refs/heads/${ctx.branch}` && old !== next);
  if (branch === undefined || (await capabilities(ctx)).atomic) return true;
  const tip = await remoteTip(ctx);
  return tip.outcome === 'read' && tip.tip === branch.next;
}

/**
 * `found`: the view in which it was found to have landed; somebody may have gone on from our record already. Otherwise the
 * push said so, and our refs have followed.
 */
async function landed(
  ctx: LockContext,
  pending: Pending,
  held: Held,
  found: View | null,
  bytesSent = 0,
): Promise<Moved> {
  const ours = held.record.state === 'held';
  const view: View = {
    seen: { state: 'record', ...held },
    onRemote: held.commit,
    checkedAt: ctx.clock.now(),
    sinceUptime: ctx.clock.uptime(),
    renewed: ours ? pending.sent : null,
    lost: ours ? null : (await loadView(ctx)).lost,
  };
  const isOvertaken = found !== null && found.onRemote !== held.commit;
  const missed: RefUpdate[] = [];
  for (const { here, next } of found === null ? [] : followers(ctx, pending).slice(isOvertaken ? 1 : 0))
    if (await isHere(ctx, next)) missed.push({ ref: here, to: next });
  await Promise.all([
    saveView(ctx, isOvertaken ? found : view, missed),
    // Should only this reach the disk, the next one finds by itself what is on the remote.
    clearPending(ctx),
  ]);
  return { outcome: 'done', held, bytesSent };
}

/** What here follows a push: the chain, kept from being collected; and git's own tracking ref, which every client shows. */
function followers(ctx: LockContext, { moves: [lock, branch] }: Pending): (Follow & { next: string })[] {
  const own = lock ? [{ ref: lock.ref, here: knownRef(ctx.branch), next: lock.next }] : [];
  // One that goes along unmoved is what our note of it says.
  const theirs =
    branch && branch.old !== branch.next ? [{ ref: branch.ref, here: trackingRef(ctx), next: branch.next }] : [];
  return [...own, ...theirs];
}

export const trackingRef = ({ remote, branch }: LockContext): string => `refs/remotes/${remote.name}/${branch}`;

async function canSend(ctx: LockContext, { moves }: Pending): Promise<boolean> {
  return (await Promise.all(moves.map(async ({ next }) => await isHere(ctx, next)))).every(Boolean);
}

const isHere = async ({ root }: LockContext, object: string): Promise<boolean> =>
  (await tryGit(root, ['cat-file', '-e', object])).exitCode === 0;
