import * as fs from 'node:fs/promises';
import path from 'node:path';
import { ifMissing } from '../system/disk.ts';
import { gitFailure } from './failures.ts';
import { underGcLock } from './gc-lock.ts';
import { gitLine, tryGit } from './run.ts';

/**
 * Tidying a repository: the sessions of many saves become deltas of each other (1,000 saves of 5 MB of text: from 2 GB to
 * less than 60 MB), and many small packs one. Done by git alone, at any moment of which it may be killed: a new pack is complete,
 * and on the disk, before an old one goes.
 */

/** A pack of this size is left alone: it is media, for the most part, or has been tidied (bytes). A guess. */
const keptBytes = 64 * 1024 * 1024;
/** So much lies loose, or in so many small packs, before tidying is worth it. Guesses. */
const worth = { looseObjects: 300, looseBytes: 16 * 1024 * 1024, smallPacks: 20 };
/** What nothing refers to any more is kept for so long, as by `git gc`: somebody may be about to. */
const grace = '2.weeks.ago';
/** So old is no file that a git at work still writes to (ms). */
const leftoverMs = 3_600_000;

const settings = [
  // What is on the disk in a new pack is removed as loose objects and old packs: the index of the pack has to be there, too.
  '-c',
  'core.fsync=committed,loose-object,pack-metadata',
  // One processor is enough, and 5 MB of text in a window of ten versions.
  '-c',
  'pack.threads=1',
  '-c',
  'pack.windowMemory=256m',
  // Whatever the user has set: above it nothing becomes a delta.
  '-c',
  'core.bigFileThreshold=512m',
  // In a vault nothing is compressed as it comes in; audio hardly gets smaller however long it is tried.
  '-c',
  'pack.compression=1',
];

/** `taken`: somebody else tidies it. */
export type Tidied = 'tidied' | 'nothing-to-do' | 'taken' | 'broken-off';

/** A repository: a work tree, in which the attributes lie, or a bare one (`args`: `--git-dir`). */
export interface Place {
  cwd: string;
  args: string[];
}

/** Tidies a repository where that is worth it. Ends at once when the signal is aborted. Throws what git's failures mean. */
export async function tidyRepository({ cwd, args: at }: Place, signal: AbortSignal): Promise<Tidied> {
  const common = path.resolve(cwd, await gitLine(cwd, [...at, 'rev-parse', '--git-common-dir']));
  const packs = path.join(common, 'objects', 'pack');
  await removeLeftovers(path.join(common, 'objects'), Date.now());
  const sizes = await packSizes(packs);
  const large = [...sizes].filter(([, bytes]) => bytes >= keptBytes).map(([name]) => name);
  if (!(await isWorthIt({ cwd, args: at }, sizes.size - large.length))) return 'nothing-to-do';
  const repack = ['repack', '-A', '-d', '-l', '-q', `--unpack-unreachable=${grace}`, '--no-write-bitmap-index'];
  const prune = ['prune', `--expire=${grace}`, '--exclude-promisor-objects'];
  return await underGcLock(common, async () => {
    for (const args of [[...repack, ...large.map((name) => `--keep-pack=${name}`)], prune]) {
      const result = await tryGit(cwd, [...at, ...settings, ...args], { signal });
      if (signal.aborted) return 'broken-off' as const;
      if (result.exitCode !== 0) throw gitFailure(result, args, undefined, cwd);
    }
    return 'tidied' as const;
  });
}

async function packSizes(folder: string): Promise<Map<string, number>> {
  const sizes = new Map<string, number>();
  for (const name of await fs.readdir(folder).catch(ifMissing([] as string[]))) {
    const stat = name.endsWith('.pack') ? await fs.stat(path.join(folder, name)).catch(ifMissing(null)) : null;
    if (stat !== null) sizes.set(name, stat.size);
  }
  return sizes;
}

async function isWorthIt({ cwd, args }: Place, smallPacks: number): Promise<boolean> {
  if (smallPacks > worth.smallPacks) return true;
  const { stdout } = await tryGit(cwd, [...args, 'count-objects', '-v']);
  const text = stdout.toString('utf8');
  const loose = (name: string) => Number(new RegExp(`^${name}: (\\d+)$`, 'm').exec(text)?.[1] ?? 0);
  return loose('count') > worth.looseObjects || loose('size') * 1024 > worth.looseBytes;
}

/** What a killed git has left behind: half a pack of takes is as large as the takes. `now`: ms since 1970. */
async function removeLeftovers(objects: string, now: number): Promise<void> {
  const folders = (await fs.readdir(objects).catch(ifMissing([] as string[])))
    .filter((name) => name === 'pack' || /^[0-9a-f]{2}$/.test(name))
    .map((name) => path.join(objects, name));
  for (const folder of [objects, ...folders])
    for (const name of await fs.readdir(folder).catch(ifMissing([] as string[]))) {
      if (!/^(tmp_|\.tmp-)/.test(name)) continue;
      const file = path.join(folder, name);
      if (now - (await lastWritten(file)) > leftoverMs) await fs.rm(file, { recursive: true, force: true });
    }
}

/** ms since 1970. A push that comes in keeps its objects in a folder: what is written last in there counts. */
async function lastWritten(file: string): Promise<number> {
  const stat = await fs.stat(file).catch(ifMissing(null));
  if (stat === null || !stat.isDirectory()) return stat?.mtimeMs ?? Number.POSITIVE_INFINITY;
  const inside = await fs.readdir(file).catch(ifMissing([] as string[]));
  const times = await Promise.all(inside.map(async (name) => await lastWritten(path.join(file, name))));
  return Math.max(stat.mtimeMs, ...times.filter(Number.isFinite));
}
