import { randomUUID } from 'node:crypto';
import * as v from 'valibot';
import { isoTime } from '../system/clock.ts';

/**
 * The lock record: JSON in the message of a commit on the empty tree, child of the record before it. The chain of
 * records is the audit trail; its tip is the state of the lock. Everything here is pure.
 */

/** The version this program writes. A record of a newer one counts as held and is never overwritten. */
const version = 1;

/** A record is about 1 KB; what is much larger was not written by us. */
export const maxRecordBytes = 32 * 1024;

// Line breaks, escape sequences and direction marks would let a record fake what a terminal shows.
// oxlint-disable-next-line no-control-regex -- they are what is looked for
const unprintable = /[\u0000-\u001f\u007f-\u009f\u200e\u200f\u2028-\u202e\u2066-\u2069]/;
const text = (max: number) =>
  v.pipe(
    v.string(),
    v.maxLength(max),
    v.check((s) => !unprintable.test(s), 'control characters'),
  );
const time = v.pipe(
  v.string(),
  v.regex(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,3})?Z$/),
  v.check((s) => Number.isFinite(Date.parse(s)), 'no such time'),
);
/** A year: what is longer would only be a slip, or hostile. */
const longestMs = 365 * 24 * 3_600_000;
const duration = v.pipe(v.number(), v.safeInteger(), v.minValue(1), v.maxValue(longestMs));

/** Fractions of hours make fractions of ms. */
export const leaseOf = (ms: number): number => Math.min(longestMs, Math.max(1, Math.round(ms)));
const commit = v.pipe(v.string(), v.regex(/^([0-9a-f]{40}|[0-9a-f]{64})$/));
const id = v.pipe(text(100), v.nonEmpty());

export const ownerSchema = v.object({ name: text(200), email: text(320), host: text(255), clone: id });

export const recordSchema = v.object({
  v: v.literal(version),
  state: v.picklist(['held', 'released', 'broken']),
  /** What this record did. */
  event: v.picklist([
    'acquired',
    'renewed',
    'published',
    'released',
    'broken',
    /** It had run out and somebody else took it. */
    'taken-over',
    /** The same person took it from an idle machine of theirs. */
    'handed-over',
  ]),
  branch: text(1000),
  /** The same from acquire to release. */
  lockId: id,
  /** Fresh in every record, so that no two clients ever make the same commit. */
  nonce: id,
  /** One more than the record before it. */
  generation: v.pipe(v.number(), v.safeInteger(), v.minValue(1)),
  /** Who holds it, or held it last. */
  owner: ownerSchema,
  acquiredAt: time,
  renewedAt: time,
  expiresAt: time,
  leaseMs: duration,
  /** How often the holder renews it. */
  heartbeatMs: duration,
  /** Asked for by a person, or taken for a save. */
  how: v.picklist(['hand', 'save']),
  /** The remote's branch when the lock was taken; null: it had no commit. */
  base: v.nullable(commit),
  /** The last commit published under this lock. */
  published: v.nullable(commit),
  /** Since when the holder has nothing open and nothing unpublished; null: busy. */
  idleSince: v.nullable(time),
  message: text(1000),
  /** Who did it, where that is not the owner, and why. */
  by: v.nullable(ownerSchema),
  reason: v.nullable(text(1000)),
});

export type Owner = v.InferOutput<typeof ownerSchema>;
export type LockRecord = v.InferOutput<typeof recordSchema>;

/** A record together with the commit that carries it. */
export interface Held {
  commit: string;
  record: LockRecord;
}

/** What stands behind a lock ref. */
export type Seen =
  | { state: 'none' }
  | { state: 'record'; commit: string; record: LockRecord }
  /** Of a newer version of the program. */
  | { state: 'newer'; commit: string }
  | { state: 'damaged'; commit: string; detail: string };

