import * as fs from 'node:fs/promises';
import path from 'node:path';
import { isSession, isTemporary, packageOf } from '../daw/match.ts';
import { isMedia } from '../daw/media.ts';
import type { DawProfile } from '../daw/profile.ts';
import type { FileStat } from '../model/save.ts';
import { ifMissing } from '../system/disk.ts';
import type { Kind, Looked } from './settle.ts';
import { openForWriting } from './writers.ts';

/** A file that differs from the last version. */
export interface Changed {
  path: string;
  staged: boolean;
}

/** Looks at the changed files: what they are, how they stand on the disk, and who is at them. */
export async function look(
  root: string,
  profile: DawProfile,
  changed: readonly Changed[],
  quietMs: number,
): Promise<Looked[]> {
  const kinds = changed.map(({ path: name, staged }) => ({ name, staged, kind: kindOf(profile, name) }));
  // What the user has staged by hand, other than a session, is theirs to commit.
  const ours = kinds.filter(({ kind, staged }) => kind === 'session' || !staged);
  const open = await openForWriting(new Set(ours.map(({ name }) => path.join(root, name))));
  const busy = await busyFolders(
    root,
    ours.filter(({ kind }) => kind === 'session').map(({ name }) => path.dirname(name)),
    quietMs,
  );
  const found: Looked[] = [];
  for (const { name, kind } of ours) {
    const stat = await statOf(path.join(root, name));
    if (stat === 'folder') continue; // a folder has taken the name of a file: its files are listed themselves
    found.push({
      path: name,
      kind,
      unit: packageOf(profile, name) ?? name,
      stat,
      open: open?.has(path.join(root, name)) ?? false,
      database: kind === 'session' && profile.database === true,
      busySibling: kind === 'session' && busy.has(path.dirname(name)),
    });
  }
  return found;
}

/** Without known session files (software that is not known) every file that is no media counts as one. */
function kindOf(profile: DawProfile, name: string): Kind {
  if (isSession(profile, name)) return 'session';
  if (isMedia(name)) return 'media';
  return profile.name === 'generic' && !name.startsWith('.') ? 'session' : 'other';
}

async function statOf(file: string): Promise<FileStat | null | 'folder'> {
  const stat = await fs.lstat(file, { bigint: true }).catch(ifMissing(null));
  if (stat === null) return null;
  return stat.isDirectory() ? 'folder' : { size: stat.size, mtimeNs: stat.mtimeNs, ino: stat.ino };
}

/** Folders in which a temporary file was written within the quiet time: a save is under way. One left behind by a crash is old. */
async function busyFolders(root: string, folders: string[], quietMs: number): Promise<Set<string>> {
  const busy = new Set<string>();
  for (const folder of new Set(folders)) {
    for (const name of await fs.readdir(path.join(root, folder)).catch(ifMissing([] as string[]))) {
      if (!isTemporary(name)) continue;
      const stat = await fs.lstat(path.join(root, folder, name)).catch(ifMissing(null));
      // A time in the future (a clock that was set back) must not hold a save for ever.
      const ageMs = stat === null ? Infinity : Math.abs(Date.now() - stat.mtimeMs);
      if (ageMs < quietMs) busy.add(folder);
    }
  }
  return busy;
}
