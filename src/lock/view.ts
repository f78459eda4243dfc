import { tryGit } from '../git/run.ts';
import { Failure, ifDiskFull } from '../model/failures.ts';
import { commitOf, keepAlive, loadView, type Loss, saveViewAfter, type View } from './cache.ts';
import { capabilities } from './capabilities.ts';
import type { LockContext } from './context.ts';
import { judge, type Verdict } from './judge.ts';
import { fetchLock, readCommit, type Unreachable } from './look.ts';
import type { Seen } from './record.ts';
import { seenSince } from './time.ts';

export type Looked = { outcome: 'read'; view: View; verdict: Verdict } | Unreachable;

/** Asks the remote what stands on the lock, and remembers it. One connection. */
export async function lookAtLock(ctx: LockContext): Promise<Looked> {
  const { namespace } = await capabilities(ctx);
  const fetched = await fetchLock(ctx, namespace, (await loadView(ctx)).seen);
  if (fetched.outcome !== 'read') return fetched;
  const view = await takeIn(ctx, fetched.seen);
  return { outcome: 'read', view, verdict: verdictOn(ctx, view) };
}

/** Remembers what stands on the lock at the remote, as it was just seen there. */
export async function takeIn(ctx: LockContext, fetched: Seen): Promise<View> {
  for (;;) {
    const before = await loadView(ctx);
    const view = await viewAfter(ctx, before, fetched);
    const isNew = commitOf(view.seen) !== commitOf(before.seen) || before.checkedAt === null;
    // A full disk takes no notes: what was seen is true all the same.
    const saved = saveViewAfter(ctx, before, view, isNew ? keepAlive(ctx, view.seen) : []);
    if (await saved.catch(ifDiskFull(true))) return view;
  }
}

async function viewAfter(ctx: LockContext, before: View, fetched: Seen): Promise<View> {
  const seen = await furthest(ctx, before.seen, fetched);
  const same = before.checkedAt !== null && commitOf(before.seen) === commitOf(seen);
  return {
    seen,
    onRemote: commitOf(fetched),
    checkedAt: ctx.clock.now(),
    sinceUptime: seenSince({ same, sinceUptime: before.sinceUptime }, ctx.clock.uptime()),
    renewed: before.renewed,
    lost: (same ? null : await lossBetween(ctx, before.seen, seen)) ?? before.lost,
  };
}

/** What the view means for this clone. */
export function verdictOn(ctx: LockContext, view: View): Verdict {
  return judge(view.seen, ctx.owner, { now: ctx.clock.now(), unchangedMs: ctx.clock.uptime() - view.sinceUptime });
}

/**
 * A ref that vanished (`push --mirror` from a plain clone), or that was set back (a restored server), does not make us
 * forget the chain: the furthest record that was ever on the remote counts, and the next one is made its child.
 */
async function furthest(ctx: LockContext, known: Seen, remote: Seen): Promise<Seen> {
  if (remote.state === 'none') return known;
  if (known.state === 'none' || known.commit === remote.commit) return remote;
  const grown =
    known.state === 'record' && remote.state === 'record' && remote.record.generation > known.record.generation;
  return !grown && (await isAncestor(ctx, remote.commit, known.commit)) ? known : remote;
}

/** If the lock was ours before and is not now: who took it, and why. The first record after ours tells. */
async function lossBetween(ctx: LockContext, before: Seen, after: Seen): Promise<Loss | null> {
  if (before.state !== 'record' || before.record.state !== 'held') return null;
  if (before.record.owner.clone !== ctx.owner.clone || after.state === 'none') return null;
  const { lockId, published } = before.record;
  const ours = { commit: before.commit, lockId, published };
  for (const commit of await commitsAfter(ctx, before.commit, after.commit)) {
    const seen = await readCommit(ctx, commit);
    if (seen.state !== 'record') break;
    const { record } = seen;
    if (record.lockId === lockId && record.state === 'held') continue; // another process of ours renewed it
    if (record.state === 'released') return null; // and released it
    const how = record.state === 'broken' ? 'broken' : record.event === 'handed-over' ? 'handed-over' : 'taken-over';
    const by = record.by ?? record.owner;
    return { commit, how, by, reason: record.reason ?? '', at: record.renewedAt, ours };
  }
  if (after.state === 'record' && after.record.lockId === lockId) return null;
  // The chain was begun anew, or ends in what we cannot read.
  const unknown = { name: 'somebody', email: '', host: 'another computer', clone: '' };
  const by = after.state === 'record' ? after.record.owner : unknown;
  const at = new Date(ctx.clock.now()).toISOString();
  return { commit: after.commit, how: 'replaced', by, reason: 'the lock was made anew on the remote', at, ours };
}

/** The chain from the record after `older` up to `newer`, oldest first; empty where it does not lead there. */
async function commitsAfter(ctx: LockContext, older: string, newer: string): Promise<string[]> {
  const range = ['--ancestry-path', '--first-parent', '--reverse', `${older}..${newer}`];
  const listed = await tryGit(ctx.root, ['rev-list', ...range]);
  return listed.exitCode === 0 ? listed.stdout.toString('utf8').split('\n').filter(Boolean) : [];
}

/** Is `older` in the history of `newer`? Also no where one of them is not here. */
export async function isAncestor(
  ctx: Pick<LockContext, 'root'>,
  older: string,
  newer: string | null,
): Promise<boolean> {
  return newer !== null && (await tryGit(ctx.root, ['merge-base', '--is-ancestor', older, newer])).exitCode === 0;
}

/** The failure that a verdict means for one who wants the lock and does not get it. */
export function failureOf(ctx: LockContext, verdict: Exclude<Verdict, { is: 'free' | 'mine' | 'takeable' }>): Failure {
  const { branch } = ctx;
  if (verdict.is === 'newer') return new Failure('lock-newer', { branch });
  if (verdict.is === 'damaged') return new Failure('lock-damaged', { branch, detail: verdict.detail });
  const { owner, acquiredAt, expiresAt, message } = verdict.held.record;
  const { name, host, email, clone } = owner;
  const { expired } = verdict;
  // One that was taken in this very folder, before it was moved or copied: only a person knows which of the two.
  const row = clone === ctx.former ? 'moved-or-copied' : 'lock-held';
  return new Failure(row, { branch, name, host, email, since: acquiredAt, expiresAt, expired, message });
}

/** The failure for one who counted on holding the lock. */
export function lostFailure(ctx: LockContext, { lost }: Pick<View, 'lost'>): Failure {
  if (lost === null) return new Failure('lock-not-ours', { branch: ctx.branch });
  const { how, by, at } = lost;
  return new Failure('lock-lost', { branch: ctx.branch, name: by.name, host: by.host, how, at, reason: lost.reason });
}
