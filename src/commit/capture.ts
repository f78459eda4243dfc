import * as fs from 'node:fs/promises';
import path from 'node:path';
import { gitLine } from '../git/run.ts';
import type { Captured, FileStat } from '../model/save.ts';
import { ifMissing } from '../system/disk.ts';

/**
 * Puts the bytes of a settled file into the object store, through Git's filters, so that the version holds them whatever
 * the DAW writes next. `moved`: it changed while it was read, or is not what `settled` saw any more.
 */
export async function capture(root: string, name: string, settled: FileStat): Promise<Captured | 'moved'> {
  const file = path.join(root, name);
  const before = await fs.lstat(file, { bigint: true }).catch(ifMissing(null));
  if (before === null || !sameStat(before, settled)) return 'moved';
  if (before.isSymbolicLink()) {
    const input = await fs.readlink(file, { encoding: 'buffer' });
    return {
      path: name,
      mode: '120000',
      oid: await gitLine(root, ['hash-object', '-w', '--no-filters', '--stdin'], { input }),
    };
  }
  const oid = await gitLine(root, ['hash-object', '-w', '--', name]).catch(async (error: unknown) => {
    // A file that shrinks or vanishes under git makes it fail; anything else is a real failure.
    if (await unchanged(file, settled)) throw error;
    return null;
  });
  if (oid === null || !(await unchanged(file, settled))) return 'moved';
  return { path: name, mode: (before.mode & 0o100n) === 0n ? '100644' : '100755', oid };
}

const unchanged = async (file: string, settled: FileStat): Promise<boolean> => {
  const now = await fs.lstat(file, { bigint: true }).catch(ifMissing(null));
  return now !== null && sameStat(now, settled);
};

export const sameStat = (a: FileStat, b: FileStat): boolean =>
  a.size === b.size && a.mtimeNs === b.mtimeNs && a.ino === b.ino;
