import type { Dirent } from 'node:fs';
import * as fs from 'node:fs/promises';
import path from 'node:path';
import { Readable } from 'node:stream';
import { FSWatcher } from 'chokidar';
import { isGenerated, isGeneratedFolder, isMedia, isSession } from '../daw/match.ts';
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
  const watcher = new FolderWatcher(
    {
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
    },
    (file) => isSession(profile, relative(file)),
  );
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
    // What may not be read is told by whoever wants to read it.
    if (code === 'EACCES' || code === 'EPERM') return;
    over = outOfWatches(code);
    failed(message, over);
    // Thousands of such errors would follow.
    if (over) void close(watcher);
  });
  watcher.add(root);
  return {
    close: async () => {
      over = true;
      await close(watcher);
    },
  };
}

type Listing = ReturnType<FSWatcher['_readdirp']>;

/**
 * chokidar reads a folder with an lstat of each file in it, at the start and again at every event: 10,000 takes made
 * 140 MB, and each flush of a take in a folder of thousands cost as many calls. Only folders and sessions are asked for
 * here; of all else the folder's own watch tells.
 */
class FolderWatcher extends FSWatcher {
  private readonly isWanted: (file: string) => boolean;

  constructor(options: ConstructorParameters<typeof FSWatcher>[0], isWanted: (file: string) => boolean) {
    super(options);
    this.isWanted = isWanted;
  }

  override _readdirp(folder: string, filters: Parameters<FSWatcher['_readdirp']>[1]): Listing {
    if (this.closed) return undefined;
    const stream = Readable.from(this.entries(folder, filters));
    this._streams.add(stream as NonNullable<Listing>);
    stream.once('close', () => this._streams.delete(stream as NonNullable<Listing>));
    return stream as Listing;
  }

  private async *entries(folder: string, filters: Parameters<FSWatcher['_readdirp']>[1]) {
    for (const found of await fs.readdir(folder, { withFileTypes: true }).catch(noEntries)) {
      // Of ten thousand takes not even a path is made.
      if (isMedia(found.name) && !found.isDirectory()) continue;
      const fullPath = path.join(folder, found.name);
      const isFolder = found.isDirectory();
      if (!isFolder && !(found.isFile() && this.isWanted(fullPath))) continue;
      const stats = await fs.lstat(fullPath).catch(() => null);
      if (stats === null) continue; // gone meanwhile
      const entry = { path: found.name, fullPath, basename: found.name, stats };
      const filter = isFolder ? filters?.directoryFilter : filters?.fileFilter;
      if (typeof filter !== 'function' || filter(entry)) yield entry;
    }
  }
}

/** A folder that is gone, or that may not be read, holds nothing to be watched. */
function noEntries(error: NodeJS.ErrnoException): Dirent[] {
  if (['ENOENT', 'ENOTDIR', 'EPERM', 'EACCES'].includes(error.code ?? '')) return [];
  throw error;
}

/** Git's folder and ours stir with every version that we make. */
const isForeign = (name: string): boolean => /(^|\/)\.git(\/|$)/.test(name) || /^\.oxenvcs(\/|$)/.test(name);

/** What the system itself said: the watched folder or file, and perhaps the name in it. */
function rawPath(name: string | null, details: { watchedPath?: string }): string {
  const watched = details.watchedPath ?? '';
  return name === null || path.basename(watched) === name ? watched : path.join(watched, name);
}

/** Is it of no use to go on watching? Pure. */
export const outOfWatches = (code: string | undefined): boolean =>
  code === 'ENOSPC' || code === 'EMFILE' || code === 'ENFILE';

async function close(watcher: FSWatcher): Promise<void> {
  await watcher.close();
}
