import * as fs from 'node:fs/promises';
import path from 'node:path';
import * as v from 'valibot';
import { remoteKey } from '../git/redact.ts';
import type { Code, Failure } from '../model/failures.ts';
import { isoTime } from '../system/clock.ts';
import { ifMissing, readText } from '../system/disk.ts';

/**
 * A log of what was tried on the network, one line a try, in `.oxenvcs/state/`: what `net stats` tells from. It is not
 * flushed and not whole after a power cut, since nothing rests on it; and it is no larger than two files of `maxBytes`.
 */

const schema = v.object({
  v: v.literal(1),
  at: v.string(),
  /** Which remote: see `remoteKey`. */
  remote: v.string(),
  /** `push`, `pull`, `lock`, `check`… */
  op: v.string(),
  ms: v.pipe(v.number(), v.minValue(0)),
  /** Null: the remote answered. */
  failure: v.nullable(v.object({ code: v.string(), reason: v.string() })),
  /** It was tried again after so long, ms; null: not by itself. */
  retryMs: v.nullable(v.number()),
});

export type Line = v.InferOutput<typeof schema>;

/** One try of an operation, as it ended. */
export interface Tried {
  op: string;
  /** When it ended, ms since 1970. */
  at: number;
  ms: number;
  failure: Failure | null;
  retryMs: number | null;
}

/** Some 400 tries, bytes. */
const maxBytes = 65_536;

const fileIn = (root: string): string => path.join(root, '.oxenvcs', 'state', 'network.jsonl');
const olderIn = (root: string): string => path.join(root, '.oxenvcs', 'state', 'network.old.jsonl');

/** Writes one try down. What is no matter of the network is left out. Never throws: nothing may fail for want of a note. */
export async function noteTry(root: string, url: string, tried: Tried): Promise<void> {
  const answered = answeredWith(tried.failure);
  if (answered === null) return;
  const { op, at, failure, retryMs } = tried;
  const line: Line = {
    v: 1,
    at: isoTime(at),
    remote: remoteKey(url),
    op,
    ms: Math.round(tried.ms),
    failure: answered || failure === null ? null : { code: failure.code, reason: reasonOf(failure).slice(0, 200) },
    retryMs: retryMs === null ? null : Math.round(retryMs),
  };
  await append(root, `${JSON.stringify(line)}\n`).catch(() => undefined);
}

/** The tries with this remote that are still known, oldest first. Lines that nobody can read are left out. */
export async function readTries(root: string, url: string): Promise<Line[]> {
  const key = remoteKey(url);
  const text = `${(await readText(olderIn(root))) ?? ''}\n${(await readText(fileIn(root))) ?? ''}`;
  return text.split('\n').flatMap((line) => {
    const parsed = v.safeParse(v.pipe(v.string(), v.parseJson(), schema), line);
    return parsed.success && parsed.output.remote === key ? [parsed.output] : [];
  });
}

/** Has this very remote ever answered, as far as is known? */
export const hasAnswered = async (root: string, url: string): Promise<boolean> =>
  (await readTries(root, url)).some(({ failure }) => failure === null);

const answers: readonly Code[] = ['LOCK_HELD', 'LOCK_LOST', 'STALE_BASE', 'CONFLICT'];
const troubles: readonly Code[] = ['OFFLINE', 'AUTH', 'REMOTE_REFUSED', 'CONFIG_INVALID'];

/** Did the remote answer as it should? `false`: the network, or the remote itself, failed. Null: it is not about them. */
function answeredWith(failure: Failure | null): boolean | null {
  if (failure === null || answers.includes(failure.code)) return true;
  return troubles.includes(failure.code) ? false : null;
}

/** In one clause: `Failed to connect to band.example port 443`. */
export function reasonOf({ row, details, message }: Failure): string {
  const isPlain = row === 'offline' || row === 'remote-unclear';
  return isPlain && typeof details['detail'] === 'string' ? details['detail'] : message.replace(/\.$/, '');
}

async function append(root: string, line: string): Promise<void> {
  const file = fileIn(root);
  const size = (await fs.stat(file).catch(ifMissing(null)))?.size ?? 0;
  // Two processes may both do so: then a few tries are forgotten.
  if (size > maxBytes) await fs.rename(file, olderIn(root)).catch(ifMissing(undefined));
  const write = async () => await fs.appendFile(file, line);
  await write().catch(async (error: NodeJS.ErrnoException) => {
    if (error.code !== 'ENOENT') throw error;
    // Never the project's own folder: on a disk that was unplugged it would be in the way.
    for (const folder of [path.dirname(path.dirname(file)), path.dirname(file)])
      await fs.mkdir(folder).catch((made: NodeJS.ErrnoException) => {
        if (made.code !== 'EEXIST') throw made;
      });
    await write();
  });
}
