import { createHash } from 'node:crypto';
import { git, tryGit } from '../git/run.ts';
import { sameEntry, type TreeEntry } from '../git/tree.ts';
import type { Difference } from './message.ts';

/**
 * The tree of a version that differs from `tree` in these few files (null: gone), and how: only the folders above them are
 * read and written, where an index holds all of ten thousand files. Null: an index has to do it, for a file is in the
 * place of a folder or a name cannot be asked for.
 */
export async function treeWith(
  root: string,
  tree: string,
  files: ReadonlyMap<string, TreeEntry | null>,
): Promise<{ tree: string; differences: Difference[] } | null> {
  // Git reads a name to the end of its line, and takes a carriage return at the end of a folder's name for a part of that.
  if ([...files.keys()].some((path) => /[\r\n]/.test(path))) return null;
  const folders = await readFolders(root, tree, foldersOf(files.keys()));
  if (folders === null) return null;
  const differences: Difference[] = [];
  for (const [path, next] of files) {
    const [folder, name] = split(path);
    const entries = folders.get(folder);
    const old = entries?.get(name) ?? null;
    if (entries === undefined || old?.mode === folderMode || old?.mode === repositoryMode) return null;
    if (sameEntry(old, next)) continue;
    if (next === null) entries.delete(name);
    else entries.set(name, next);
    differences.push({ path, status: old === null ? 'added' : next === null ? 'deleted' : 'changed' });
  }
  return { tree: differences.length === 0 ? tree : await writeFolders(root, tree, folders), differences };
}

const folderMode = '40000';
const repositoryMode = '160000';

/** A folder's entries by name; names as bytes (latin1), in which order git sorts. */
type Entries = Map<string, TreeEntry>;

const bytes = (path: string): string => Buffer.from(path).toString('latin1');

function split(path: string): [folder: string, name: string] {
  const at = path.lastIndexOf('/');
  return [path.slice(0, Math.max(at, 0)), bytes(path.slice(at + 1))];
}

/** All folders above these files, the root (`''`) first and each before what is in it. */
function foldersOf(paths: Iterable<string>): string[] {
  const found = new Set(['']);
  for (const path of paths)
    for (let at = path.indexOf('/'); at >= 0; at = path.indexOf('/', at + 1)) found.add(path.slice(0, at));
  return [...found].toSorted((a, b) => a.length - b.length);
}

/** One that is not there yet is empty; null: there is a file in the place of one. */
async function readFolders(root: string, tree: string, names: readonly string[]): Promise<Map<string, Entries> | null> {
  const input = names.map((name) => `${tree}:${name}\n`).join('');
  const { exitCode, stdout } = await tryGit(root, ['cat-file', '--batch'], { input });
  const folders = new Map<string, Entries>();
  let at = 0;
  for (const name of names) {
    const end = stdout.indexOf('\n', at);
    const header = stdout.toString('utf8', at, end);
    const [, type, size] = /^[0-9a-f]+ (\w+) (\d+)$/.exec(header) ?? [];
    if (exitCode !== 0 || end < 0 || (type !== 'tree' && !header.endsWith(' missing'))) return null;
    const content = stdout.subarray(end + 1, end + 1 + Number(size ?? 0));
    folders.set(name, parseTree(content, tree.length / 2));
    at = type === undefined ? end + 1 : end + 2 + Number(size);
  }
  return folders;
}

/** `mode name\0id`, one after the other; an id has so many bytes. */
function parseTree(content: Buffer, idBytes: number): Entries {
  const entries: Entries = new Map();
  for (let at = 0; at < content.length; ) {
    const space = content.indexOf(' ', at);
    const end = content.indexOf(0, space);
    const mode = content.toString('latin1', at, space);
    at = end + 1 + idBytes;
    entries.set(content.toString('latin1', space + 1, end), { mode, oid: content.toString('hex', end + 1, at) });
  }
  return entries;
}

/** Writes them from the innermost to the root, whose id it gives; one in which nothing is left goes. */
async function writeFolders(root: string, tree: string, folders: Map<string, Entries>): Promise<string> {
  const trees: Buffer[] = [];
  let oid = '';
  for (const [path, entries] of [...folders].toReversed()) {
    const sorted = [...entries].toSorted(([a, x], [b, y]) => (sortName(a, x) < sortName(b, y) ? -1 : 1));
    oid = idOf(sorted, tree.length);
    const [folder, name] = split(path);
    if (path !== '' && entries.size === 0) folders.get(folder)?.delete(name);
    else if (path !== '') folders.get(folder)?.set(name, { mode: folderMode, oid });
    if (path === '' || entries.size > 0) trees.push(batchLines(sorted));
  }
  // What it lists may be absent here: media that only the remote has.
  const args = ['mktree', '-z', '--batch', '--missing'];
  const written = await git(root, args, { input: Buffer.concat(trees) });
  if (!written.endsWith(`${oid}\n`)) throw new Error(`git made another tree than ${oid}: ${written}`);
  return oid;
}

/** Git sorts a folder as if its name ended in a slash. */
const sortName = (name: string, { mode }: TreeEntry): string => (mode === folderMode ? `${name}/` : name);

function idOf(entries: readonly (readonly [string, TreeEntry])[], length: number): string {
  const parts = entries.flatMap(([name, { mode, oid }]) => [
    Buffer.from(`${mode} ${name}\0`, 'latin1'),
    Buffer.from(oid, 'hex'),
  ]);
  const content = Buffer.concat(parts);
  return createHash(length === 40 ? 'sha1' : 'sha256')
    .update(`tree ${content.length}\0`)
    .update(content)
    .digest('hex');
}

/** For `git mktree -z --batch`; an empty entry ends a tree. */
function batchLines(entries: readonly (readonly [string, TreeEntry])[]): Buffer {
  const type = (mode: string) => (mode === folderMode ? 'tree' : mode === repositoryMode ? 'commit' : 'blob');
  const lines = entries.map(([name, { mode, oid }]) => `${mode} ${type(mode)} ${oid}\t${name}\0`);
  return Buffer.from(`${lines.join('')}\0`, 'latin1');
}
