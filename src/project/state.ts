import * as fs from 'node:fs/promises';
import path from 'node:path';
import * as v from 'valibot';
import { Failure } from '../model/failures.ts';
import { flushFolder, ifMissing, makeFolderIn, readText, writeFlushed } from '../system/disk.ts';
import { isFresh } from '../system/stat.ts';
import type { Project } from './project.ts';

/**
 * This machine's own records: JSON with a version, written whole and flushed, checked when read. One that is damaged is
 * set aside under `.oxenvcs/damaged/` and reported, never a crash.
 */

export type Read<T> =
  | { state: 'ok'; value: T }
  | { state: 'missing' }
  | { state: 'damaged'; movedTo: string; reason: string };

/** Reads and checks one record. A damaged one is moved away; what it was can be rebuilt from Git and the remote. */
export async function readRecord<S extends v.GenericSchema>(
  project: Pick<Project, 'root'>,
  file: string,
  schema: S,
): Promise<Read<v.InferOutput<S>>> {
  const text = await readText(file);
  if (text === null) return { state: 'missing' };
  let reason: string;
  try {
    const result = v.safeParse(schema, JSON.parse(text));
    if (result.success) return { state: 'ok', value: result.output };
    reason = `${v.getDotPath(result.issues[0]) ?? 'it'}: ${result.issues[0].message}`;
  } catch (error) {
    reason = (error as Error).message;
  }
  return { state: 'damaged', movedTo: await setAside(project, file), reason };
}

/** Records that are asked for each minute, as they were read last. */
const kept = new Map<string, { mark: string; read: Read<unknown> }>();

/** The same for a record that is asked for again and again: it is not read anew as long as its file lies as it did. Not to be changed. */
export async function readKept<S extends v.GenericSchema>(
  project: Pick<Project, 'root'>,
  file: string,
  schema: S,
): Promise<Read<v.InferOutput<S>>> {
  const stat = await fs.lstat(file, { bigint: true }).catch(() => null);
  const mark = stat === null ? '' : `${stat.ino} ${stat.size} ${stat.mtimeNs} ${stat.ctimeNs}`;
  const last = kept.get(file);
  if (last !== undefined && last.mark === mark) return last.read;
  const read = await readRecord(project, file, schema);
  kept.delete(file);
  if (read.state === 'ok' && stat !== null && !isFresh(Number(stat.mtimeMs))) kept.set(file, { mark, read });
  return read;
}

/** Writes one record; once this returns it survives a power cut. Throws what `makeFolder` throws. */
export async function writeRecord(file: string, value: object): Promise<void> {
  const folder = path.dirname(file);
  const write = async () => {
    await makeFolder(folder);
    await writeFlushed(file, Buffer.from(`${JSON.stringify(value)}\n`), 0o644, folder);
  };
  await write().catch(async (error: NodeJS.ErrnoException) => {
    // Swept away in this very moment; or the project is, and is not made anew.
    if (error.code !== 'ENOENT') throw error;
    await write();
  });
  await flushFolder(folder);
}

/**
 * Makes a folder for records, and `.oxenvcs` around it, but never the project itself: under the name of a disk that was
 * unplugged the system would find that folder in its way when the disk comes back. Throws `folder-vanished`.
 */
export async function makeFolder(folder: string): Promise<void> {
  if ((await fs.stat(folder).catch(() => null))?.isDirectory()) return;
  const around = path.dirname(folder);
  for (const one of [around, folder])
    await fs.mkdir(one).catch(async (error: NodeJS.ErrnoException) => {
      if (error.code === 'ENOENT') throw new Failure('folder-vanished', { dir: path.dirname(around) }, error);
      if (error.code !== 'EEXIST') throw error;
      if ((await fs.stat(one)).isDirectory()) return;
      // Somebody's file in its place.
      await setAside({ root: path.dirname(around) }, one);
      await fs.mkdir(one, { recursive: true });
    });
}

/** An hour, ms: whoever wrote it has long ended. */
const leftoverMs = 3_600_000;

/** Removes what processes that were killed, and hooks, have left half written where our records are. `now`: ms since 1970. */
export async function removeHalfWritten(
  { root, gitDir }: Pick<Project, 'root' | 'gitDir'>,
  now: number,
): Promise<void> {
  const folders = [
    ...['queue', 'state'].map((name) => path.join(root, '.oxenvcs', name)),
    path.join(gitDir, 'oxenvcs'),
  ];
  for (const folder of folders) {
    const names = await fs.readdir(folder).catch(ifMissing<string[]>([]));
    for (const name of names.filter((one) => /^\..*\.tmp$|^transfer\.json\.\d+$/.test(one))) {
      const file = path.join(folder, name);
      const stat = await fs.lstat(file).catch(ifMissing(null));
      if (stat !== null && Math.abs(now - stat.mtimeMs) > leftoverMs) await fs.rm(file, { force: true });
    }
  }
}

/** Moves a damaged file to `.oxenvcs/damaged/`, under a name that is free. */
export async function setAside(project: Pick<Project, 'root'>, file: string): Promise<string> {
  const folder = path.join(project.root, '.oxenvcs', 'damaged');
  await makeFolderIn(path.dirname(folder));
  await makeFolderIn(folder);
  const target = path.join(folder, `${new Date().toISOString().replace(/[:.]/g, '')}-${path.basename(file)}`);
  // Another process may have been first.
  await fs.rename(file, target).catch(ifMissing(undefined));
  return target;
}
