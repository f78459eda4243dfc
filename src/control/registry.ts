import { createHash } from 'node:crypto';
import * as fs from 'node:fs/promises';
import path from 'node:path';
import * as v from 'valibot';
import { isoTime } from '../system/clock.ts';
import { ifMissing, readText, removeDurable, writeDurable } from '../system/disk.ts';
import { dataFolder } from '../system/places.ts';

/**
 * The projects of this user, for the background process: one file each, so that two `init` at once are in nobody's way,
 * and a damaged one concerns one project. Its name tells the folder, too: from that it is written anew.
 */

const Entry = v.object({
  /** One of a newer oxenvcs is read as far as it is known, and stays as it is. */
  v: v.pipe(v.number(), v.minValue(1)),
  root: v.string(),
  at: v.string(),
  /** Which clone lay there when it was last watched (lock/clone.ts): by that it is known where it was moved to. */
  clone: v.optional(v.string()),
});

export const registryFolder = (): string => path.join(dataFolder(), 'projects');

export interface Registered {
  roots: string[];
  /** By root, as far as they are known. */
  clones: ReadonlyMap<string, string>;
  /** Files that told nothing and were set aside. */
  damaged: string[];
}

/** From now on, and from each start of the session on, the background process watches this project. `clone`: which one lies there. */
export async function register(root: string, clone?: string): Promise<void> {
  const file = fileFor(root);
  const known = entryIn(await readText(file));
  if (known?.root === root && (clone === undefined || known.clone === clone)) return;
  await writeDurable(file, `${JSON.stringify({ v: 1, root, at: isoTime(Date.now()), clone })}\n`);
}

export const isRegistered = async (root: string): Promise<boolean> => (await readText(fileFor(root))) !== null;

/** The background process has nothing to do with it any more. */
export async function unregister(root: string): Promise<void> {
  await removeDurable(fileFor(root));
}

/** All projects, sorted. What is damaged is mended from the file's name, or set aside under `damaged/` of the data folder. */
export async function registered(): Promise<Registered> {
  const names = await fs.readdir(registryFolder()).catch(ifMissing([] as string[]));
  const clones = new Map<string, string>();
  const found = { roots: [] as string[], damaged: [] as string[] };
  for (const name of names.filter((one) => one.endsWith('.json') && !one.startsWith('.'))) {
    const file = path.join(registryFolder(), name);
    // One that cannot be read (a folder, a broken disk, somebody else's) must not keep the others from being watched.
    const text = await readText(file).catch(() => undefined);
    // Unregistered between the listing and the look.
    if (text === null) continue;
    const entry = entryIn(text ?? null);
    const root = entry?.root ?? rootIn(name);
    if (root === null) {
      // Where nothing can be moved, it is named as it lies.
      found.damaged.push(await setAside(file).catch(() => file));
      continue;
    }
    // Its name has told; where there is no room now, it is written anew another time.
    if (entry === null && text !== undefined) await register(root).catch(() => undefined);
    if (entry?.clone !== undefined) clones.set(root, entry.clone);
    found.roots.push(root);
  }
  return { roots: [...new Set(found.roots)].toSorted(), clones, damaged: found.damaged };
}

function entryIn(text: string | null): v.InferOutput<typeof Entry> | null {
  try {
    const parsed = v.safeParse(Entry, JSON.parse(text ?? ''));
    return parsed.success && path.isAbsolute(parsed.output.root) ? parsed.output : null;
  } catch {
    return null; // not JSON: the name tells, or it is set aside
  }
}

/** Most systems take names of 255 bytes; a longer path is only told by what is in the file. */
const longest = 200;

function fileFor(root: string): string {
  // What has no UTF-8 cannot be encoded so.
  const name = root === Buffer.from(root).toString() ? encodeURIComponent(root) : root;
  const told = name !== root && name.length <= longest;
  return path.join(registryFolder(), `${told ? name : createHash('sha256').update(root).digest('hex')}.json`);
}

/** The folder that a file's name tells, or null. */
function rootIn(name: string): string | null {
  try {
    const root = decodeURIComponent(name.slice(0, -'.json'.length));
    return path.isAbsolute(root) ? root : null;
  } catch {
    return null; // a name of somebody else's
  }
}

async function setAside(file: string): Promise<string> {
  const folder = path.join(dataFolder(), 'damaged');
  await fs.mkdir(folder, { recursive: true });
  const target = path.join(folder, `${isoTime(Date.now()).replace(/[:.]/g, '')}-${path.basename(file)}`);
  await fs.rename(file, target);
  return target;
}
