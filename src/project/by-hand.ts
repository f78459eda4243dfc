import { unwatchFile, watchFile } from 'node:fs';
import * as fs from 'node:fs/promises';
import { type Project, statePath } from './project.ts';

/** Often enough for somebody who waits for their commit to be published, and nothing for a disk: one lstat, ms. */
const everyMs = 1000;

/**
 * Hears when something was done by hand: the hooks touch `.oxenvcs/state/bell` after a commit, a checkout, a merge or a
 * rebase. Looked at from time to time, since that works on every disk and cannot run out. Gives what ends it.
 */
export function hearByHand(project: Pick<Project, 'root'>, heard: () => void): () => void {
  const bell = statePath(project, 'bell');
  const look = ({ mtimeMs }: { mtimeMs: number }, before: { mtimeMs: number }) => {
    // Zero: it is not there (yet, or any more).
    if (mtimeMs !== 0 && mtimeMs !== before.mtimeMs) heard();
  };
  watchFile(bell, { interval: everyMs, persistent: false }, look);
  return () => unwatchFile(bell, look);
}

/** Tells whoever hears it: as the hooks do. */
export async function tellByHand(project: Pick<Project, 'root'>): Promise<void> {
  // Only news: where it cannot be written the watcher finds it at its next look.
  await fs.writeFile(statePath(project, 'bell'), '').catch(() => undefined);
}
