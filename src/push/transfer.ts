import * as fs from 'node:fs/promises';
import * as v from 'valibot';
import { type Project, statePath } from '../project/project.ts';
import { readRecord } from '../project/state.ts';
import type { Clock } from '../system/clock.ts';
import { isAlive } from '../system/process.ts';

/** How far a push is, as `status --json` shows it. */
export interface Transfer {
  /** Parts that are through, and all there will be as far as can be told. */
  part: number;
  parts: number;
  /** Of `bytesTotal` so many are on the remote or on their way, those of earlier tries too. What broke off is no more. */
  bytesSent: number;
  bytesTotal: number;
  bytesPerSecond: number;
  /** Null: it cannot be told yet. */
  etaMs: number | null;
}

export interface Tracker {
  /** All that the push is about, bytes, and how much of it the remote has from before, in how many parts. */
  begin(total: number, there: number, thereParts: number): void;
  /** A part in flight has so many of its bytes written. */
  moving(part: number, bytes: number): void;
  /** A part that was planned to be of so many bytes is through. */
  landed(part: number, planned: number): void;
  /** A part that was thought to have broken off is there. */
  found(planned: number): void;
  broken(part: number): void;
  /** How large parts are now. */
  size(bytes: number): void;
  end(): Promise<void>;
  /**
   * So many bytes the remote took from this process, with what is on its way now. Not those of a part that broke off: git
   * goes on to count, at full speed, what it then throws away.
   */
  sentBytes(): number;
}

/** The rate is that of the last so many ms. */
const windowMs = 8000;
/** Told no more often, ms. */
const tellMs = 500;

/** Follows a push; tells `onTransfer`, and `status` in another terminal by a small file. */
export function trackTransfer(
  project: Pick<Project, 'root'>,
  clock: Clock,
  onTransfer: (transfer: Transfer) => void = () => undefined,
): Tracker {
  let [total, there, parts, done, partBytes] = [0, 0, 0, 0, 1];
  let taken = 0; // bytes of parts that got through
  const flying = new Map<number, number>();
  const samples: { at: number; bytes: number }[] = [];
  let toldAt = clock.monotonic();
  const sentBytes = () => taken + sum(flying.values());
  const shown = (): Transfer => {
    const now = clock.monotonic();
    samples.push({ at: now, bytes: sentBytes() });
    while (samples.length > 2 && now - (samples[1]?.at ?? now) > windowMs) samples.shift();
    const first = samples[0] ?? { at: now, bytes: 0 };
    const rate = now > first.at ? ((sentBytes() - first.bytes) / (now - first.at)) * 1000 : 0;
    const sent = Math.min(total, there + done + sum(flying.values()));
    const left = total - sent;
    return {
      part: parts,
      parts: parts + Math.max(flying.size, Math.ceil((total - there - done) / partBytes)),
      bytesSent: sent,
      bytesTotal: total,
      bytesPerSecond: Math.round(rate),
      etaMs: left === 0 ? 0 : rate > 0 ? Math.round((left / rate) * 1000) : null,
    };
  };
  const tell = (now = false) => {
    if (total === 0 || (!now && clock.monotonic() - toldAt < tellMs)) return;
    toldAt = clock.monotonic();
    const transfer = shown();
    onTransfer(transfer);
    note(project, { v: 1, pid: process.pid, ...transfer });
  };
  return {
    begin(all, before, partsBefore) {
      [total, there, parts, done] = [all, before, partsBefore, 0];
      samples.length = 0;
    },
    moving(part, bytes) {
      flying.set(part, bytes);
      tell();
    },
    landed(part, planned) {
      const bytes = flying.get(part) ?? 0;
      flying.delete(part);
      taken += bytes;
      // What travels as deltas is less than was thought.
      total += bytes - planned;
      done += bytes;
      parts += 1;
      tell(true);
    },
    found(planned) {
      there += planned;
      taken += planned;
      parts += 1;
    },
    broken(part) {
      flying.delete(part);
      samples.length = 0;
      tell();
    },
    size(bytes) {
      partBytes = Math.max(1, bytes);
    },
    async end() {
      note(project, null);
      await writing;
    },
    sentBytes,
  };
}

const sum = (numbers: Iterable<number>): number => [...numbers].reduce((all, one) => all + one, 0);

const Noted = v.object({
  v: v.literal(1),
  pid: v.number(),
  part: v.number(),
  parts: v.number(),
  bytesSent: v.number(),
  bytesTotal: v.number(),
  bytesPerSecond: v.number(),
  etaMs: v.nullable(v.number()),
});

const file = (project: Pick<Project, 'root'>): string => statePath(project, 'transfer.json');
let writing = Promise.resolve();

/** Not flushed, and nobody waits for it: it is news for people, gone with the process. */
function note(project: Pick<Project, 'root'>, noted: v.InferOutput<typeof Noted> | null): void {
  const write = async () => {
    if (noted === null) return await fs.rm(file(project), { force: true });
    const temporary = `${file(project)}.${process.pid}`;
    await fs.writeFile(temporary, JSON.stringify(noted));
    await fs.rename(temporary, file(project));
  };
  writing = writing.then(write).catch(() => undefined); // a full disk is met where it matters
}

/** The push that is under way in some process of this project, or null. */
export async function transferStatus(project: Pick<Project, 'root'>): Promise<Transfer | null> {
  const read = await readRecord(project, file(project), Noted);
  if (read.state !== 'ok' || !isAlive(read.value.pid)) return null;
  const { part, parts, bytesSent, bytesTotal, bytesPerSecond, etaMs } = read.value;
  return { part, parts, bytesSent, bytesTotal, bytesPerSecond, etaMs };
}
