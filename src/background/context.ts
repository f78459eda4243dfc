import * as fs from 'node:fs/promises';
import path from 'node:path';
import { type LockContext, lockContext } from '../lock/context.ts';
import type { Project } from '../project/project.ts';
import type { Clock } from '../system/clock.ts';
import { ifMissing } from '../system/disk.ts';

/** The lock's context, found out anew, which takes three processes, only when git's settings of the project were written. */
export function contextOf(project: Project, clock: Clock, signal: AbortSignal): () => Promise<LockContext> {
  let known: { at: number | null; ctx: LockContext } | null = null;
  return async () => {
    // A linked worktree has its settings elsewhere.
    const at = (await fs.stat(path.join(project.gitDir, 'config')).catch(ifMissing(null)))?.mtimeMs ?? null;
    if (known === null || at === null || at !== known.at)
      known = { at, ctx: await lockContext(project, clock, signal) };
    return known.ctx;
  };
}
