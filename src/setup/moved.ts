import * as fs from 'node:fs/promises';
import path from 'node:path';
import { isRegistered, register, type Registered, registered, unregister } from '../control/registry.ts';
import { cloneAt, cloneIdentity } from '../lock/clone.ts';
import { openProject, type Project } from '../project/project.ts';
import { mendHooks } from './hooks.ts';
import { exists, ifMissing } from '../system/disk.ts';
import { isFresh } from '../system/stat.ts';
import { machineId } from '../system/machine.ts';

/**
 * A project that was renamed or moved: its entry in the list of projects follows it, where it is certain that it is the
 * same one. Of a folder that was copied the clone (lock/clone.ts) is another one; so it is when it was moved to another disk.
 */

/** A command or a hook runs in a project: is it one whose entry still names the folder where it lay before? */
export async function followTo(project: Project): Promise<void> {
  const { root } = project;
  if (await isRegistered(root)) return;
  const clone = await cloneAt(root, await machineId());
  if (clone === null) return;
  const { clones } = await registered();
  for (const [from, of] of clones) if (of === clone && !(await isThere(from))) await follow(from, root, clone);
}

const isThere = async (root: string): Promise<boolean> => await exists(path.join(root, '.git'));

/** Finds projects that are not where they were. */
export interface Finder {
  /** This project is being watched: by this it will be known again. */
  note: (project: Project) => Promise<void>;
  /** Its new place, which the list names from now on; null: it is not there, or nobody can be sure. */
  seek: (root: string) => Promise<string | null>;
}

/**
 * Looks beside the old place and beside all other projects; into a folder only where something in it has changed. `list`: the
 * list of projects; a hundred may be away with their disk, and each is sought again and again.
 */
export function startFinder(list: () => Promise<Registered> = registered): Finder {
  const machine = machineId();
  const seen = new Map<string, { as: string; clones: Map<string, string> }>();

  /** The clones at `rest` below the folders in `folder`, with their places. */
  const clonesIn = async (folder: string, rest: string): Promise<Map<string, string>> => {
    const stat = await fs.stat(folder, { bigint: true }).catch(ifMissing(null));
    if (stat === null) return new Map();
    const [key, as] = [path.join(folder, '*', rest), `${stat.ino} ${stat.mtimeNs}`];
    const known = seen.get(key);
    if (known?.as === as) return known.clones;
    const clones = new Map<string, string>();
    for (const entry of await fs.readdir(folder, { withFileTypes: true })) {
      const root = path.join(folder, entry.name, rest);
      const clone = entry.isDirectory() ? await cloneAt(root, await machine) : null;
      if (clone !== null) clones.set(clone, root);
    }
    if (!isFresh(Number(stat.mtimeMs))) seen.set(key, { as, clones });
    return clones;
  };

  return {
    async note(project) {
      const { id } = await cloneIdentity(project, machine);
      // One that is just being removed is not put back.
      if (await isRegistered(project.root)) await register(project.root, id);
    },
    async seek(root) {
      const { roots, clones } = await list();
      const clone = clones.get(root);
      if (clone === undefined) return null;
      const beside = await nearest(root);
      const others = new Set(roots.map((one) => path.dirname(one)));
      const places = new Set<string>();
      for (const [folder, rest] of [beside, ...[...others].map((one) => [one, ''] as const)]) {
        const found = (await clonesIn(folder, rest).catch(() => null))?.get(clone); // it may not be looked into
        // A name that differs in nothing but case is the same folder.
        if (found !== undefined && (await cloneAt(found, await machine)) === clone)
          places.add(await fs.realpath(found));
      }
      const [to] = places;
      if (to === undefined || places.size > 1 || to === root || (await isThere(root))) return null;
      await follow(root, to, clone);
      return to;
    },
  };
}

/** The nearest folder above `root` that is there, and what `root` is called below the one that is not: a folder above may have been renamed. */
async function nearest(root: string): Promise<[folder: string, rest: string]> {
  let gone = root;
  while (path.dirname(gone) !== gone && !(await exists(path.dirname(gone)).catch(() => true)))
    gone = path.dirname(gone);
  return [path.dirname(gone), path.relative(gone, root)];
}

async function follow(from: string, to: string, clone: string): Promise<void> {
  await register(to, clone);
  await unregister(from);
  // Git may know them by their full path.
  await mendHooks(await openProject(to));
}
