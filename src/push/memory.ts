import * as v from 'valibot';
import { type LockContext, remoteKey } from '../lock/context.ts';
import { statePath } from '../project/project.ts';
import { readRecord, writeRecord } from '../project/state.ts';
import { removeDurable } from '../system/disk.ts';

/** What is remembered of a push that is not over yet. Only hints: without them it begins small, and the remote says what it has. */
const schema = v.object({
  v: v.literal(1),
  remote: v.string(),
  /** Folders of parts on the remote that are to be removed when the push is done. */
  over: v.array(v.string()),
  /** How large parts may be, after a break; null: nothing broke. */
  sizing: v.nullable(v.object({ next: v.number(), proven: v.number(), broken: v.boolean() })),
});

export type Memory = Pick<v.InferOutput<typeof schema>, 'over' | 'sizing'>;

type Where = Pick<LockContext, 'root' | 'remote'>;

const file = (ctx: Pick<LockContext, 'root'>): string => statePath(ctx, 'staging.json');

export async function recall(ctx: Where): Promise<Memory> {
  const read = await readRecord(ctx, file(ctx), schema);
  return read.state === 'ok' && read.value.remote === remoteKey(ctx) ? read.value : { over: [], sizing: null };
}

export async function remember(ctx: Where, change: Partial<Memory>): Promise<void> {
  const { over, sizing } = { ...(await recall(ctx)), ...change };
  if (over.length > 0 || sizing !== null) await writeRecord(file(ctx), { v: 1, remote: remoteKey(ctx), over, sizing });
  else await removeDurable(file(ctx));
}
