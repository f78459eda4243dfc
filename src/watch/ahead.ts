import type { Captured, FileStat, Settled } from '../model/save.ts';
import { sameStat } from '../system/stat.ts';

type Capture = (path: string, stat: FileStat) => Promise<Captured | 'moved'>;

export interface Ahead {
  /** These are about to settle: their bytes are stored while the last of the quiet time passes. What is not among them any more is forgotten. */
  begin(files: readonly Settled[]): void;
  /** What was stored ahead of a file that now lies just so, else it is stored now. */
  take(file: Settled): Promise<Captured | 'moved'>;
}

/**
 * Storing 5 MB takes 80 ms, most of what a save cost from its settling to its version. So it is begun before: what was
 * stored counts only if the file still lies as it did then, once it has settled.
 */
export function captureAhead(capture: Capture): Ahead {
  let begun = new Map<string, { stat: FileStat; stored: ReturnType<Capture> }>();
  /** One after the other: the DAW's own work goes first. */
  let last: Promise<unknown> = Promise.resolve();

  const start = ({ path, stat }: Settled) => {
    // Whatever goes wrong comes again, and is told, when it is taken.
    const stored = last.then(async () => await capture(path, stat)).catch(() => 'moved' as const);
    last = stored;
    return { stat, stored };
  };

  return {
    begin(files) {
      const before = begun;
      begun = new Map();
      for (const file of files) {
        const old = before.get(file.path);
        begun.set(file.path, old !== undefined && sameStat(old.stat, file.stat) ? old : start(file));
      }
    },
    async take({ path, stat }) {
      const found = begun.get(path);
      const stored = found !== undefined && sameStat(found.stat, stat) ? await found.stored : 'moved';
      return stored === 'moved' ? await capture(path, stat) : stored;
    },
  };
}
