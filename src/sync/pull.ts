import { checkOut } from '../checkout/checkout.ts';
import type { DawProfile } from '../daw/profile.ts';
import { git, gitLine } from '../git/run.ts';
import { Failure } from '../model/failures.ts';
import { branchTip, currentBranch, type Project } from '../project/project.ts';
import { askTeam, contains } from './team.ts';

export interface Pulled {
  /** How many versions were brought in; 0: there were none. */
  pulled: number;
  /** The commit that the branch is at now; null: neither side has one. */
  commit: string | null;
}

/**
 * Brings in what the team has published, by fast-forward only, and only where nothing here would be overwritten: see
 * checkout/. Throws `offline`, `auth`…; `diverged`; `not-now`; `daw-runs`; `would-overwrite`; `disk-full`.
 */
export async function pull(project: Project, profile: DawProfile, signal?: AbortSignal): Promise<Pulled> {
  const { tip } = await askTeam(project, signal);
  return await bringIn(project, profile, tip);
}

/**
 * The same with what was asked for before: nothing is sent. `byItself`: nobody asks for it, so it must be sure that no
 * DAW runs.
 */
export async function bringIn(
  project: Project,
  profile: DawProfile,
  theirs: string | null,
  { byItself = false }: { byItself?: boolean } = {},
): Promise<Pulled> {
  const { root, config } = project;
  const ours = await branchTip(project);
  if (theirs === null || theirs === ours || (ours !== null && (await contains(root, ours, theirs))))
    return { pulled: 0, commit: ours };
  if (ours !== null && !(await contains(root, theirs, ours))) throw new Failure('diverged', { branch: config.branch });
  const range = ours === null ? [theirs] : [theirs, `^${ours}`];
  const pulled = Number(await gitLine(root, ['rev-list', '--count', ...range, '--']));
  if ((await currentBranch(project)) !== config.branch)
    // Nothing of it is in the work tree: only the branch moves, and only from where we saw it.
    await git(root, ['update-ref', '-m', 'oxenvcs pull', `refs/heads/${config.branch}`, theirs, ours ?? '']);
  else
    await checkOut(project, {
      from: ours,
      to: theirs,
      profile,
      why: 'oxenvcs pull',
      byItself: byItself ? { reserve: config.disk.reserveBytes } : null,
    });
  return { pulled, commit: theirs };
}
