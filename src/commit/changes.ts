import { git } from '../git/run.ts';

/** A file that differs between the work tree and HEAD. */
export interface Change {
  path: string;
  /** The user has staged exactly this, and not changed it since: theirs to commit. */
  staged: boolean;
}

/**
 * What differs from the last version, as git sees it: ignore files, filters and all. Nested repositories and submodules
 * are left alone. Throws `folder-vanished` when the project is gone.
 */
export async function changes(root: string): Promise<Change[]> {
  const args = ['status', '--porcelain=v2', '-z', '--untracked-files=all', '--no-renames', '--ignore-submodules=all'];
  return parseStatus(await git(root, args));
}

/** Pure. Lines of `git status --porcelain=v2 -z`. */
export function parseStatus(text: string): Change[] {
  const found: Change[] = [];
  for (const line of text.split('\0')) {
    // `? path`, `1 XY sub mH mI mW hH hI path`, `u XY sub m1 m2 m3 mW h1 h2 h3 path`
    const match = /^(?:\? |1 (..) (?:\S+ ){6}|u (..) (?:\S+ ){8})([^]+)$/.exec(line);
    const path = match?.[3];
    if (path === undefined || path.endsWith('/') || isOurs(path)) continue;
    const states = match?.[1] ?? '??';
    found.push({ path, staged: states[0] !== '.' && states[0] !== '?' && states[1] === '.' });
  }
  return found;
}

/** This machine's own files; git ignores them, unless somebody has taken that line out. */
const isOurs = (path: string): boolean => path.startsWith('.oxenvcs/') && path !== '.oxenvcs/config.json';
