import { type FSWatcher, watch } from 'node:fs';
import * as fs from 'node:fs/promises';
import path from 'node:path';

/** Where there is no folder to watch, or the system is out of watches, it is looked after so long, and ever more seldom up to a minute, ms. */
const soonMs = 2000;
const seldomMs = 60_000;
/** Events get lost: it is looked so often in any case, ms. With 200 projects every minute took 0.1 % of a core. */
const anywayMs = 900_000;

/**
 * Calls `heard` a few ms after one of these files in a folder was made, written, touched or removed, or one of these folders made or
 * removed; what comes in a burst is told once. It goes on when the folder itself is swept away and made anew. Gives what ends it.
 */
export function listenIn(folder: string, names: readonly string[], heard: (name: string) => void): () => void {
  let over = false;
  let watcher: FSWatcher | null = null;
  let timer: NodeJS.Timeout | undefined;
  let waitMs = soonMs;
  let known = new Map<string, string>();
  let looking = Promise.resolve();

  const look = (tell: boolean): void => {
    looking = looking.then(async () => {
      const now = new Map<string, string>();
      for (const name of names) now.set(name, await marks(path.join(folder, name)));
      const before = known;
      known = now;
      if (!tell || over) return;
      const changed = names.filter((name) => now.get(name) !== before.get(name));
      // Gone with the folder, perhaps: that is not told as long as a file or a socket of it is open.
      if (changed.some((name) => now.get(name) === '')) attachSoon();
      for (const name of changed) heard(name);
    });
  };

  const attach = (): void => {
    if (over) return;
    watcher?.close();
    watcher = null;
    try {
      watcher = watch(folder, { persistent: false }, (_event, name) => {
        if (name === null || names.includes(name)) look(true);
        // The folder itself: it is gone, or another one has its name.
        if (name === path.basename(folder)) later();
      }).on('error', later);
      clearTimeout(timer);
      waitMs = soonMs;
      // What was done before the watch stood.
      look(true);
    } catch {
      later();
      waitMs = Math.min(2 * waitMs, seldomMs);
    }
  };
  const attachSoon = (): void => {
    clearTimeout(timer);
    timer = setTimeout(attach, waitMs).unref();
  };
  const later = (): void => {
    look(true);
    attachSoon();
  };

  look(false);
  attach();
  const anyway = setInterval(look, anywayMs, true).unref();
  return () => {
    over = true;
    clearInterval(anyway);
    clearTimeout(timer);
    watcher?.close();
  };
}

/** Changes with the file; empty where there is none. A folder that is only touched is the same: a lock is, by whoever has it. */
async function marks(file: string): Promise<string> {
  const stat = await fs.lstat(file, { bigint: true }).catch(() => null);
  if (stat?.isDirectory()) return `${stat.ino} ${stat.birthtimeNs}`;
  return stat === null ? '' : `${stat.ino} ${stat.mtimeNs} ${stat.size}`;
}
