import * as fs from 'node:fs/promises';
import path from 'node:path';
import { changes as changesHere } from '../commit/changes.ts';
import { dawsOf } from '../daw/match.ts';
import type { DawProfile } from '../daw/profile.ts';
import { git } from '../git/run.ts';
import type { TreeChange } from '../git/tree.ts';
import { Failure } from '../model/failures.ts';
import type { Project } from '../project/project.ts';
import { freeBytes, ifMissing } from '../system/disk.ts';
import { runningPrograms } from '../system/processes.ts';
import { statOf } from '../system/stat.ts';
import { differing } from './differs.ts';

/** What stands in the way of bringing changes into the work tree. Each throws the failure that says so. */

/**
 * A DAW that runs may have the session in memory with its file closed: replaced under it, the file would be overwritten
 * by its next save, silently. `sure`: nobody asks for it, so what cannot be seen counts as running.
 */
export async function assertNoDaw(
  profile: DawProfile,
  changes: readonly TreeChange[],
  { sure }: { sure: boolean },
): Promise<void> {
  const running = await runningPrograms();
  const daws = dawsOf(
    profile,
    changes.map(({ path }) => path),
  );
  const isRunning = ({ programs }: DawProfile) =>
    running?.some(({ program }) => programs.some((name) => program.startsWith(name))) ?? false;
  const unseen = sure && (running === null || daws.every(({ programs }) => programs.length === 0));
  const daw = daws.find(isRunning) ?? (unseen ? profile : undefined);
  if (daw !== undefined) throw new Failure('daw-runs', { daw: daw.title });
}

/** What was changed here and is in no version yet is never overwritten. What lies here just as it would arrive is fine. */
export async function assertUntouched(project: Project, changes: readonly TreeChange[]): Promise<void> {
  const { root } = project;
  const touched = new Set((await changesHere(root)).map(({ path }) => path));
  const gone = new Set(changes.flatMap(({ path, next }) => (next === null ? [path] : [])));
  // On disks that do not tell `take.wav` from `Take.wav` the old name is found under the new one.
  const goneInAnyCase = new Set([...gone].map(inAnyCase));
  const suspects = new Map<string, TreeChange['next']>();
  for (const { path: name, old, next } of changes) {
    const isNew = old === null && !goneInAnyCase.has(inAnyCase(name));
    // Git does not tell of files that it ignores.
    if (touched.has(name) || (isNew && (await statOf(path.join(root, name))) !== null)) suspects.set(name, next);
  }
  const files = new Set(await differing(project, suspects));
  for (const name of await obstacles(root, changes, gone)) files.add(name);
  if (files.size > 0) throw new Failure('would-overwrite', { files: named([...files]) });
}

const inAnyCase = (name: string): string => name.normalize('NFC').toLowerCase();

const named = (files: string[]): string =>
  files.length > 3 ? `${files.slice(0, 3).join(', ')} and ${files.length - 3} more` : files.join(', ');

/** Folders where a file shall be, and files or links where a folder shall be, that do not go with the change itself. */
async function obstacles(root: string, changes: readonly TreeChange[], gone: ReadonlySet<string>): Promise<string[]> {
  const found = new Set<string>();
  const seen = new Set<string>();
  for (const { path: name, next } of changes) {
    if (next === null) continue;
    for (const file of await filesBelow(root, name)) if (!gone.has(file)) found.add(file);
    for (
      let folder = path.posix.dirname(name);
      folder !== '.' && !seen.has(folder);
      folder = path.posix.dirname(folder)
    ) {
      seen.add(folder);
      const stat = await fs.lstat(path.join(root, folder)).catch(ifMissing(null));
      if (stat !== null && !stat.isDirectory() && !gone.has(folder)) found.add(folder);
    }
  }
  return [...found];
}

/** The files in a folder of that name, if it is one. */
async function filesBelow(root: string, name: string): Promise<string[]> {
  const stat = await fs.lstat(path.join(root, name)).catch(ifMissing(null));
  if (stat === null || !stat.isDirectory()) return [];
  const found: string[] = [];
  for (const entry of await fs.readdir(path.join(root, name), { withFileTypes: true }))
    if (entry.isDirectory()) found.push(...(await filesBelow(root, `${name}/${entry.name}`)));
    else found.push(`${name}/${entry.name}`);
  return found;
}

/** Is there room for them? `reserve`: so many bytes must be left for what is being recorded. */
export async function assertRoom(root: string, changes: readonly TreeChange[], reserve: number): Promise<void> {
  const input = changes.flatMap(({ next }) => (next === null ? [] : [`${next.oid}\n`])).join('');
  if (input === '') return;
  const sizes = await git(root, ['cat-file', '--batch-check=%(objectsize)'], { input });
  const needed = sizes.split('\n').reduce((sum, size) => sum + Number(size), 0);
  const free = await freeBytes(root);
  if (needed + reserve > free)
    throw new Failure('disk-full', { detail: `the team’s versions need ${mega(needed)}, and ${mega(free)} are free` });
}

const mega = (bytes: number): string => `${Math.ceil(bytes / 1_000_000)} MB`;
