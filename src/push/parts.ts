import type { Written } from '../git/progress.ts';
import type { LockContext } from '../lock/context.ts';
import { type Move, swap } from '../lock/swap.ts';
import type { Failure } from '../model/failures.ts';
import { RetryPolicy } from '../network/retry.ts';
import type { LinkObjects } from './links.ts';
import { type Scratch, writeScratch } from './scratch.ts';
import { brokeOff, gotThrough, type Limits, type Sizing } from './sizing.ts';
import type { Tracker } from './transfer.ts';

/** A link on its way; its objects are made when it is its turn. */
export interface Link {
  id: string;
  bytes: number;
  objects: () => LinkObjects;
}

/** Where parts go, and how it stands with them. */
export interface Carrier {
  ctx: LockContext;
  scratch: Scratch;
  /** The refs of this run: `refs/oxenvcs/staging/<clone>-<date>/<run>`. */
  refs: string;
  limits: Limits;
  sizing: Sizing;
  track: Tracker;
  /** How often in a row it may break before anything gets through. */
  patience: number;
  /** What is on the remote now: the ids that its refs have. Null: it cannot be asked. */
  there: () => Promise<Set<string> | null>;
  /** It broke, or the remote does not take pushes of that size: to be remembered. */
  onBreak: (sizing: Sizing) => Promise<void>;
  onTooLarge: (maxBytes: number) => Promise<void>;
  /** Parts begun so far, and those of them that got through. */
  begun: number;
  through: number;
}

/** How a part ended. */
export type End =
  | { is: 'through' }
  /** It may have arrived all the same; it may be tried again. */
  | { is: 'broken'; failure: Failure }
  | { is: 'too-large'; failure: Failure }
  /** No later try will mend it. */
  | { is: 'over'; error: unknown };

interface Flight {
  links: Link[];
  bytes: number;
  /** Resolves when all of it has left this process, or it has ended. */
  written: Promise<unknown>;
  isWritten: boolean;
  ended: Promise<unknown>;
  end: End | null;
}

/** A link part's refs must fit a command line (32 KB on Windows). */
const mostLinks = 100;

/** Media as it is: nothing is searched, compressed or held in memory. */
const forMedia = ['pack.window=0', 'pack.compression=0', 'core.bigFileThreshold=1m', 'pack.threads=1'];

/**
 * Puts all links on the remote, as many in one push as the time allows. While the remote makes sense of one part (it indexes what it got)
 * the next is on its way: never two at once, so that a connection that resets costs one part. Throws the failure that
 * stopped it.
 */
export async function sendLinks(carrier: Carrier, links: readonly Link[]): Promise<void> {
  let waiting = [...links];
  const flights = new Set<Flight>();
  let breaks = 0;
  let trouble: Extract<End, { is: 'broken' | 'over' }> | null = null;
  while (waiting.length > 0 || flights.size > 0) {
    // One that is larger than any before it flies alone: it is the one that may be too large for the link.
    const isClear = [...flights].every(({ isWritten, bytes }) => isWritten && bytes <= carrier.sizing.proven);
    const mayLaunch = trouble === null && flights.size < 2 && isClear;
    if (mayLaunch && waiting.length > 0) {
      const count = howMany(waiting, carrier.sizing.next);
      flights.add(await launch(carrier, waiting.slice(0, count)));
      waiting = waiting.slice(count);
      continue;
    }
    await Promise.race([...flights].map((one) => (one.isWritten ? one.ended : one.written)));
    for (const flight of flights) {
      const { end, links: sent } = flight;
      if (end === null) continue;
      flights.delete(flight);
      if (end.is === 'through') breaks = 0;
      else waiting = [...sent, ...waiting];
      if (end.is === 'too-large' && sent.length === 1) trouble = { is: 'over', error: end.failure };
      else if (end.is === 'over' || (end.is === 'broken' && trouble === null)) trouble = end;
    }
    if (trouble === null || flights.size > 0) continue;
    if (trouble.is !== 'broken') throw trouble.error;
    const left = await recover(carrier, ++breaks, trouble.failure, waiting);
    if (left.length < waiting.length) breaks = 0;
    waiting = left;
    trouble = null;
  }
}

/** After a break: waits a moment, and asks the remote what has arrived. */
async function recover(carrier: Carrier, breaks: number, failure: Failure, waiting: Link[]): Promise<Link[]> {
  await afterBreak(carrier, breaks, failure);
  const there = await carrier.there();
  const arrived = waiting.filter(({ id }) => there?.has(id) === true);
  if (arrived.length === 0) return waiting;
  carrier.track.found(sum(arrived));
  carrier.through += 1;
  return waiting.filter((link) => !arrived.includes(link));
}

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

function howMany(links: readonly Link[], bytes: number): number {
  let count = 1;
  for (let all = links[0]?.bytes ?? 0; count < Math.min(links.length, mostLinks); count++) {
    all += links[count]?.bytes ?? 0;
    if (all > bytes) break;
  }
  return count;
}

async function launch(carrier: Carrier, links: Link[]): Promise<Flight> {
  for (const link of links) await writeLink(carrier.scratch, link.objects());
  const refs = nextPart(carrier);
  const moves = links.map(({ id }, n) => ({ ref: `${refs}.${n}`, old: null, next: id }));
  let onWritten = (): void => undefined;
  const written = new Promise<void>((resolve) => (onWritten = resolve));
  const bytes = sum(links);
  const sending = send(carrier, moves, bytes, { settings: forMedia, onWritten: () => onWritten() });
  const flight: Flight = { links, bytes, written, isWritten: false, ended: sending, end: null };
  flight.ended = sending.then((end) => (flight.end = end));
  flight.written = Promise.race([written, flight.ended]).then(() => (flight.isWritten = true));
  return flight;
}

/** The beginning of the next part's refs. */
export const nextPart = (carrier: Carrier): string => `${carrier.refs}.${++carrier.begun}`;

export async function writeLink(scratch: Scratch, { id, commit, treeId, tree }: LinkObjects): Promise<void> {
  await writeScratch(scratch, 'tree', treeId, tree);
  await writeScratch(scratch, 'commit', id, commit);
}

/** Sends one part, of about so many bytes. Never throws. */
export async function send(
  carrier: Carrier,
  moves: Move[],
  planned: number,
  { settings = [], onWritten }: { settings?: readonly string[]; onWritten?: () => void } = {},
): Promise<End> {
  const { ctx, track, limits, scratch } = carrier;
  const start = ctx.clock.monotonic();
  const part = carrier.begun;
  const told = ({ bytes, done }: Written) => {
    track.moving(part, bytes);
    if (done) onWritten?.();
  };
  try {
    const upload = { settings, env: { ...scratch.env } };
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
  row === 'busy' || (row === 'arrived-damaged' && !/missing necessary objects/.test(message));

const sum = (links: readonly Link[]): number => links.reduce((all, { bytes }) => all + bytes, 0);
