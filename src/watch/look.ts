import * as fs from 'node:fs/promises';
import path from 'node:path';
import { isDatabase, isGenerated, isSession, isTemporary } from '../daw/match.ts';
import { isMedia } from '../daw/media.ts';
import type { DawProfile } from '../daw/profile.ts';
import type { FileStat } from '../model/save.ts';
import { exists } from '../system/disk.ts';
import { isMovedAway, statAll } from '../system/stat.ts';
import { openForWriting } from '../system/writers.ts';

/** A file that git calls different from HEAD. */
export interface Difference {
  path: string;
  status: 'modified' | 'added' | 'deleted';
  /** The user has staged exactly this, and not changed it since. */
  staged: boolean;
}

/**
 * Those that are ours to follow. What the user has staged by hand, other than a session, is theirs to commit; what is
 * generated and was never committed is nobody's, should the ignore lines be missing.
 */
export const worthFollowing = (profile: DawProfile, differences: readonly Difference[]): Difference[] =>
  differences.filter(({ path, status, staged }) => {
    if (status === 'added' && isGenerated(profile, path)) return false;
    return !staged || isSession(profile, path);
  });

/** Takes that the user has staged by hand: a version that is made meanwhile does not have them, and is not complete. */
export const stagedTakes = (profile: DawProfile, differences: readonly Difference[]): string[] =>
  differences.flatMap(({ path, status, staged }) =>
    staged && status !== 'deleted' && isMedia(path) && !isSession(profile, path) ? [path] : [],
  );

/** How these files lie now. A new file that is gone again differs in nothing; nor does what was moved away into a cloud. */
export async function lookAt(
  root: string,
  differences: readonly Difference[],
  platform = process.platform,
): Promise<Map<string, FileStat | null>> {
  const stats = await statAll(
    root,
    differences.map(({ path }) => path),
  );
  for (const { path, status } of differences) {
    const stat = stats.get(path) ?? null;
    const isNoSave =
      stat === null ? status === 'added' || (await hasPlaceholder(root, path)) : isMovedAway(stat, platform);
    if (isNoSave) stats.delete(path);
  }
  return stats;
}

/** Has iCloud (before macOS 14) put a placeholder in its place, to make room? That is no deletion: it comes back when somebody opens it. */
const hasPlaceholder = async (root: string, name: string): Promise<boolean> =>
  await exists(path.join(root, path.dirname(name), `.${path.basename(name)}.icloud`));

/** Temporary files in the folders of these sessions: one of them may be about to take a session's place. */
export async function temporaryBeside(
  root: string,
  profile: DawProfile,
  paths: Iterable<string>,
): Promise<Map<string, FileStat>> {
  const folders = new Set<string>();
  for (const name of paths) if (isSession(profile, name)) folders.add(path.posix.dirname(name));
  const found: string[] = [];
  for (const folder of folders) {
    const names = await fs.readdir(path.join(root, folder)).catch(() => []);
    found.push(...names.filter(isTemporary).map((name) => path.posix.join(folder, name)));
  }
  const stats = new Map<string, FileStat>();
  for (const [name, stat] of await statAll(root, found)) if (stat !== null) stats.set(name, stat);
  return stats;
}

/** Which of these are open for writing, by anybody. */
export async function openNow(root: string, paths: readonly string[]): Promise<ReadonlySet<string>> {
  const open = await openForWriting(root, paths);
  return open === 'unknown' ? await openByJournal(root, paths) : open;
}

/**
 * Where the system does not tell who has a file open: of a database its journal tells, which is empty or gone while
 * nobody has it open (after a crash it is a leftover, and the version waits until the DAW has been started once more).
 */
export async function openByJournal(root: string, paths: readonly string[]): Promise<Set<string>> {
  const databases = paths.filter(isDatabase);
  const journals = await statAll(
    root,
    databases.map((name) => `${name}-wal`),
  );
  return new Set(databases.filter((name) => (journals.get(`${name}-wal`)?.size ?? 0n) > 0n));
}
