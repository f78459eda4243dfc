import path from 'node:path';
import { startPack } from '../git/pack.ts';
import { git } from '../git/run.ts';
import type { Settled } from '../model/save.ts';

/**
 * Takes go into the repository in two steps, side by side: git names them, once, and notes in the index how they lie; what
 * the repository lacks of them we put into one pack.
 */

/** Runs a git that reads these files. Gives those that it could not read as they had settled. */
type Reading = (args: readonly string[], files: readonly Settled[]) => Promise<string[]>;

/** `--info-only`: no object is made. Above the threshold git would deflate what it only has to hash. */
const naming = [
  '-c',
  'core.compression=0',
  '-c',
  'core.bigFileThreshold=1g',
  'update-index',
  '--add',
  '--replace',
  '--info-only',
  '-z',
  '--stdin',
];

/**
 * While one batch is stored the next is named; files are read twice in that time, and the second time it comes from memory.
 * A batch is a quarter of all, but not less than this (bytes).
 */
const leastBatch = 67_108_864;

/** Puts these into the index and the object store, which then is on the disk. Gives the paths that moved meanwhile. */
export async function putTakes(
  root: string,
  env: Record<string, string>,
  takes: readonly Settled[],
  read: Reading,
  signal?: AbortSignal,
): Promise<string[]> {
  if (takes.length === 0) return [];
  const pack = await startPack(root, takes.length, signal);
  const moved: string[] = [];
  const seen = new Set<string>();
  const store = async (files: readonly (Settled & { oid: string })[]): Promise<void> => {
    for (const { path: name, oid, stat } of files)
      if (!(await pack.add(path.join(root, name), oid, stat.size))) moved.push(name);
  };
  let storing = Promise.resolve();
  try {
    for (const batch of batches(takes)) {
      moved.push(...(await read(naming, batch)));
      if (moved.length > 0) break;
      const lacking = await lackingOf(root, await named(root, env, batch), seen);
      await storing;
      storing = store(lacking);
      storing.catch(() => undefined); // thrown where it is waited for
    }
    await storing;
    // Also if something moved: the next try need not store the others again.
    await pack.end();
    return moved;
  } finally {
    await storing.catch(() => undefined);
    await pack.discard();
  }
}

function batches(takes: readonly Settled[]): Settled[][] {
  const total = takes.reduce((sum, { stat }) => sum + Number(stat.size), 0);
  const batchBytes = Math.max(leastBatch, total / 4);
  const found: Settled[][] = [];
  let room = 0;
  for (const take of takes) {
    if (room <= 0) {
      found.push([]);
      room = batchBytes;
    }
    found.at(-1)?.push(take);
    room -= Number(take.stat.size);
  }
  return found;
}

type Named = Settled & { oid: string };

async function named(root: string, env: Record<string, string>, takes: readonly Settled[]): Promise<Named[]> {
  const entries = (await git(root, ['ls-files', '--stage', '-z'], { env })).matchAll(/\d+ ([0-9a-f]+) 0\t([^\0]+)\0/g);
  const ids = new Map(Array.from(entries, ([, oid = '', name = '']) => [name, oid]));
  return takes.map((take) => ({ ...take, oid: ids.get(take.path) ?? '' }));
}

/** Those whose bytes are neither in the repository nor among the `seen`. A promised object that is not here lacks; it is not fetched. */
async function lackingOf(root: string, takes: readonly Named[], seen: Set<string>): Promise<Named[]> {
  const args = ['rev-list', '--no-walk', '--objects', '--no-object-names', '--ignore-missing', '--missing=allow-any'];
  const input = takes.map(({ oid }) => oid).join('\n');
  const here = new Set((await git(root, [...args, '--stdin'], { input })).split('\n'));
  return takes.filter(({ oid }) => {
    const isLacking = !here.has(oid) && !seen.has(oid);
    seen.add(oid);
    return isLacking;
  });
}
