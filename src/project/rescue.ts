import path from 'node:path';
import * as v from 'valibot';
import { type Project, refCommit, remoteBranchRef } from './project.ts';
import { readRecord } from './state.ts';

/** What this machine notes of work of its own that is on a rescue branch of the remote (push/rescue.ts). */
const schema = v.object({
  v: v.literal(1),
  /** On the remote: `refs/heads/oxenvcs/rescue/<user>/<YYYYMMDDTHHMMSSZ>`. */
  ref: v.pipe(v.string(), v.startsWith('refs/heads/oxenvcs/rescue/')),
  branch: v.string(),
  since: v.string(),
  /** The commit that it was last put at; once the team's branch holds that, this rescue is over. */
  tip: v.optional(v.string()),
  /**
   * The team has not gone on without it: it waits for the lock, or for the remote to allow it, and what lies there is a copy
   * outside this computer.
   */
  waits: v.optional(v.boolean()),
});

export type Rescue = v.InferOutput<typeof schema>;

/** In Git's folder, where `git clean -fdx` does not reach it: what waits would be taken for published. */
export const rescueFile = ({ gitDir }: Pick<Project, 'gitDir'>): string => path.join(gitDir, 'oxenvcs', 'rescue.json');

/** The rescue that is under way for the published branch, or null. */
export async function readRescue(project: Project): Promise<Rescue | null> {
  const read = await readRecord(project, rescueFile(project), schema);
  return read.state === 'ok' && read.value.branch === project.config.branch ? read.value : null;
}

/** Its branch, without `refs/heads/`: as people and the queue name it. */
export const rescueBranch = ({ ref }: Pick<Rescue, 'ref'>): string => ref.replace(/^refs\/heads\//, '');

/**
 * Arguments for rev-list that leave out what the remote is known to have: the branch, and work that was rescued (but not a
 * copy of what still waits).
 */
export async function notPublished(project: Project): Promise<string[]> {
  const branch = await refCommit(project, remoteBranchRef(project));
  const rescue = await readRescue(project);
  const prefix = `refs/remotes/${project.config.remote}/`;
  return [
    '--not',
    ...(branch === null ? [] : [branch]),
    ...(rescue?.waits === true ? [`--exclude=${prefix}${rescueBranch(rescue)}`] : []),
    `--glob=${prefix}oxenvcs/rescue/*`,
  ];
}
