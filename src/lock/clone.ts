import { randomUUID } from 'node:crypto';
import * as fs from 'node:fs/promises';
import path from 'node:path';
import * as v from 'valibot';
import type { Project } from '../project/project.ts';
import { readRecord, writeRecord } from '../project/state.ts';
import { isoTime } from '../system/clock.ts';
import { exists } from '../system/disk.ts';
import { machineId } from '../system/machine.ts';

/**
 * Who holds a lock is a clone, not a person: an id that is bound to this computer and to this very Git folder. A folder
 * that was duplicated, restored or moved to another disk has another inode; one on a share that two computers open has
 * two machines: each gets an id of its own and never counts as the holder of the other's lock.
 */

const binding = v.object({
  id: v.string(),
  machine: v.string(),
  ino: v.string(),
  /** Birth time in ns; null where the file system keeps none, then the device must match. */
  born: v.nullable(v.string()),
  dev: v.string(),
  at: v.string(),
});
const schema = v.object({ v: v.literal(1), bindings: v.array(binding) });
type Binding = v.InferOutput<typeof binding>;

export interface Clone {
  id: string;
  /** The id that this Git folder's contents had before, under another computer or folder: it was moved or copied. */
  former: string | null;
}

/** Bindings kept, for a share that several computers open. */
const keep = 8;

/** In the Git folder, where `git clean -fdx` does not reach. */
const fileOf = (project: Pick<Project, 'gitDir'>) => path.join(project.gitDir, 'oxenvcs', 'clone.json');

/** The id of this clone; a new one where none fits this computer and folder. */
export async function cloneIdentity(
  project: Pick<Project, 'root' | 'gitDir'>,
  machine: string | Promise<string> = machineId(),
): Promise<Clone> {
  const here = await place(project.gitDir, await machine);
  const bindings = await load(project);
  const fitting = bindings.find((bound) => fits(bound, here));
  const former = bindings.findLast((bound) => bound !== fitting)?.id ?? null;
  if (fitting) return { id: fitting.id, former };
  const id = randomUUID();
  await save(project, [...bindings, { ...here, id }]);
  return { id, former };
}

/**
 * The id of the clone whose very Git folder this is, wherever it lies now; null: none, or that of a copy. Nothing is
 * written. The contents of a folder that only points to its Git folder may be copied beside it, so that tells nothing.
 */
export async function cloneAt(root: string, machine: string): Promise<string | null> {
  const gitDir = path.join(root, '.git');
  const isFolder = await fs.lstat(gitDir).then(
    (stat) => stat.isDirectory(),
    () => false, // none of ours, or not to be looked into
  );
  if (!isFolder || !(await exists(fileOf({ gitDir })))) return null;
  const here = await place(gitDir, machine);
  return (await load({ root, gitDir })).find((bound) => fits(bound, here))?.id ?? null;
}

/**
 * "It was moved": takes back the id that the folder had where it was before. Only right when a person has said that the
 * old folder is gone.
 */
export async function adoptFormer(
  project: Pick<Project, 'root' | 'gitDir'>,
  machine: string | Promise<string> = machineId(),
): Promise<Clone> {
  const here = await place(project.gitDir, await machine);
  const others = (await load(project)).filter((bound) => !fits(bound, here));
  const former = others.pop();
  if (former === undefined) return await cloneIdentity(project, machine);
  await save(project, [...others, { ...here, id: former.id }]);
  return { id: former.id, former: others.at(-1)?.id ?? null };
}

async function load(project: Pick<Project, 'root' | 'gitDir'>): Promise<Binding[]> {
  const read = await readRecord(project, fileOf(project), schema);
  return read.state === 'ok' ? read.value.bindings : [];
}

const save = async (project: Pick<Project, 'gitDir'>, bindings: Binding[]) =>
  await writeRecord(fileOf(project), { v: 1, bindings: bindings.slice(-keep) });

function fits(bound: Binding, here: Omit<Binding, 'id'>): boolean {
  if (bound.machine !== here.machine || bound.ino !== here.ino) return false;
  // Device numbers change over restarts (external disks, btrfs), so a known birth time decides.
  return bound.born !== null && here.born !== null ? bound.born === here.born : bound.dev === here.dev;
}

async function place(gitDir: string, machine: string): Promise<Omit<Binding, 'id'>> {
  const stat = await fs.stat(gitDir, { bigint: true });
  // Where there is no birth time the system gives zero, or the change time, which moves.
  const real = stat.birthtimeNs > 0n && stat.birthtimeNs !== stat.ctimeNs;
  return {
    machine,
    ino: String(stat.ino),
    born: real ? String(stat.birthtimeNs) : null,
    dev: String(stat.dev),
    at: isoTime(Date.now()),
  };
}