/** Reads a record from a commit's message. Never throws, whatever the message holds. */
export function parseRecord(
  message: string,
): { state: 'record'; record: LockRecord } | { state: 'newer' } | { state: 'damaged'; detail: string } {
  if (Buffer.byteLength(message) > maxRecordBytes) return { state: 'damaged', detail: 'it is too large' };
  let value: unknown;
  try {
    value = JSON.parse(message);
  } catch {
    return { state: 'damaged', detail: 'it is not JSON' };
  }
  if (v.is(newerSchema, value)) return { state: 'newer' };
  const result = v.safeParse(recordSchema, value);
  if (result.success) return { state: 'record', record: result.output };
  const where = v.getDotPath(result.issues[0]) ?? 'it';
  return { state: 'damaged', detail: `${unprintable.test(where) ? 'it' : where.slice(0, 40)} has a wrong value` };
}

const newerSchema = v.object({ v: v.pipe(v.number(), v.safeInteger(), v.minValue(version + 1)) });

/** The commit's message: one line of JSON. */
export const serializeRecord = (record: LockRecord): string => `${JSON.stringify(record)}\n`;

/**
 * The bytes of the commit object. The same record and parent always give the same commit id, so that a retry after a
 * crash pushes the identical one.
 */
export function commitText(record: LockRecord, emptyTree: string, parent: string | null): string {
  const who = `oxenvcs <oxenvcs@localhost> ${Math.max(0, Math.floor(Date.parse(record.renewedAt) / 1000))} +0000`;
  const parents = parent === null ? '' : `parent ${parent}\n`;
  return `tree ${emptyTree}\n${parents}author ${who}\ncommitter ${who}\n\n${serializeRecord(record)}`;
}

export interface NewLock {
  branch: string;
  owner: Owner;
  how: LockRecord['how'];
  leaseMs: number;
  heartbeatMs: number;
  base: string | null;
  message: string;
  /** Wall clock, ms. */
  now: number;
  event: 'acquired' | 'taken-over' | 'handed-over';
  reason: string | null;
}

/** The first record of a new holding; `before` is the tip of the chain, if there is one. */
export function newLock(lock: NewLock, before: LockRecord | null): LockRecord {
  const at = isoTime(lock.now);
  return {
    v: version,
    state: 'held',
    event: lock.event,
    // Only for people to read; the ref's name says which branch it is.
    branch: printable(lock.branch, 500),
    lockId: randomUUID(),
    nonce: randomUUID(),
    generation: (before?.generation ?? 0) + 1,
    owner: lock.owner,
    acquiredAt: at,
    renewedAt: at,
    expiresAt: isoTime(lock.now + lock.leaseMs),
    leaseMs: lock.leaseMs,
    heartbeatMs: lock.heartbeatMs,
    how: lock.how,
    base: lock.base,
    published: null,
    idleSince: null,
    message: printable(lock.message, 500),
    by: null,
    reason: lock.reason === null ? null : printable(lock.reason, 500),
  };
}

/** The record after `before` in the same holding; what is not given stays. A held one gets a fresh lease. */
export function nextRecord(
  before: LockRecord,
  event: LockRecord['event'],
  now: number,
  change: Partial<LockRecord> = {},
): LockRecord {
  const leaseMs = change.leaseMs ?? before.leaseMs;
  return {
    ...before,
    ...change,
    event,
    nonce: randomUUID(),
    generation: before.generation + 1,
    renewedAt: isoTime(now),
    expiresAt: isoTime(now + leaseMs),
    by: change.by ?? null,
    reason: change.reason === undefined || change.reason === null ? null : printable(change.reason, 500),
  };
}

/** Text of people's, made fit for one line of a terminal: at most `max` characters, nothing unprintable. */
export function printable(words: string, max: number): string {
  const wellFormed = Buffer.from(words).toString(); // a lone surrogate becomes U+FFFD
  return Array.from(wellFormed.replace(new RegExp(unprintable, 'g'), ' ').trim())
    .slice(0, max)
    .join('');
}
