import path from 'node:path';
import { watch as chokidar } from 'chokidar';
import { isGenerated, isGeneratedFolder } from '../daw/match.ts';
import type { DawProfile } from '../daw/profile.ts';

export interface Wake {
  /** Resolves when something may have changed, or after `ms`. */
  next(ms: number, signal: AbortSignal): Promise<'event' | 'time'>;
  close(): Promise<void>;
}

/**
 * File events only wake us: they come late, double, or not at all (of two writes 20 ms apart the second had no event in
 * 59 of 60 trials), so what has changed is found by looking. `onTrouble` is told once when events cannot be relied on
 * (no more inotify watches, a network drive); then the regular scan alone serves.
 */
export async function watchEvents(root: string, profile: DawProfile, onTrouble: (error: Error) => void): Promise<Wake> {
  let waiting: (() => void) | null = null;
  let happened = false;
  const ring = (): void => {
    happened = true;
    waiting?.();
  };
  let troubled = false;
  const watcher = chokidar(root, {
    ignoreInitial: true,
    followSymlinks: false,
    ignored: (file, stats) =>
      isIgnored(path.relative(root, file).split(path.sep).join('/'), profile, stats?.isDirectory()),
  });
  watcher.on('all', ring).on('error', (error) => {
    ring();
    if (!troubled) onTrouble(error instanceof Error ? error : new Error(JSON.stringify(error)));
    troubled = true;
  });
  await new Promise<void>((ready) => watcher.once('ready', ready));
  return {
    async next(ms, signal) {
      if (!happened && !signal.aborted) await pause(ms, signal, (wake) => (waiting = wake));
      waiting = null;
      const why = happened ? 'event' : 'time';
      happened = false;
      return why;
    },
    close: async () => await watcher.close(),
  };
}

async function pause(ms: number, signal: AbortSignal, onWake: (wake: () => void) => void): Promise<void> {
  await new Promise<void>((resolve) => {
    const timer = setTimeout(done, Math.min(ms, 2_147_483_647));
    function done(): void {
      clearTimeout(timer);
      signal.removeEventListener('abort', done);
      resolve();
    }
    signal.addEventListener('abort', done);
    onWake(done);
  });
}

/** Without stats it is not known yet whether it is a folder. */
function isIgnored(relative: string, profile: DawProfile, folder: boolean | undefined): boolean {
  const [top] = relative.split('/');
  if (top === '.git' || (top === '.oxenvcs' && relative !== '.oxenvcs')) return true;
  if (relative === '') return false;
  return folder === true ? isGeneratedFolder(profile, relative) : folder === false && isGenerated(profile, relative);
}
