import type { Written } from '../git/progress.ts';
import type { LockContext } from '../lock/context.ts';
import { type Move, swap, type Upload } from '../lock/swap.ts';
import type { Failure } from '../model/failures.ts';
import { RetryPolicy } from '../network/retry.ts';
import type { Scratch } from './scratch.ts';
import { brokeOff, gotThrough, type Limits, type Sizing } from './sizing.ts';
import type { Tracker } from './transfer.ts';

/** Where parts go, and how it stands with them. */
export interface Carrier {
  ctx: LockContext;
  scratch: Scratch;
  /** The refs of this run begin so: `refs/oxenvcs/staging/<clone>-<date>/<run>`. */
  refs: string;
  limits: Limits;
  sizing: Sizing;
  track: Tracker;
  /** How often in a row it may break before anything gets through. */
  patience: number;
  /** No part is begun from then on (monotonic, ms). */
  until?: number | undefined;
  /** What is on the remote now: the ids that its refs have. Null: it cannot be asked. */
  there: () => Promise<Set<string> | null>;
  /** It broke, or the remote does not take pushes of that size: to be remembered. */
  onBreak: (sizing: Sizing) => Promise<void>;
  onTooLarge: (maxBytes: number) => Promise<void>;
  /** Parts begun so far, and those of them that got through. */
  begun: number;
  through: number;
  /** How long the last push took until it began to write, ms. */
  setupMs: number;
}

/** How a part ended. */
export type End =
  | { is: 'through' }
  /** It may have arrived all the same; it may be tried again. */
  | { is: 'broken'; failure: Failure }
  | { is: 'too-large'; failure: Failure }
  /** No later try will mend it. */
  | { is: 'over'; error: unknown };

/** The beginning of the next part's refs. */
export const nextPart = (carrier: Carrier): string => `${carrier.refs}.${++carrier.begun}`;

/** How a part is sent: with settings of git; on a connection apart from the others; and who hears how much is written. */
interface Sent extends Pick<Upload, 'settings' | 'apart'> {
  onWritten: (written: Written) => void;
}

/** Sends one part, of about so many bytes. Never throws. */
export async function send(
  carrier: Carrier,
  moves: Move[],
  planned: number,
  { settings = [], apart = false, onWritten }: Partial<Sent> = {},
): Promise<End> {
  const { ctx, track, limits, scratch } = carrier;
  const start = ctx.clock.monotonic();
  const part = carrier.begun;
  const told = (written: Written) => {
    track.moving(part, written.bytes);
    onWritten?.(written);
  };
  try {
    const upload = { settings, env: { ...scratch.env }, apart };
    const swapped = await swap({ ...ctx, onWritten: told }, moves, { atomic: false, upload });
    if (swapped.outcome === 'done') {
      track.landed(part, planned);
      carrier.through += 1;
      carrier.sizing = gotThrough(carrier.sizing, limits, planned, ctx.clock.monotonic() - start);
      track.size(carrier.sizing.next);
      return { is: 'through' };
    }
    track.broken(part);
    ctx.signal?.throwIfAborted();
    const { outcome, failure } = swapped;
    const isTooLarge = failure.row === 'too-large';
    if (outcome === 'refused' && !isTooLarge && !mends(failure)) return { is: 'over', error: failure };
    if (isTooLarge) await carrier.onTooLarge((limits.max = Math.max(carrier.sizing.proven, Math.floor(planned / 2))));
    carrier.sizing = brokeOff(carrier.sizing, limits, planned);
    track.size(carrier.sizing.next);
    return isTooLarge ? { is: 'too-large', failure } : { is: 'broken', failure };
  } catch (error) {
    return { is: 'over', error };
  }
}

/** What a remote turns down, and yet may take the next time. What it lacks of earlier parts it will lack then, too. */
const mends = ({ row, message }: Failure): boolean =>
  row === 'remote-busy' || (row === 'arrived-damaged' && !/missing necessary objects/.test(message));

/** Waits before the next try; throws the failure when there were enough of them. */
export async function afterBreak(
  { ctx, patience, sizing, onBreak }: Carrier,
  breaks: number,
  failure: Failure,
): Promise<void> {
  await onBreak(sizing);
  if (breaks > patience) throw failure;
  const { initialBackoffMs, maxBackoffMs } = ctx.settings.network;
  const policy = new RetryPolicy({ initialMs: initialBackoffMs, maxMs: maxBackoffMs });
  await ctx.clock.sleep(policy.delay(breaks, failure), ctx.signal);
}
