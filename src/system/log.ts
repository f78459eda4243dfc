import * as fs from 'node:fs/promises';
import path from 'node:path';
import { ifMissing } from './disk.ts';

/** A log file that does not grow for ever: at `maxBytes` it becomes `NAME.1`, the one before `NAME.2`, and older ones go. */

const maxBytes = 1_048_576;
const kept = 2;

export interface Log {
  /** One line, with the time in front. Written in the background, in order. */
  write(line: string): void;
  /** All that was said so far is in the file, or never will be. */
  written(): Promise<void>;
}

/** `now`: wall clock, ms. The folder is made when the first line is written. */
export function openLog(file: string, now: () => number = Date.now): Log {
  let writing: Promise<void> = Promise.resolve();
  const append = async (text: string): Promise<void> => {
    const size = (await fs.stat(file).catch(ifMissing(null)))?.size ?? 0;
    if (size + text.length > maxBytes && size > 0) await rotate(file);
    await fs.mkdir(path.dirname(file), { recursive: true });
    await fs.appendFile(file, text, { mode: 0o600 });
  };
  return {
    write(line) {
      const text = `${new Date(now()).toISOString()}  ${line.replace(/\p{Cc}+/gu, ' ')}\n`;
      // A full disk takes the words and not the work.
      writing = writing.then(async () => await append(text)).catch(() => undefined);
    },
    written: async () => await writing,
  };
}

async function rotate(file: string): Promise<void> {
  for (let n = kept; n > 0; n--)
    await fs.rename(n === 1 ? file : `${file}.${n - 1}`, `${file}.${n}`).catch(ifMissing(undefined));
}

/** The last lines, of the file before this one too where this one has too few; none where nothing was written. */
export async function lastLines(file: string, count: number): Promise<string[]> {
  const lines = async (of: string) => (await fs.readFile(of, 'utf8').catch(ifMissing(''))).split('\n').slice(0, -1);
  const now = await lines(file);
  return (now.length < count ? [...(await lines(`${file}.1`)), ...now] : now).slice(-count);
}

/** What is written from now on, as it comes, over rotations. `wait`: between two looks. */
export async function followLog(
  file: string,
  onLine: (line: string) => void,
  wait: () => Promise<void>,
  signal: AbortSignal,
): Promise<void> {
  const stat = async (of: string) => await fs.stat(of).catch(ifMissing(null));
  const start = await stat(file);
  let [ino, offset, rest] = [start?.ino, start?.size ?? 0, ''];
  const readOn = async (of: string) => {
    const text = await textFrom(of, offset);
    offset += text.length;
    // A line that is half written is told when it is whole.
    const lines = (rest + text.toString('utf8')).split('\n');
    rest = lines.pop() ?? '';
    for (const line of lines) onLine(line);
  };
  while (!signal.aborted) {
    const now = await stat(file);
    if (now !== null && (now.ino !== ino || now.size < offset)) {
      // What was still written to the one before, after the last look.
      if (now.ino !== ino && (await stat(`${file}.1`))?.ino === ino) await readOn(`${file}.1`);
      [ino, offset] = [now.ino, 0];
    }
    if (now !== null && now.size > offset) await readOn(file);
    await wait();
  }
}

async function textFrom(file: string, offset: number): Promise<Buffer> {
  const handle = await fs.open(file);
  try {
    const size = Math.max(0, (await handle.stat()).size - offset);
    const { buffer, bytesRead } = await handle.read(Buffer.alloc(size), 0, size, offset);
    return buffer.subarray(0, bytesRead);
  } finally {
    await handle.close();
  }
}
