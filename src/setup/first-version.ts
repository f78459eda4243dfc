import * as fs from 'node:fs/promises';
import path from 'node:path';
import { whyNotNow } from '../commit/busy.ts';
import { incompleteLine, withTrailers } from '../commit/message.ts';
import { bySize, type Oversized } from '../commit/oversized.ts';
import { stage } from '../commit/stage.ts';
import { bringIndexUp, noteIndexBehind } from '../commit/user-index.ts';
import { git, gitLine, tryGit } from '../git/run.ts';
import { Failure } from '../model/failures.ts';
import type { Settled } from '../model/save.ts';
import { type Project, statePath } from '../project/project.ts';
import { exists, ifMissing, writeDurable } from '../system/disk.ts';
import { statAll } from '../system/stat.ts';
import { openForWriting } from '../system/writers.ts';
import type { OwnFile } from './own-files.ts';

/** The commit that is checked out, or null before the first. */
export async function headCommit(root: string): Promise<string | null> {
  const result = await tryGit(root, ['rev-parse', '--verify', '--quiet', 'HEAD^{commit}']);
  return result.exitCode === 0 ? result.stdout.toString('utf8').trim() : null;
}

/** Writes our files into the folder; gives those that changed. */
export async function writeOwnFiles(root: string, files: readonly OwnFile[]): Promise<string[]> {
  const changed: string[] = [];
  // What is ignored: half a file, left here by an `init` that was cut off, would become part of the first version.
  const scratch = path.dirname(statePath({ root }, 'x'));
  await fs.mkdir(scratch, { recursive: true });
  for (const { path: name, edit } of files) {
    const file = path.join(root, name);
    const before = await fs.readFile(file).catch(ifMissing(null));
    const after = edit(before);
    if (before !== null && after.equals(before)) continue;
    await writeDurable(file, after, 0o644, scratch);
    changed.push(name);
  }
  return changed;
}

/**
 * Commits our files alone, on top of HEAD: what the user staged or left changed is not in it, not even in the same
 * file, and stays as it is. Null: HEAD holds them already. Throws `git-work-under-way`.
 */
export async function commitOwnFiles(
  project: Project,
  files: readonly OwnFile[],
  message: string,
): Promise<string | null> {
  const { root } = project;
  const head = await headCommit(root);
  await bringIndexUp(project);
  const changed: string[] = [];
  for (const { path: name, edit } of files) {
    const entry = head === null ? null : await entryIn(root, ['ls-tree', '-z', head, '--', name]);
    const line = await editedEntry(root, name, entry, edit);
    if (line !== null) changed.push(line);
  }
  let commit: string | null = null;
  if (changed.length > 0) {
    const reason = await whyNotNow(project);
    if (reason !== null) throw new Failure('git-work-under-way', { dir: root, reason });
    commit = await withIndex(project, async (index) => {
      const env = { GIT_INDEX_FILE: index };
      await git(root, ['read-tree', head ?? '--empty'], { env });
      await git(root, ['update-index', '-z', '--index-info'], { env, input: changed.join('') });
      return await commitIndex(project, index, head, message);
    });
    // Entry by entry: what the user's index knows of all other files (their stats) is worth keeping.
    await bringIndexUp(project);
  }
  await editStaged(root, files);
  return commit;
}

/** What the user has staged of these files gets our lines as well: else their next commit would take them out again. */
async function editStaged(root: string, files: readonly OwnFile[]): Promise<void> {
  const changed: string[] = [];
  for (const { path: name, edit } of files) {
    const entry = await entryIn(root, ['ls-files', '--stage', '-z', '--', name]);
    const line = entry === null ? null : await editedEntry(root, name, entry, edit);
    if (line !== null) changed.push(line);
  }
  if (changed.length > 0) await git(root, ['update-index', '-z', '--index-info'], { input: changed.join('') });
}

interface IndexEntry {
  mode: string;
  oid: string;
}

/** One entry, from a line such as `100644 blob OID\tpath` or `100644 OID 0\tpath`. Only plain files count. */
async function entryIn(root: string, args: string[]): Promise<IndexEntry | null> {
  const line = await git(root, args, { env: { GIT_LITERAL_PATHSPECS: '1' } });
  const match = /^(100\d{3}) (?:blob )?([0-9a-f]{40,64})[ \t]/.exec(line);
  return match ? { mode: match[1] ?? '', oid: match[2] ?? '' } : null;
}

/** The line for `update-index --index-info`, or null where nothing changes. */
async function editedEntry(
  root: string,
  name: string,
  entry: IndexEntry | null,
  edit: OwnFile['edit'],
): Promise<string | null> {
  const before = entry === null ? null : (await tryGit(root, ['cat-file', 'blob', entry.oid])).stdout;
  const after = edit(before);
  if (before !== null && after.equals(before)) return null;
  const oid = await gitLine(root, ['hash-object', '-w', '--stdin', '--no-filters'], { input: after });
  return `${entry?.mode ?? '100644'} ${oid} 0\t${name}\0`;
}

