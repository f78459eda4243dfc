import path from 'node:path';
import * as v from 'valibot';
import { git } from '../git/run.ts';
import { readKept, writeRecord } from '../project/state.ts';
import { isoTime } from '../system/clock.ts';
import { inTurn } from '../system/turns.ts';
import { type LockContext, remoteKey } from './context.ts';
import { readRef } from './look.ts';
import { knownRef } from './names.ts';
import { ownerSchema, recordSchema, type Seen } from './record.ts';

/** What this clone knows of the lock: read without network, and by the hooks (in sh). */
export interface View {
  /** The furthest record that was seen. The remote may have lost it since (`onRemote`). */
  seen: Seen;
  /** What the remote's ref was when last seen: what a compare-and-swap starts from. Null: no ref. */
  onRemote: string | null;
  /** Wall clock, ms; null: the remote was never asked. */
  checkedAt: number | null;
  /** Uptime since when the same record has been seen. */
  sinceUptime: number;
  /** Uptime and wall clock before our own last renewal was sent. */
  renewed: { at: number; uptime: number } | null;
  /** Set when the lock was taken from us, until we have it again or the person has seen to it. */
  lost: Loss | null;
}

/** How a lock that was ours went to somebody else. */
export type Loss = v.InferOutput<typeof lossSchema>;

const lossSchema = v.object({
  /** The record that ended our holding. */
  commit: v.string(),
  how: v.picklist(['broken', 'taken-over', 'handed-over', 'replaced']),
  by: ownerSchema,
  reason: v.string(),
  at: v.string(),
  /** Our last one. */
  ours: v.object({ commit: v.string(), lockId: v.string(), published: v.nullable(v.string()) }),
});

const seenSchema = v.variant('state', [
  v.object({ state: v.literal('none') }),
  v.object({ state: v.literal('record'), commit: v.string(), record: recordSchema }),
  v.object({ state: v.literal('newer'), commit: v.string() }),
  v.object({ state: v.literal('damaged'), commit: v.string(), detail: v.string() }),
]);
const schema = v.object({
  v: v.literal(1),
  branch: v.string(),
  remote: v.string(),
  clone: v.optional(v.string(), ''),
  seen: seenSchema,
  onRemote: v.nullable(v.string()),
  checkedAt: v.nullable(v.number()),
  sinceUptime: v.number(),
  renewed: v.nullable(v.object({ at: v.number(), uptime: v.number() })),
  lost: v.nullable(lossSchema),
});

export const cacheFile = ({ root }: Pick<LockContext, 'root'>): string =>
  path.join(root, '.oxenvcs', 'state', 'lock.json');

export const commitOf = (seen: Seen): string | null => (seen.state === 'none' ? null : seen.commit);

/** Did nobody hold it, of all that was seen last? For those who ask often: one small file, and no git. */
export async function isKnownFree(ctx: Pick<LockContext, 'root'>): Promise<boolean> {
  const read = await readKept(ctx, cacheFile(ctx), schema);
  if (read.state !== 'ok') return false;
  const { seen } = read.value;
  return seen.state === 'none' || (seen.state === 'record' && seen.record.state !== 'held');
}

/** Without the file (`git clean -fdx`) the refs still tell. */
export async function loadView(ctx: LockContext): Promise<View> {
  const read = await readKept(ctx, cacheFile(ctx), schema);
  if (read.state === 'ok' && read.value.branch === ctx.branch && read.value.remote === remoteKey(ctx)) {
    if (read.value.clone === ctx.owner.clone) return read.value;
    // Another computer that has this folder open, or had it: its clocks and its lock are not ours.
    return { ...read.value, sinceUptime: ctx.clock.uptime(), renewed: null, lost: null };
  }
  // What was known of another remote says nothing about this one.
  const foreign = read.state === 'ok' && read.value.remote !== remoteKey(ctx);
  const seen: Seen = foreign ? { state: 'none' } : await readRef(ctx, knownRef(ctx.branch));
  return {
    seen,
    onRemote: commitOf(seen),
    checkedAt: null,
    sinceUptime: ctx.clock.uptime(),
    renewed: null,
    lost: null,
  };
}

/** Refs that follow what was seen: the furthest record is kept from being collected. */
export function keepAlive(ctx: LockContext, seen: Seen): RefUpdate[] {
  const to = commitOf(seen);
  return to === null ? [] : [{ ref: knownRef(ctx.branch), to }];
}

export interface RefUpdate {
  ref: string;
  to: string;
}

/** Remembers what was seen; `refs` of ours move along. */
export async function saveView(ctx: LockContext, view: View, refs: RefUpdate[]): Promise<void> {
  await inTurn(cacheFile(ctx), async () => await write(ctx, view, refs));
}

/**
 * The same, but only if what is known is still what `view` was made from: a look at the remote takes a while, and another
 * one of us may have changed the lock meanwhile. False: it is not.
 */
export async function saveViewAfter(ctx: LockContext, before: View, view: View, refs: RefUpdate[]): Promise<boolean> {
  return await inTurn(cacheFile(ctx), async () => {
    const now = await loadView(ctx);
    if (commitOf(now.seen) !== commitOf(before.seen) || now.renewed?.uptime !== before.renewed?.uptime) return false;
    await write(ctx, view, refs);
    return true;
  });
}

async function write(ctx: LockContext, view: View, refs: RefUpdate[]): Promise<void> {
  const { seen, onRemote, checkedAt, sinceUptime, renewed, lost } = view;
  const noted = { seen, onRemote, checkedAt, sinceUptime, renewed, lost };
  const record = {
    v: 1,
    ...forHooks(ctx, view),
    branch: ctx.branch,
    remote: remoteKey(ctx),
    clone: ctx.owner.clone,
    ...noted,
  };
  const input = refs.map(({ ref, to }) => `update ${ref} ${to}\n`).join('');
  await Promise.all([
    writeRecord(cacheFile(ctx), record),
    refs.length > 0 ? git(ctx.root, ['update-ref', '--stdin'], { input }) : null,
  ]);
}

/**
 * The first fields of the file's only line, for `sed` in the pre-commit hook:
 * `{"v":1,"heldByOther":true,"name":"Ann","host":"studio","since":"…","expiresAt":"…",`. No quotes inside the values.
 */
function forHooks(ctx: LockContext, { seen }: View): Record<string, unknown> {
  const plain = (text: string) => text.replace(/["\\]/g, "'");
  if (seen.state === 'record' && seen.record.state === 'held') {
    const { owner, acquiredAt, expiresAt } = seen.record;
    const heldByOther = owner.clone !== ctx.owner.clone;
    return { heldByOther, name: plain(owner.name), host: plain(owner.host), since: acquiredAt, expiresAt };
  }
  // A record of a newer version counts as held; when it ends we cannot know.
  if (seen.state === 'newer')
    return {
      heldByOther: true,
      name: 'somebody',
      host: 'another computer',
      since: '',
      expiresAt: '9999-12-31T23:59:59Z',
    };
  return { heldByOther: false, name: '', host: '', since: '', expiresAt: isoTime(0) };
}
