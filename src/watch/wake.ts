import path from 'node:path';
import { type FSWatcher, watch } from 'chokidar';
import { isGenerated, isGeneratedFolder, isSession } from '../daw/match.ts';
import type { DawProfile } from '../daw/profile.ts';

export interface WakePorts {
  root: string;
  profile: DawProfile;
  /** Something was written at this path; null: somewhere. It may have come late, or stand for several. */
  stirred: (path: string | null) => void;
  /** The system cannot tell of everything; `blind`: of nothing any more. */
  failed: (reason: string, blind: boolean) => void;
}

/**
 * Wakes the watcher when the system tells that something was written. Only folders and sessions are watched: a folder's
 * watch tells of the media in it, and a watch for each take would run the system out of them. Events get lost, so
 * nothing else may rest on them.
 */
export function startWake({ root, profile, stirred, failed }: WakePorts): { close: () => Promise<void> } {
  const relative = (file: string) => path.relative(root, file).split(path.sep).join('/');
  const watcher = watch(root, {
    ignored: (file, stats) => {
      const name = relative(file);
      if (name === '') return false;
      if (isForeign(name) || isGenerated(profile, name)) return true;
      if (stats === undefined) return false;
      return stats.isDirectory() ? isGeneratedFolder(profile, name) : !stats.isFile() || !isSession(profile, name);
    },
    ignoreInitial: true,
    followSymlinks: false,
    // It would ignore names that end in `~` and hold back deletions.
    atomic: false,
  });
  let over = false;
  const heard = (name: string) => {
    const generated = isGenerated(profile, name) || isGeneratedFolder(profile, name);
    if (!over && !isForeign(name) && !generated) stirred(name);
  };
  watcher.on('all', (_event, file) => heard(relative(file)));
  watcher.on('raw', (_event, file, details) => heard(relative(rawPath(file, details as { watchedPath?: string }))));
  // What was written before its folder was being watched was not told.
  watcher.on('ready', () => !over && stirred(null));
  watcher.on('error', (error) => {
    if (over) return;
    const { code, message } = error as NodeJS.ErrnoException;
    over = outOfWatches(code);
    failed(message, over);
    // Thousands of such errors would follow.
    if (over) void close(watcher);
  });
  return {
    close: async () => {
      over = true;
      await close(watcher);
    },
  };
}

/** Git's folder and ours stir with every version that we make. */
const isForeign = (name: string): boolean =>
  /(^|\/)\.git(\/|$)/.test(name) || (/^\.oxenvcs(\/|$)/.test(name) && name !== '.oxenvcs/config.json');

/** What the system itself said: the watched folder or file, and perhaps the name in it. */
function rawPath(name: string | null, details: { watchedPath?: string }): string {
  const watched = details.watchedPath ?? '';
  return name === null || path.basename(watched) === name ? watched : path.join(watched, name);
}

const outOfWatches = (code: string | undefined): boolean => code === 'ENOSPC' || code === 'EMFILE' || code === 'ENFILE';

async function close(watcher: FSWatcher): Promise<void> {
  await watcher.close();
}
