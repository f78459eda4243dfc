import * as fs from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { ifMissing, readText } from '../system/disk.ts';
import { isAlive } from '../system/process.ts';
import { programHasOpen } from '../system/processes.ts';
import { isGeneratedFolder, isSession } from '../daw/match.ts';
import type { DawProfile } from '../daw/profile.ts';

/**
 * Has somebody on this computer a session of the project open: does a process of the DAW have something of it open, or
 * does the DAW's own lock file say so?
 */
export async function isOpenHere(root: string, profile: DawProfile): Promise<boolean> {
  // Where the system does not tell, only the lock file counts.
  return ((await programHasOpen(profile.programs, root)) ?? false) || (await hasOpenMark(root, profile));
}

/** Looks in the project and one folder below it, where sessions lie. */
async function hasOpenMark(root: string, profile: DawProfile): Promise<boolean> {
  if (profile.openMark === undefined) return false;
  const entries = await fs.readdir(root, { withFileTypes: true }).catch(ifMissing([]));
  const folders = entries
    .filter((entry) => entry.isDirectory() && !entry.name.startsWith('.') && !isGeneratedFolder(profile, entry.name))
    .map(({ name }) => name);
  for (const folder of ['', ...folders])
    for (const name of await fs.readdir(path.join(root, folder)).catch(() => [])) {
      const session = markedSession(profile, name);
      if (session === null || !isSession(profile, path.posix.join(folder, session))) continue;
      // One that may not be read stands for a session that is open; one that is gone by now does not.
      const text = await readText(path.join(root, folder, name)).catch(() => '');
      if (text !== null && saysOpen(text)) return true;
    }
  return false;
}

/** The session that a lock file of this name is about; null: it is none. */
function markedSession({ openMark }: DawProfile, name: string): string | null {
  const [before = '', after = ''] = openMark?.split('NAME') ?? [];
  const isMark = name.startsWith(before) && name.endsWith(after) && name.length > before.length + after.length;
  return isMark ? name.slice(before.length, name.length - after.length) : null;
}

/**
 * What stands in a lock file: Qt's has lines of process, program and host, LibreOffice's has `,user,host,date,…;`. One that
 * a crash has left behind, or that another computer has put on a share, does not count; one that cannot be read does.
 */
export function saysOpen(text: string, host = os.hostname(), alive: (pid: number) => boolean = isAlive): boolean {
  const qt = /^(\d+)\n[^\n]*\n([^\n]*)\n/.exec(text);
  if (qt) return qt[2] === host && alive(Number(qt[1]));
  const office = /^[^,\n]*,[^,\n]*,([^,\n]*),/.exec(text);
  return office === null || office[1] === host;
}
