import { lockContext } from '../lock/context.ts';
import { remoteRefs } from '../lock/look.ts';
import { isAncestor } from '../lock/view.ts';
import { isAway } from '../network/comeback.ts';
import type { Project } from '../project/project.ts';
import { readRescue } from '../push/rescue.ts';
import type { Clock } from '../system/clock.ts';

export type NewsEvent =
  /** The remote's branch is at a commit that is not here. */
  | { event: 'team-published'; commit: string }
  /** Somebody's work could not go onto the team's branch and lies on this one: the two have to be joined. */
  | { event: 'rescued-elsewhere'; branch: string };

const rescues = 'refs/heads/oxenvcs/rescue/';

/**
 * Looks at the remote from time to time (`pull.pollSeconds`) and tells what the others have done. One small request;
 * while the remote is away nothing is said, for the publisher says it.
 */
export async function listenForNews(
  project: Project,
  clock: Clock,
  signal: AbortSignal,
  tell: (event: NewsEvent) => void,
): Promise<void> {
  const told = new Set<string>();
  const news = (key: string, event: NewsEvent): void => {
    if (!told.has(key)) tell(event);
    told.add(key);
  };
  while (!signal.aborted) {
    const ctx = await lockContext(project, clock, signal);
    // While the publisher waits for the remote to come back, it asks for all of us.
    const found = isAway(ctx.remote.url) ? null : await remoteRefs(ctx, [`refs/heads/${ctx.branch}`, `${rescues}*`]);
    if (found?.outcome === 'read') {
      const ours = (await readRescue(project))?.ref;
      for (const [ref, commit] of found.refs) {
        if (ref.startsWith(rescues) && ref !== ours)
          news(ref, { event: 'rescued-elsewhere', branch: ref.slice('refs/heads/'.length) });
        if (ref === `refs/heads/${ctx.branch}` && !(await isAncestor(ctx, commit, ref)))
          news(commit, { event: 'team-published', commit });
      }
    }
    await clock.sleep(project.config.pull.pollSeconds * 1000, signal).catch((error: unknown) => {
      if (!signal.aborted) throw error;
    });
  }
}