export interface FirstVersion {
  commit: string;
  files: number;
  /** They kept changing while they were read; the watcher takes them when they have settled. */
  leftOut: string[];
  /** Folders that are repositories of their own: nothing in them is part of the version. */
  nested: string[];
  /** Larger than the remote takes. */
  tooLarge: Oversized[];
}

/** Commits everything in the folder that is not ignored, and not above `limit` bytes, as the first version. */
export async function commitEverything(
  project: Project,
  message: string,
  limit: number | null = null,
): Promise<FirstVersion> {
  const { root } = project;
  const others = await git(root, ['ls-files', '--others', '--exclude-standard', '-z']);
  const names = others.split('\0').filter(Boolean);
  const nested = names.filter((name) => name.endsWith('/')).map((name) => name.slice(0, -1));
  const found = names.filter((name) => !name.endsWith('/'));
  const sorted = await bySize(root, found, limit);
  const files = sorted.within;
  const text = withTrailers(
    message,
    sorted.over.map((one) => incompleteLine(one.path)),
  );
  // What is just being written is not read at all: a take may lie still for seconds while it is recorded.
  const leftOut: string[] = [...(await beingWritten(root, files))];
  for (let tries = 0; ; tries++) {
    const settled = await look(
      root,
      files.filter((name) => !leftOut.includes(name)),
    );
    const done = await withIndex(project, async (index) => {
      await git(root, ['read-tree', '--empty'], { env: { GIT_INDEX_FILE: index } });
      const moved = await stage(root, index, { captured: [], settled, deleted: [], incomplete: [], toFollow: [] });
      if (moved.length === 0) {
        const commit = await commitIndex(project, index, null, text);
        await giveIndex(project, index);
        return { commit };
      }
      // A save in this very moment is over by the next try; a take that is being recorded is not.
      if (tries >= 2) leftOut.push(...moved);
      return null;
    });
    if (done !== null) return { ...done, files: settled.length, leftOut, nested, tooLarge: sorted.over };
  }
}

async function look(root: string, names: readonly string[]): Promise<Settled[]> {
  return [...(await statAll(root, names))].flatMap(([path, stat]) => (stat === null ? [] : [{ path, stat }]));
}

/** A descriptor that was idle for so long counts for nothing, as for the watcher (ms). */
const openPatienceMs = 60_000;

async function beingWritten(root: string, names: readonly string[]): Promise<ReadonlySet<string>> {
  const since = BigInt(Date.now() - openPatienceMs) * 1_000_000n;
  const recent = (await look(root, names)).filter(({ stat }) => stat.mtimeNs > since).map(({ path }) => path);
  const open = await openForWriting(root, recent);
  return open === 'unknown' ? new Set() : open;
}

/** The first version's index becomes the user's, which holds nothing yet. */
async function giveIndex(project: Project, index: string): Promise<void> {
  const users = path.join(project.gitDir, 'index');
  // Where there is none no lock is taken, which nobody would take away if this is cut off; `mendIndex` makes up for it.
  if (await exists(users)) await bringIndexUp(project, { made: index });
  else await fs.rename(index, users);
}

const setupIndex = (gitDir: string): string => path.join(gitDir, 'oxenvcs', 'setup-index');

/** Also what an `init` that was cut off has left of it. */
export async function removeSetupIndex(gitDir: string): Promise<void> {
  for (const file of [setupIndex(gitDir), `${setupIndex(gitDir)}.lock`]) await fs.rm(file, { force: true });
}

/** An index of our own: the user's is neither read nor locked while it is built. One `init` runs at a time. */
async function withIndex<T>(project: Project, work: (index: string) => Promise<T>): Promise<T> {
  const index = setupIndex(project.gitDir);
  await fs.mkdir(path.dirname(index), { recursive: true });
  await removeSetupIndex(project.gitDir);
  try {
    return await work(index);
  } finally {
    await removeSetupIndex(project.gitDir);
  }
}

/** Plumbing: no hook runs, no editor opens, nothing is signed. The old value makes moving HEAD a compare-and-swap. */
async function commitIndex(project: Project, index: string, head: string | null, message: string): Promise<string> {
  const { root } = project;
  const tree = await gitLine(root, ['write-tree'], { env: { GIT_INDEX_FILE: index } });
  const parents = head === null ? [] : ['-p', head];
  const commit = await gitLine(root, ['commit-tree', ...parents, '-F', '-', tree], { input: `${message}\n` });
  if (await exists(path.join(project.gitDir, 'index'))) await noteIndexBehind(project, head, commit);
  await git(root, ['update-ref', '-m', `commit: ${message}`, 'HEAD', commit, head ?? '']);
  return commit;
}
