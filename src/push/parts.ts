import type { Written } from '../git/progress.ts';
import type { Failure } from '../model/failures.ts';
import { afterBreak, type Carrier, type End, nextPart, send } from './carrier.ts';
import type { LinkObjects } from './links.ts';
import { type Scratch, writeScratch } from './scratch.ts';

/** A link on its way; its objects are made when it is its turn. */
export interface Link {
  id: string;
  bytes: number;
  objects: () => LinkObjects;
}

interface Flight {
  links: Link[];
  bytes: number;
  /** Resolves when it is time for the next one: all of it is written, or nearly so. */
  out: Promise<unknown>;
  isOut: boolean;
  ended: Promise<unknown>;
  end: End | null;
}

/** A link part's refs must fit a command line (32 KB on Windows). */
const mostLinks = 100;

/** Media as it is: nothing is searched, compressed or held in memory. */
const forMedia = ['pack.window=0', 'pack.compression=0', 'core.bigFileThreshold=1m'];

/** Pipes, git's own buffer and those of the network together hold no more, bytes. */
const bufferBytes = 32 * 2 ** 20;

/**
 * Puts all links on the remote, as many in one push as the time allows. While the remote makes sense of one part (it
 * indexes what it got) the next is on its way already: one after the other, so that a connection that resets costs one
 * part. False: the time was over before. Throws the failure that stopped it.
 */
export async function sendLinks(carrier: Carrier, links: readonly Link[]): Promise<boolean> {
  // One behind the other, the last and the first bytes of two parts would exceed a limit together.
  const lanes = carrier.ctx.settings.push.maxBytesPerSecond === null ? 2 : 1;
  let waiting = [...links];
  const flights = new Set<Flight>();
  let breaks = 0;
  let trouble: Extract<End, { is: 'broken' | 'over' }> | null = null;
  while (waiting.length > 0 || flights.size > 0) {
    const isLate = carrier.ctx.clock.monotonic() >= (carrier.until ?? Infinity);
    if (isLate && flights.size === 0) return false;
    const isClear = !isLate && flights.size < lanes && [...flights].every((flight) => hasLeft(carrier, flight));
    if (trouble === null && isClear && waiting.length > 0) {
      const part = waiting.slice(0, howMany(waiting, carrier.sizing.next));
      for (const link of part) await writeLink(carrier.scratch, link.objects());
      // Meanwhile the one before may have broken off: then this one is too large.
      if ([...flights].every(({ end }) => end === null || end.is === 'through')) {
        flights.add(launch(carrier, part, flights.size > 0));
        waiting = waiting.slice(part.length);
        continue;
      }
    }
    await Promise.race([...flights].map((one) => (one.isOut ? one.ended : one.out)));
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
  return true;
}

/** A part larger than any before it that fits the buffers on the way has not met the link yet, though all of it is written. */
const hasLeft = ({ sizing }: Carrier, { isOut, bytes }: Flight): boolean =>
  isOut && (bytes <= sizing.proven || bytes > bufferBytes);

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

function howMany(links: readonly Link[], bytes: number): number {
  let count = 1;
  for (let all = links[0]?.bytes ?? 0; count < Math.min(links.length, mostLinks); count++) {
    all += links[count]?.bytes ?? 0;
    if (all > bytes) break;
  }
  return count;
}

function launch(carrier: Carrier, links: Link[], apart: boolean): Flight {
  const refs = nextPart(carrier);
  const moves = links.map(({ id }, n) => ({ ref: `${refs}.${n}`, old: null, next: id }));
  const bytes = sum(links);
  const lead = nearlyWritten(carrier, bytes);
  const sending = send(carrier, moves, bytes, { settings: forMedia, apart, onWritten: lead.onWritten });
  const flight: Flight = { links, bytes, out: sending, isOut: false, ended: sending, end: null };
  flight.ended = sending.then((end) => (flight.end = end));
  flight.out = Promise.race([lead.reached, flight.ended]).then(() => (flight.isOut = true));
  return flight;
}

/**
 * Resolves when so little of a part is left to write that the next push, which takes a moment to connect, comes right behind
 * it.
 */
function nearlyWritten(
  carrier: Carrier,
  planned: number,
): { onWritten: (written: Written) => void; reached: Promise<void> } {
  const start = performance.now();
  let first: number | null = null;
  let timer: NodeJS.Timeout | undefined;
  let reach = (): void => undefined;
  const reached = new Promise<void>((resolve) => (reach = resolve));
  const onWritten = ({ bytes, done }: Written) => {
    const now = performance.now();
    if (first === null) carrier.setupMs = now - start;
    first ??= now;
    clearTimeout(timer);
    if (done) return reach();
    // Only near its end: it may also be near a break. Later than in two seconds, git says more before.
    const leftMs = ((planned - bytes) / bytes) * (now - first) - carrier.setupMs;
    if (bytes > 0.8 * planned && leftMs < 2000) timer = setTimeout(reach, leftMs).unref();
  };
  return { onWritten, reached };
}

export async function writeLink(scratch: Scratch, { id, commit, treeId, tree }: LinkObjects): Promise<void> {
  await writeScratch(scratch, 'tree', treeId, tree);
  await writeScratch(scratch, 'commit', id, commit);
}

const sum = (links: readonly Link[]): number => links.reduce((all, { bytes }) => all + bytes, 0);
