import { tryGit } from '../git/run.ts';
import { Failure } from '../model/failures.ts';
import { commitOf, loadView, mirrored, saveView, type View } from './cache.ts';
import type { LockContext } from './context.ts';
import { clearPending, makeRecord, type Pending, readPending, writePending } from './journal.ts';
import { type Verdict, judge } from './judge.ts';
import { fetchLock, readCommit, remoteTip } from './look.ts';
import { lockRef, namespaces } from './names.ts';
import type { Held, LockRecord, Seen } from './record.ts';
import { type Move, swap } from './swap.ts';

/** The remote could not be asked, or does not allow it. */
export type NotDone = { outcome: 'unreachable' | 'refused'; failure: Failure };

/** What became of one change of the lock ref. */
export type Moved = { outcome: 'done'; held: Held; bytesSent: number } | { outcome: 'lost' } | NotDone;

/** Asks the remote what stands on the lock, and remembers it. */
export async function lookAtLock(
  ctx: LockContext,
): Promise<{ outcome: 'read'; view: View; verdict: Verdict } | NotDone> {
  const fetched = await fetchLock(ctx, namespaces[0]);
  if (fetched.outcome !== 'read') return fetched;
  const before = await loadView(ctx);
  const { seen } = fetched;
  const same = commitOf(before.seen) === commitOf(seen) && before.checkedAt !== null;
  const view = await saveView(ctx, {
    // A ref that vanished (`push --mirror`) does not make us forget the chain: a later record goes on from it.
    seen: seen.state === 'none' ? before.seen : seen,
    onRemote: commitOf(seen),
    checkedAt: ctx.clock.now(),
    sinceUptime: same ? before.sinceUptime : ctx.uptime(),
    renewed: before.renewed,
  });
  return { outcome: 'read', view, verdict: verdictOn(ctx, view) };
}

/** What the view means for this clone. */
export function verdictOn(ctx: LockContext, view: View): Verdict {
  return judge(view.seen, ctx.owner, { now: ctx.clock.now(), unchangedMs: ctx.uptime() - view.sinceUptime });
}

/**
 * Puts `record` on the lock ref by compare-and-swap, together with other refs if given. Journaled before it is sent, so
 * that after a crash or a lost answer the identical record is sent again.
 */
export async function moveLock(ctx: LockContext, view: View, record: LockRecord, others: Move[] = []): Promise<Moved> {
  const held = await makeRecord(ctx, record, commitOf(view.seen));
  const moves = [{ ref: lockRef(ctx.branch), old: view.onRemote, next: held.commit }, ...others];
  const sent = { at: ctx.clock.now(), uptime: ctx.uptime() };
  await writePending(ctx, { commit: held.commit, moves, sent });
  return await send(ctx, { v: 1, remote: '', commit: held.commit, moves, sent });
}

/**
 * Finds out what became of a push whose answer is not known: after a SIGKILL, or a connection that broke. Null: nothing
 * is open.
 */
export async function recover(ctx: LockContext): Promise<Moved | null> {
  const pending = await readPending(ctx);
  return pending === null ? null : await send(ctx, pending);
}

async function send(ctx: LockContext, pending: Pending): Promise<Moved> {
  const held = await recordOf(ctx, pending);
  if (held === null) {
    await clearPending(ctx); // the record never reached the disk, so it was never sent
    return { outcome: 'lost' };
  }
  const swapped = await swap(ctx, pending.moves);
  if (swapped.outcome === 'done') return await landed(ctx, pending, held, false, swapped.bytesSent);
  if (swapped.outcome === 'not-atomic') {
    await clearPending(ctx);
    return { outcome: 'refused', failure: notAtomic(ctx) };
  }
  if (swapped.outcome === 'unclear') return { outcome: 'unreachable', failure: swapped.failure };
  if (swapped.outcome === 'unreachable') return { outcome: 'unreachable', failure: swapped.failure };
  if (swapped.outcome === 'refused') {
    await clearPending(ctx);
    return { outcome: 'refused', failure: swapped.failure };
  }
  // Over file and ssh "lost" is also said when it did land: only the remote's refs tell.
  const looked = await lookAtLock(ctx);
  if (looked.outcome !== 'read') return looked;
  if (looked.view.onRemote === held.commit || (await isAncestor(ctx, held.commit, looked.view.onRemote))) {
    if (await othersLanded(ctx, pending)) return await landed(ctx, pending, held, looked.view.onRemote !== held.commit);
  }
  await clearPending(ctx);
  return { outcome: 'lost' };
}

/** With atomic pushes the other refs went with the lock; each is where it was asked to be, or further. */
async function othersLanded(ctx: LockContext, { moves }: Pending): Promise<boolean> {
  for (const { ref, next } of moves.slice(1)) {
    if (ref !== `refs/heads/${ctx.branch}`) continue;
    const tip = await remoteTip(ctx);
    if (tip.outcome !== 'read' || tip.tip !== next) return false;
  }
  return true;
}

async function landed(
  ctx: LockContext,
  pending: Pending,
  held: Held,
  overtaken = false,
  bytesSent = 0,
): Promise<Moved> {
  if (!overtaken) {
    const seen: Seen = { state: 'record', ...held };
    const view: View = {
      seen,
      onRemote: held.commit,
      checkedAt: ctx.clock.now(),
      sinceUptime: ctx.uptime(),
      renewed: held.record.state === 'held' ? pending.sent : null,
    };
    await saveView(ctx, view, [mirrored(ctx, held.commit), ...branchesMoved(ctx, pending)]);
  }
  await clearPending(ctx);
  return { outcome: 'done', held, bytesSent };
}

/** Git's own remote-tracking ref follows what we pushed, so that every client shows the same. */
function branchesMoved(ctx: LockContext, { moves }: Pending): { ref: string; to: string }[] {
  const branch = moves.find(({ ref }) => ref === `refs/heads/${ctx.branch}`);
  return branch === undefined ? [] : [{ ref: trackingRef(ctx), to: branch.next }];
}

export const trackingRef = ({ remote, branch }: LockContext): string => `refs/remotes/${remote.name}/${branch}`;

async function recordOf(ctx: LockContext, { commit }: Pending): Promise<Held | null> {
  if ((await tryGit(ctx.root, ['cat-file', '-e', commit])).exitCode !== 0) return null;
  const seen = await readCommit(ctx, commit);
  return seen.state === 'record' ? { commit, record: seen.record } : null;
}

export async function isAncestor(
  ctx: Pick<LockContext, 'root'>,
  older: string,
  newer: string | null,
): Promise<boolean> {
  return newer !== null && (await tryGit(ctx.root, ['merge-base', '--is-ancestor', older, newer])).exitCode === 0;
}

const notAtomic = (ctx: LockContext): Failure =>
  new Failure('remote-misconfigured', {
    remote: ctx.remote.name,
    detail: 'it cannot push several refs at once (atomic)',
  });

/** The failure that a verdict means for one who wanted the lock. */
export function failureOf(ctx: LockContext, verdict: Exclude<Verdict, { is: 'free' | 'mine' | 'takeable' }>): Failure {
  const { branch } = ctx;
  if (verdict.is === 'newer') return new Failure('lock-newer', { branch });
  if (verdict.is === 'damaged') return new Failure('lock-damaged', { branch, detail: verdict.detail });
  const { owner, acquiredAt } = verdict.held.record;
  return new Failure('lock-held', { branch, name: owner.name, host: owner.host, since: acquiredAt });
}
