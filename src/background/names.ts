import type { Change } from '../commit/changes.ts';
import { git } from '../git/run.ts';
import type { Failure } from '../model/failures.ts';
import { isUnreadable, oddNames } from '../model/names.ts';
import type { Project } from '../project/project.ts';

/** A file whose name another computer cannot hold. */
export interface NameEvent {
  event: 'odd-name';
  path: string;
  failure: Failure;
}

/** Tells of each new file at once, and once, if its name is odd. Gives those of the changes that can come into a version. */
export function watchNames(project: Project, tell: (event: NameEvent) => void): (found: Change[]) => Promise<Change[]> {
  let checked = new Set<string>();
  return async (found) => {
    const added = found.filter(({ status }) => status === 'added').map(({ path }) => path);
    const fresh = added.filter((path) => !checked.has(path));
    // Those that were committed or are gone need not be remembered.
    checked = new Set(added);
    if (fresh.length > 0)
      for (const odd of oddNames(fresh, await namesIn(project, ['--cached']))) tell({ event: 'odd-name', ...odd });
    return found.filter(({ path }) => !isUnreadable(path));
  };
}

/** The odd names of the project, for `status`; at most so many. */
export async function oddNamesNow(project: Project, most = 3): Promise<Failure[]> {
  const all = await namesIn(project, ['--cached', '--others', '--exclude-standard']);
  return oddNames(all, all)
    .slice(0, most)
    .map(({ failure }) => failure);
}

const namesIn = async ({ root }: Project, which: string[]): Promise<string[]> =>
  (await git(root, ['ls-files', '-z', ...which])).split('\0').filter(Boolean);
