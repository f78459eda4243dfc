import * as fs from 'node:fs/promises';
import path from 'node:path';
import * as v from 'valibot';
import { objectId, putObject, writeObject } from '../git/loose.ts';
import { gitLine, tryGit } from '../git/run.ts';
import { readRecord, writeRecord } from '../project/state.ts';
import { type LockContext, remoteKey } from './context.ts';
import { readCommit } from './look.ts';
import { commitText, type Held, type LockRecord, type Seen } from './record.ts';

/**
 * What is about to be pushed, on the disk before it is sent. A push whose answer was lost may still land later, even
 * when a read just said it has not: so the identical record is sent again until the remote's answer is known.
 */
const schema = v.object({
  v: v.literal(1),
  remote: v.string(),
  commit: v.string(),
  /** The bytes of the record's commit: a power cut may take the object, which is flushed while the push is under way. */
  text: v.optional(v.string()),
  moves: v.array(v.object({ ref: v.string(), old: v.nullable(v.string()), next: v.string() })),
  /** Uptime and wall clock before it was sent: the lease counts from there. */
  sent: v.object({ at: v.number(), uptime: v.number() }),
});

export type Pending = v.InferOutput<typeof schema>;

const fileOf = ({ root }: Pick<LockContext, 'root'>): string =>
  path.join(root, '.oxenvcs', 'state', 'lock-pending.json');

export async function readPending(ctx: LockContext): Promise<Pending | null> {
  const read = await readRecord(ctx, fileOf(ctx), schema);
  return read.state === 'ok' && read.value.remote === remoteKey(ctx) ? read.value : null;
}

/**
 * Puts the record into the object store and notes what is about to be sent: that is on the disk when this returns, and the
 * object when `flushed` does.
 */
export async function prepare(
  ctx: LockContext,
  { held, text }: Prepared,
  what: Pick<Pending, 'moves' | 'sent'>,
): Promise<{ pending: Pending; flushed: Promise<void> }> {
  const pending: Pending = { v: 1, remote: remoteKey(ctx), commit: held.commit, text, ...what };
  const [{ flushed }] = await Promise.all([putObject(ctx.root, 'commit', text), writeRecord(fileOf(ctx), pending)]);
  return { pending, flushed };
}

/** The record that was noted; null: it is neither in the object store nor in the journal, so it was never sent. */
export async function preparedRecord(ctx: LockContext, { commit, text }: Pending): Promise<Held | null> {
  if (text !== undefined && (await objectId(ctx.root, 'commit', text)) === commit)
    await writeObject(ctx.root, 'commit', text);
  if ((await tryGit(ctx.root, ['cat-file', '-e', commit])).exitCode !== 0) return null;
  const seen = await readCommit(ctx, commit);
  return seen.state === 'record' ? { commit, record: seen.record } : null;
}

/** Not flushed: one that comes back after a power cut is sent once more and found to be answered. */
export const clearPending = async (ctx: LockContext): Promise<void> => await fs.rm(fileOf(ctx), { force: true });

export interface Prepared {
  held: Held;
  /** The bytes of the commit object. */
  text: string;
}

/** The commit that carries a record: the child of what was seen, if that is a commit. Nothing is written yet. */
export async function makeRecord(ctx: LockContext, record: LockRecord, before: Seen): Promise<Prepared> {
  // Somebody may have put anything there.
  const isCommit =
    before.state !== 'damaged' || (await gitLine(ctx.root, ['cat-file', '-t', before.commit])) === 'commit';
  const parent = before.state !== 'none' && isCommit ? before.commit : null;
  const text = commitText(record, await emptyTree(ctx), parent);
  return { held: { commit: await objectId(ctx.root, 'commit', text), record }, text };
}

/** The tree of all our records; its id depends on the repository's kind of hash. Written once a process. */
export async function emptyTree({ root }: Pick<LockContext, 'root'>): Promise<string> {
  const id = emptyTrees.get(root) ?? (await writeObject(root, 'tree', ''));
  emptyTrees.set(root, id);
  return id;
}

const emptyTrees = new Map<string, string>();
