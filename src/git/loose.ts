import { createHash } from 'node:crypto';
import * as fs from 'node:fs/promises';
import path from 'node:path';
import { deflateSync } from 'node:zlib';
import { exists, flushFolder, writeFlushed } from '../system/disk.ts';
import { placeOf } from './place.ts';

/**
 * Small objects, put into the repository as git itself would, but without a process (3 ms each): the records of the lock
 * are made while somebody waits.
 */

type Type = 'commit' | 'tree';

/** The id that an object has in this repository. */
export async function objectId(root: string, type: Type, body: string): Promise<string> {
  const { hash } = await placeOf(root);
  return createHash(hash).update(whole(type, body)).digest('hex');
}

/** Writes an object, unless it is there, and gives its id. When this returns, it is on the disk. */
export async function writeObject(root: string, type: Type, body: string): Promise<string> {
  const { id, flushed } = await putObject(root, type, body);
  await flushed;
  return id;
}

/**
 * The same, in two steps: when this returns, others can read it; when `flushed` does, it survives a power cut. Before that
 * its bytes may be lost whole, never in part.
 */
export async function putObject(
  root: string,
  type: Type,
  body: string,
): Promise<{ id: string; flushed: Promise<void> }> {
  const objects = path.join((await placeOf(root)).common, 'objects');
  const id = await objectId(root, type, body);
  const folder = path.join(objects, id.slice(0, 2));
  const file = path.join(folder, id.slice(2));
  const isNew = await makeFolder(folder);
  if (isNew || !(await exists(file))) await writeFlushed(file, deflateSync(whole(type, body)), 0o444, objects);
  const flushed = Promise.all([flushFolder(folder), isNew ? flushNew(folder, objects) : null]).then(() => undefined);
  flushed.catch(() => undefined); // it is told to whoever waits for it
  return { id, flushed };
}

function whole(type: Type, body: string): Buffer {
  const bytes = Buffer.from(body);
  return Buffer.concat([Buffer.from(`${type} ${bytes.length}\0`), bytes]);
}

/** Is it new? */
async function makeFolder(folder: string): Promise<boolean> {
  try {
    await fs.mkdir(folder);
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false;
    throw error;
  }
}

/** With the rights of the folder around it: several people may share the repository. */
async function flushNew(folder: string, around: string): Promise<void> {
  await fs.chmod(folder, (await fs.stat(around)).mode & 0o7777);
  await flushFolder(around);
}
