import { git, gitLine } from './run.ts';

/** What a version holds at a path: a file, or a link. */
export interface TreeEntry {
  mode: string;
  oid: string;
}

/** A path that differs between two versions; null: there is nothing. */
export interface TreeChange {
  path: string;
  old: TreeEntry | null;
  next: TreeEntry | null;
}

/** A repository inside of the repository (a submodule): nothing of it is ours. */
const repositoryMode = '160000';

/** How `to` differs from `from` (null: from nothing). Trees alone are read, so that media may be absent here. */
export async function diffTrees(root: string, from: string | null, to: string): Promise<TreeChange[]> {
  const base = from ?? (await gitLine(root, ['hash-object', '-w', '-t', 'tree', '--stdin'], { input: '' }));
  return parseRaw(await git(root, ['diff-tree', '-r', '-z', '--raw', '--no-abbrev', '--no-renames', base, to]));
}

/** Reads `git diff-tree -r -z --raw --no-abbrev`: `:100644 100644 OLD NEW M\0path\0`. Pure. */
export function parseRaw(text: string): TreeChange[] {
  const fields = text.split('\0');
  const changes: TreeChange[] = [];
  for (let i = 0; i + 1 < fields.length; i += 2) {
    const [oldMode = '', mode = '', oldOid = '', oid = ''] = (fields[i] ?? '').replace(/^:/, '').split(' ');
    if (oldMode === repositoryMode || mode === repositoryMode) continue;
    changes.push({ path: fields[i + 1] ?? '', old: entry(oldMode, oldOid), next: entry(mode, oid) });
  }
  return changes;
}

const entry = (mode: string, oid: string): TreeEntry | null => (/^0+$/.test(oid) ? null : { mode, oid });

/** Everything that a version holds. */
export async function listTree(root: string, commit: string): Promise<Map<string, TreeEntry>> {
  const found = new Map<string, TreeEntry>();
  // `100644 blob OID\tpath\0`
  for (const line of (await git(root, ['ls-tree', '-r', '-z', '--full-tree', commit])).split('\0')) {
    const match = /^(\d+) blob ([0-9a-f]+)\t(.+)$/s.exec(line);
    if (match) found.set(match[3] ?? '', { mode: match[1] ?? '', oid: match[2] ?? '' });
  }
  return found;
}

/** Lines for `git update-index -z --index-info`. `zero`: the id of nothing, as long as the ids of the repository are. */
export function indexInfo(entries: Iterable<readonly [path: string, entry: TreeEntry | null]>, zero: string): string {
  const lines: string[] = [];
  for (const [path, entry] of entries)
    lines.push(entry === null ? `0 ${zero} 0\t${path}\0` : `${entry.mode} ${entry.oid} 0\t${path}\0`);
  return lines.join('');
}

/** The id of nothing, as long as this id is. */
export const zeroLike = (oid: string): string => '0'.repeat(oid.length);

export const sameEntry = (a: TreeEntry | null, b: TreeEntry | null): boolean =>
  a === null || b === null ? a === b : a.mode === b.mode && a.oid === b.oid;
