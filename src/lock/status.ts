import { git } from '../git/run.ts';
import type { Failure } from '../model/failures.ts';
import { isoTime } from '../system/clock.ts';
import { loadView, type Loss, type View } from './cache.ts';
import { capabilities, fencing } from './capabilities.ts';
import type { LockContext } from './context.ts';
import { readPending } from './journal.ts';
import { recover } from './move.ts';
import { ifNobodyElse } from './mutex.ts';
import { knownRef } from './names.ts';
import { type LockRecord, parseRecord } from './record.ts';
import { isExpired } from './time.ts';
import { lookAtLock } from './view.ts';

/** A lock as scripts see it. */
export interface ShownLock {
  id: string;
  owner: { name: string; email: string; host: string };
  acquiredAt: string;
  renewedAt: string;
  expiresAt: string;
  generation: number;
  message: string;
  expired: boolean;
}

export interface LockStatus {
  held: boolean;
  mine: boolean;
  lock: ShownLock | null;
  source: 'remote' | 'cache';
  /** Null: the remote was never asked. */
  checkedAt: string | null;
  fencing: 'atomic' | 'advisory';
  /** Nobody can say who holds it: it is of a newer program, or damaged. It counts as held. */
  unreadable: 'newer' | 'damaged' | null;
  /** It was ours and was taken from us. */
  lost: Loss | null;
}

export function shownLock(record: LockRecord, now: number): ShownLock {
  const { lockId, owner, acquiredAt, renewedAt, expiresAt, generation, message } = record;
  const { name, email, host } = owner;
  const times = { acquiredAt, renewedAt, expiresAt };
  return { id: lockId, owner: { name, email, host }, ...times, generation, message, expired: isExpired(record, now) };
}

/**
 * Who holds the lock: as the remote says, or, where it cannot be reached, as it said last (`unreachable`: why). What became
 * of a push that was cut off is found out first; one that is under way is not waited for.
 */
export async function lockStatus(ctx: LockContext): Promise<{ status: LockStatus; unreachable: Failure | null }> {
  if ((await readPending(ctx)) !== null) await ifNobodyElse(ctx, async () => await recover(ctx));
  const looked = await lookAtLock(ctx);
  if (looked.outcome === 'read') return { status: await statusOf(ctx, looked.view, 'remote'), unreachable: null };
  return { status: await cachedStatus(ctx), unreachable: looked.failure };
}

/** The same without network. */
export async function cachedStatus(ctx: LockContext): Promise<LockStatus> {
  return await statusOf(ctx, await loadView(ctx), 'cache');
}

async function statusOf(ctx: LockContext, view: View, source: LockStatus['source']): Promise<LockStatus> {
  const { seen, checkedAt, lost } = view;
  const held = seen.state === 'record' && seen.record.state === 'held' ? seen.record : null;
  const unreadable = seen.state === 'newer' || seen.state === 'damaged' ? seen.state : null;
  return {
    held: held !== null || unreadable !== null,
    mine: held?.owner.clone === ctx.owner.clone,
    lock: held ? shownLock(held, ctx.clock.now()) : null,
    source,
    checkedAt: checkedAt === null ? null : isoTime(checkedAt),
    fencing: fencing(await capabilities(ctx)),
    unreadable,
    lost,
  };
}

/** One change of hands. Renewals and publishes only show in `until` and `published`. */
export interface HistoryEntry {
  generation: number;
  state: LockRecord['state'];
  event: LockRecord['event'];
  lockId: string;
  owner: { name: string; email: string; host: string };
  /** Who did it: the owner, or who broke it. */
  by: { name: string; email: string; host: string };
  at: string;
  /** Of a holding: when it was last heard of. */
  until: string;
  published: string | null;
  message: string;
  reason: string | null;
}

/** Who held the lock, how long, who broke it and why; newest first. Read from what was last fetched: look first. */
export async function lockHistory(ctx: LockContext, { limit = 1000 } = {}): Promise<HistoryEntry[]> {
  // Records of a day are about a hundred; the chain is read from its tip as far as is needed.
  const range = ['log', '--first-parent', '-z', '--format=%B', `--max-count=${limit * 50}`];
  const exists = await git(ctx.root, ['for-each-ref', '--format=%(objecttype)', knownRef(ctx.branch)]);
  if (exists.trim() !== 'commit') return [];
  const messages = (await git(ctx.root, [...range, knownRef(ctx.branch)])).split('\0');
  return changesOfHands(
    messages.flatMap((message) => {
      const read = parseRecord(message.trim());
      return read.state === 'record' ? [read.record] : [];
    }),
  ).slice(0, limit);
}

const keepsHolding = new Set<LockRecord['event']>(['renewed', 'published']);

/** Pure. `records`: newest first. */
export function changesOfHands(records: LockRecord[]): HistoryEntry[] {
  const entries: HistoryEntry[] = [];
  let newest: LockRecord | null = null; // of the holding that is being read
  for (const record of records) {
    if (newest?.lockId !== record.lockId) newest = record;
    if (keepsHolding.has(record.event)) continue;
    const { generation, state, event, lockId, renewedAt: at, message, reason } = record;
    const last = state === 'held' ? newest : record;
    const [owner, by] = [person(record.owner), person(record.by ?? record.owner)];
    const { renewedAt: until, published } = last;
    entries.push({ generation, state, event, lockId, owner, by, at, until, published, message, reason });
  }
  return entries;
}

const person = ({ name, email, host }: LockRecord['owner']) => ({ name, email, host });
