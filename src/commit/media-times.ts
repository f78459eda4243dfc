import * as fs from 'node:fs/promises';
import path from 'node:path';
import * as v from 'valibot';
import { isMedia } from '../daw/media.ts';
import { tryGit } from '../git/run.ts';
import type { Project } from '../project/project.ts';
import { readRecord, writeRecord } from '../project/state.ts';
import { ifMissing, makeFolderIn } from '../system/disk.ts';
import { statOf } from '../system/stat.ts';
import { refresh } from './stage.ts';

/**
 * Git gives every file that it writes the time of now: after main → idea → main a take with the very same bytes looks
 * new, and a DAW (Logic) reads it again and rebuilds its overview. So it is remembered which bytes had which time. Git's
 * own index knows that for what is checked out; as it was before a checkout it is kept as a second link to the same file,
 * which costs nothing.
 */

const Times = v.object({
  v: v.literal(1),
  /** Path → blob → time of the last write, in seconds since 1970 with fractions. The blob seen last stands last. */
  times: v.record(v.string(), v.record(v.string(), v.string())),
});
type Times = v.InferOutput<typeof Times>['times'];

/** Of each take so many contents are remembered, … */
const contents = 8;
/** … and so many takes. */
const takes = 20_000;

/** Git's index as it was after the last checkout, and as it was after the last commit: a take is seldom written more often. */
type Noted = 'after-checkout' | 'after-commit';
const notedIndex = ({ gitDir }: Project, when: Noted): string => path.join(gitDir, 'oxenvcs', `index-${when}`);
const timesFile = (project: Project): string => path.join(project.gitDir, 'oxenvcs', 'media-times.json');

/** Remembers the times of the media as they are checked out now. Costs nothing; the hook post-commit does the same. */
export async function noteTimes(project: Project, when: Noted = 'after-commit'): Promise<void> {
  const index = path.join(project.gitDir, 'index');
  const noted = notedIndex(project, when);
  await makeFolderIn(path.dirname(noted));
  await fs.rm(noted, { force: true });
  // Git never writes into its index, it puts a new one in its place. Some disks know no links.
  await fs.link(index, noted).catch(async () => await fs.copyFile(index, noted).catch(ifMissing(undefined)));
}

/**
 * After files were written (`written`; not given: by git, and nobody knows which): those that hold the same bytes as at an
 * earlier time get that time back. Gives their paths.
 */
export async function restoreTimes(project: Project, written?: ReadonlySet<string>): Promise<string[]> {
  const { root, gitDir } = project;
  const earlier = [
    await mediaIn(root, notedIndex(project, 'after-checkout')),
    await mediaIn(root, notedIndex(project, 'after-commit')),
  ];
  const now = await mediaIn(root, path.join(gitDir, 'index'));
  const read = await readRecord(project, timesFile(project), Times);
  const known = read.state === 'ok' ? read.value.times : {};
  const learned = earlier.flatMap((takes) => gone(takes, now));
  for (const { path, oid, time } of learned) known[path] = withTime(known[path] ?? {}, oid, time);
  const restored: string[] = [];
  for (const one of now.values()) {
    if (written?.has(one.path) === false) continue;
    const unchanged = earlier.map((takes) => takes.get(one.path)).findLast((take) => take?.oid === one.oid);
    const time = unchanged?.time ?? known[one.path]?.[one.oid];
    if (time !== undefined && time !== one.time && (await giveBack(root, one, time))) restored.push(one.path);
  }
  // Else git would read them all again at its next `status`.
  if (restored.length > 0) await refresh(root, {}, restored);
  if (learned.length > 0) {
    const times = Object.fromEntries(Object.entries(known).slice(-takes));
    await writeRecord(timesFile(project), { v: 1, times });
  }
  await noteTimes(project, 'after-checkout');
  await fs.rm(notedIndex(project, 'after-commit'), { force: true });
  return restored;
}

interface Take {
  path: string;
  oid: string;
  time: string;
  size: string;
}

/** The media in an index file, with what git noted of them when it looked last. */
async function mediaIn(root: string, index: string): Promise<Map<string, Take>> {
  const listed = await tryGit(root, ['ls-files', '--stage', '-z', '--debug'], { env: { GIT_INDEX_FILE: index } });
  const found = new Map<string, Take>();
  if (listed.exitCode !== 0) return found;
  for (const take of parseIndex(listed.stdout.toString('utf8'))) if (isMedia(take.path)) found.set(take.path, take);
  return found;
}

/** `git ls-files --stage -z --debug`: `100644 OID 0\tpath\0  ctime: …\n  mtime: 1795500677:281766095\n…  size: 2\tflags: 0\n`. Pure. */
export function parseIndex(text: string): Take[] {
  const entry =
    /100\d{3} ([0-9a-f]{40,64}) 0\t([^\0]+)\0 {2}ctime: .*\n {2}mtime: (\d+):(\d+)\n.*\n.*\n {2}size: (\d+)\t/g;
  return [...text.matchAll(entry)].map(([, oid = '', path = '', seconds, ns = '', size = '']) => ({
    path,
    oid,
    time: `${seconds}.${ns.padStart(9, '0')}`,
    size,
  }));
}

/** What was there before and is not, or not with these bytes, now. */
const gone = (before: Map<string, Take>, now: Map<string, Take>): Take[] =>
  [...before.values()].filter(({ path, oid }) => now.get(path)?.oid !== oid);

function withTime(times: Record<string, string>, oid: string, time: string): Record<string, string> {
  const others = Object.entries(times).filter(([known]) => known !== oid);
  return Object.fromEntries([...others, [oid, time] as const].slice(-contents));
}

/** Only where the file still is as git has just written it. */
async function giveBack(root: string, { path: name, size, time }: Take, earlier: string): Promise<boolean> {
  const file = path.join(root, name);
  const stat = await statOf(file);
  const isAsWritten = stat !== null && String(stat.size) === size && timeOf(stat.mtimeNs) === time;
  if (!isAsWritten) return false;
  return await fs.utimes(file, Number(stat.atimeMs) / 1000, Number(earlier)).then(
    () => true,
    () => false, // of another user, or on a disk that takes no times: the file is all the same
  );
}

const timeOf = (ns: bigint): string => `${ns / 1_000_000_000n}.${String(ns % 1_000_000_000n).padStart(9, '0')}`;
