import { leaveOut } from '../commit/leave-out.ts';
import type { Failure } from '../model/failures.ts';
import { branchTip, type Project } from '../project/project.ts';
import { fileLimit, learnLimit } from '../push/file-limit.ts';

/**
 * Sees to it that what waits fits through the remote's limit on one file. `refused`: the remote has just turned a push
 * down for that, and its limit is learned from it. True: versions were made anew without what is too large.
 */
export async function fitToLimit(project: Project, refused: Failure | null): Promise<boolean> {
  const tip = await branchTip(project);
  if (tip === null) return false;
  const limit = refused === null ? await fileLimit(project) : await learnLimit(project, tip, refused);
  return limit !== null && (await leaveOut(project, tip, limit)).outcome === 'remade';
}
