import { type Change, changes } from '../commit/changes.ts';
import { bySize } from '../commit/oversized.ts';
import type { Failure } from '../model/failures.ts';
import type { Project } from '../project/project.ts';
import { fileLimit, keptFileLimit, leftOut } from '../push/file-limit.ts';

/** Larger than the remote takes: it comes into no version. */
export interface LeftOutEvent {
  event: 'left-out';
  path: string;
  failure: Failure;
}

export interface LargeFiles {
  /** Of these changes, those that may come into a version. */
  leaveOut: (found: Change[]) => Promise<Change[]>;
  /** What was left out the last time. */
  names: () => string[];
}

/** What the remote would refuse for its size stays in the folder: the versions say so, and each file is told once. */
export function largeFiles(project: Project, tell: (event: LeftOutEvent) => void): LargeFiles {
  let over: string[] = [];
  const limitNow = keptFileLimit(project);
  return {
    names: () => over,
    async leaveOut(found) {
      if (found.length === 0) return found;
      const limit = await limitNow();
      const sorted = await bySize(project.root, pathsOf(found), limit);
      for (const { path, size } of sorted.over)
        if (limit !== null && !over.includes(path))
          tell({ event: 'left-out', path, failure: leftOut(path, Number(size), limit) });
      over = sorted.over.map(({ path }) => path);
      return found.filter(({ path }) => !over.includes(path));
    },
  };
}

/** What lies in the folder now and is too large, for `status`. */
export async function largeNow(project: Project): Promise<Failure[]> {
  const limit = await fileLimit(project);
  if (limit === null) return [];
  const { over } = await bySize(project.root, pathsOf(await changes(project.root)), limit);
  return over.map(({ path, size }) => leftOut(path, Number(size), limit));
}

const pathsOf = (found: readonly Change[]): string[] => found.map(({ path }) => path);
