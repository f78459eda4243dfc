import { changes } from '../commit/changes.ts';
import { Failure } from '../model/failures.ts';
import type { Project } from '../project/project.ts';

/** Tells, once, of each folder that may not be read. */
export function closedFolders(tell: (event: { event: 'trouble'; failure: Failure }) => void): (folder: string) => void {
  const told = new Set<string>();
  return (folder) => {
    if (!told.has(folder)) tell({ event: 'trouble', failure: closed(folder) });
    told.add(folder);
  };
}

/** Those of now, for `status`. */
export async function closedNow({ root }: Project): Promise<Failure[]> {
  const found: string[] = [];
  await changes(root, (folder) => found.push(folder));
  return found.map(closed);
}

const closed = (folder: string): Failure =>
  new Failure('no-rights', { detail: `the folder ${folder} may not be read, and what is in it comes into no version` });
