import { git } from '../git/run.ts';
import { configPath } from '../project/project.ts';

/** A file of the work tree that differs from HEAD. The path is relative to the project, with `/`. */
export interface Change {
  path: string;
  status: 'modified' | 'added' | 'deleted';
  /** The user has staged exactly this, and not changed it since: theirs to commit. */
  staged: boolean;
}

/**
 * How the work tree differs from HEAD, staged or not, as git sees it: ignore files, filters and all. Submodules and nested
 * repositories are left out. `onClosed` is told of folders that may not be read: of what is new in them git knows nothing.
 * Throws `folder-vanished` and what else git's failures mean.
 */
export async function changes(root: string, onClosed: (folder: string) => void = () => undefined): Promise<Change[]> {
  const args = ['status', '--porcelain=v2', '-z', '--untracked-files=all', '--no-renames', '--ignore-submodules=all'];
  const onStderr = (line: string): void => {
    const folder = /^warning: could not open directory '(.+?)\/?': /.exec(line)?.[1];
    if (folder !== undefined) onClosed(folder);
  };
  return parseStatus(await git(root, args, { onStderr }));
}

/** Reads `git status --porcelain=v2 -z --no-renames`. Pure. */
export function parseStatus(text: string): Change[] {
  const found = new Map<string, Change>();
  for (const entry of text.split('\0')) {
    const one = parseEntry(entry);
    if (one === null || isOurs(one.path)) continue;
    // Taken out of the index by hand, but still there: a line for the index, and one as untracked.
    found.set(one.path, found.has(one.path) ? { ...one, status: 'modified' } : one);
  }
  return [...found.values()];
}

/**
 * `1 XY sub mH mI mW hH hI path`, `u XY sub m1 m2 m3 mW h1 h2 h3 path`, `? path`. X is HEAD against the index, Y the
 * index against the work tree.
 */
function parseEntry(entry: string): Change | null {
  if (entry.startsWith('? ')) {
    const path = entry.slice(2);
    // A nested repository is shown as a folder.
    return path.endsWith('/') ? null : { path, status: 'added', staged: false };
  }
  const match = /^(?:1 (..) (.)(?:\S+ ){6}|u (..) (.)(?:\S+ ){8})(.+)$/s.exec(entry);
  if (match === null || (match[2] ?? match[4]) === 'S') return null;
  const path = match[5] ?? '';
  if (match[3] !== undefined) return { path, status: 'modified', staged: false };
  const [x = '', y = ''] = match[1] ?? '';
  const staged = x !== '.' && y === '.';
  if (y === 'D') return x === 'A' ? null : { path, status: 'deleted', staged };
  if (x === 'D') return { path, status: 'deleted', staged };
  return { path, status: x === 'A' || y === 'A' ? 'added' : 'modified', staged };
}

/** This machine's own files; git ignores them, unless somebody has taken that line out. */
const isOurs = (path: string): boolean => path.startsWith('.oxenvcs/') && path !== configPath;
