import type { BigIntStats } from 'node:fs';
import * as fs from 'node:fs/promises';
import path from 'node:path';
import type { FileStat } from '../model/save.ts';
import { ifMissing } from './disk.ts';

/** Disks keep times by 10 ms, or by 2 s (FAT): what was written so lately may be written again under the same time, ms. */
const coarseMs = 2500;

/** May a change that comes now go unseen, by the time that is told of the last one (ms since 1970)? Also of one to come. */
export const isFresh = (mtimeMs: number, now = Date.now()): boolean => Math.abs(now - mtimeMs) < coarseMs;

/** What tells that a file has changed, without following links; null where there is none, or only a folder. */
export async function statOf(file: string): Promise<BigIntStats | null> {
  const stat = await fs.lstat(file, { bigint: true }).catch(ifMissing(null));
  return stat === null || stat.isDirectory() ? null : stat;
}

/** `blocks`: of 512 bytes, that it takes on the disk. */
type Lying = FileStat & { blocks: bigint };

/** `statOf` of many files below `root`, 64 at a time. */
export async function statAll(root: string, paths: readonly string[]): Promise<Map<string, Lying | null>> {
  const found = new Map<string, Lying | null>();
  for (let i = 0; i < paths.length; i += 64)
    await Promise.all(
      paths.slice(i, i + 64).map(async (name) => {
        const stat = await statOf(path.join(root, name));
        found.set(name, stat && { size: stat.size, mtimeNs: stat.mtimeNs, ino: stat.ino, blocks: stat.blocks });
      }),
    );
  return found;
}

/**
 * Have its bytes been moved away into a cloud (iCloud's dataless files, OneDrive's placeholders), so that to read it would
 * fetch them? Node tells no flags, but such a file has its size and takes no room. On Windows neither does one that is small
 * enough to lie in the file table itself. On Linux it is one that has holes only, and nothing is known that moves files away.
 */
export function isMovedAway({ size, blocks }: Pick<Lying, 'size' | 'blocks'>, platform = process.platform): boolean {
  if (platform === 'linux') return false;
  return blocks === 0n && size > (platform === 'win32' ? 4096n : 0n);
}

/** Is it still the same file with the same bytes, as far as lstat can tell? */
export function sameStat(a: FileStat | null, b: FileStat | null): boolean {
  if (a === null || b === null) return a === b;
  return a.size === b.size && a.mtimeNs === b.mtimeNs && a.ino === b.ino;
}

/** Those of these files below `root` that we have no right to read. */
export async function unreadableAmong(root: string, paths: readonly string[]): Promise<string[]> {
  const found: string[] = [];
  for (const name of paths)
    await fs.access(path.join(root, name), fs.constants.R_OK).catch((error: NodeJS.ErrnoException) => {
      if (error.code === 'EACCES' || error.code === 'EPERM') found.push(name);
    });
  return found;
}
