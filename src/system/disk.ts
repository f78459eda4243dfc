import { randomUUID } from 'node:crypto';
import { constants } from 'node:fs';
import * as fs from 'node:fs/promises';
import path from 'node:path';

/**
 * Writes a file whole: readers see the old bytes or the new ones, and once this returns the new ones survive a power
 * cut. (write-file-atomic and atomically flush the file, but not the folder that names it.)
 * `scratch`: a folder on the same disk for the bytes on their way, where what a killed process leaves is in nobody's way.
 */
export async function writeDurable(
  file: string,
  data: string | Uint8Array,
  mode = 0o644,
  scratch = path.dirname(file),
): Promise<void> {
  const folder = path.dirname(file);
  await fs.mkdir(folder, { recursive: true });
  const temporary = path.join(scratch, `.${randomUUID()}.tmp`);
  try {
    const handle = await fs.open(temporary, 'wx', mode);
    try {
      await handle.writeFile(data);
      await handle.sync();
    } finally {
      await handle.close();
    }
    await fs.rename(temporary, file);
  } catch (error) {
    await fs.rm(temporary, { force: true });
    throw error;
  }
  await syncFolder(folder);
}

/** Removes a file so that it stays removed after a power cut. A missing file is fine. */
export async function removeDurable(file: string): Promise<void> {
  await fs.rm(file, { force: true });
  await syncFolder(path.dirname(file));
}

/** Flushes a folder's names. Windows cannot open folders and needs no flush of them. */
async function syncFolder(folder: string): Promise<void> {
  if (process.platform === 'win32') return;
  const handle = await fs.open(folder, constants.O_RDONLY).catch(ifMissing(null));
  if (handle === null) return;
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

/** The file's text, or null where there is none. */
export async function readText(file: string): Promise<string | null> {
  return await fs.readFile(file, 'utf8').catch(ifMissing(null));
}

/** Is there something of that name (a broken link counts)? */
export async function exists(file: string): Promise<boolean> {
  return (await fs.lstat(file).catch(ifMissing(null))) !== null;
}

/** For `.catch()`: a missing file or folder becomes `value`; anything else is thrown on. */
export function ifMissing<T>(value: T): (error: unknown) => T {
  return (error) => {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'ENOENT' || code === 'ENOTDIR') return value;
    throw error;
  };
}
