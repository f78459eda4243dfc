import path from 'node:path';
import * as v from 'valibot';
import { readKept, writeRecord } from '../project/state.ts';
import { type LockContext, remoteKey } from './context.ts';
import { namespaces } from './names.ts';

/** What the remote allows, as found out by the probe (probe.ts) or by a push that it turned down. */
const schema = v.object({
  v: v.literal(1),
  remote: v.string(),
  /** Where it lets us keep lock refs. */
  namespace: v.picklist(namespaces),
  /** All refs of a push or none. Without it a save is not fenced: "advisory". */
  atomic: v.boolean(),
  /** May refs be deleted? Null: not found out. */
  deletes: v.nullable(v.boolean()),
  /** May the branch be moved? Null: not found out. */
  branch: v.nullable(v.boolean()),
  /** A push of more bytes than this was turned down for its size. Null: none ever was. */
  maxPushBytes: v.optional(v.nullable(v.number()), null),
  /** The largest file that it takes, bytes, as learned from a refusal; null: no refusal yet. */
  maxBlobBytes: v.optional(v.nullable(v.number()), null),
  /** Can git ask it what it already has before a push (protocol v2, `push.negotiate`)? Null: not found out. */
  negotiates: v.optional(v.nullable(v.boolean()), null),
  /** What it said where it forbids something. */
  said: v.nullable(v.string()),
  /** Wall clock, ms; null: assumed, not probed. */
  probedAt: v.nullable(v.number()),
});

export type Capabilities = Omit<v.InferOutput<typeof schema>, 'v' | 'remote'>;

const assumed: Capabilities = {
  namespace: namespaces[0],
  atomic: true,
  deletes: null,
  branch: null,
  maxPushBytes: null,
  maxBlobBytes: null,
  negotiates: null,
  said: null,
  probedAt: null,
};

export const capabilitiesFile = ({ root }: Pick<LockContext, 'root'>): string =>
  path.join(root, '.oxenvcs', 'state', 'remote.json');

/** What is known of the remote; until it was probed, the best is assumed. */
export async function capabilities(ctx: Pick<LockContext, 'root' | 'remote'>): Promise<Capabilities> {
  const read = await readKept(ctx, capabilitiesFile(ctx), schema);
  return read.state === 'ok' && read.value.remote === remoteKey(ctx) ? read.value : assumed;
}

/** Remembers what was found out. */
export async function learn(
  ctx: Pick<LockContext, 'root' | 'remote'>,
  found: Partial<Capabilities>,
): Promise<Capabilities> {
  const now = { ...(await capabilities(ctx)), ...found };
  await writeRecord(capabilitiesFile(ctx), { ...now, v: 1, remote: remoteKey(ctx) });
  return now;
}

/** The word of the contract. */
export const fencing = ({ atomic }: Capabilities): 'atomic' | 'advisory' => (atomic ? 'atomic' : 'advisory');
