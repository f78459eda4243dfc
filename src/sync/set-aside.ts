import type { LockContext } from '../lock/context.ts';
import type { Project } from '../project/project.ts';
import { readRescue, rescueBranch } from '../project/rescue.ts';
import { beginRescue, noteRescued } from '../push/rescue.ts';
import { failureOf, readAttempts } from '../queue/attempts.ts';
import { listQueue, noteRescue } from '../queue/entries.ts';
import { isoTime } from '../system/clock.ts';

/**
 * Nobody has worked here for so long that the lock is let go. Versions that the remote does not take onto the team's branch
 * would lie on this computer alone while the others go on: they become a rescue, which everybody can see. The next save that
 * the remote takes ends it. False: there are none; what is only offline goes out by itself.
 */
export async function setAside(project: Project, ctx: LockContext): Promise<boolean> {
  const { branch } = project.config;
  const attempt = (await readAttempts(project)).find((one) => one.kind === 'publish' && one.branch === branch);
  if (attempt?.state !== 'halted' || failureOf(attempt)?.code !== 'REMOTE_REFUSED') return false;
  const tip = (await listQueue(project)).entries.findLast((one) => one.kind === 'publish' && one.branch === branch);
  if (tip === undefined) return false;
  const before = await readRescue(project);
  if (before?.waits === true && before.tip === tip.commit) return false; // that was done
  const rescue = before ?? (await beginRescue(project, ctx));
  await noteRescued(project, { ...rescue, tip: tip.commit, waits: true });
  const to = rescueBranch(rescue);
  await noteRescue(project, { commit: tip.commit, branch: to, createdAt: isoTime(ctx.clock.now()) });
  return true;
}
