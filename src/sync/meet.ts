import { joinCommit } from '../conflict/merge.ts';
import { relate } from '../conflict/parted.ts';
import type { Project } from '../project/project.ts';
import type { Team } from './team.ts';

/** What becomes of a version that is to be published, when it meets what the team has published. */
export type Met =
  /** `commit` goes onto the branch: the version itself, or a later one that holds it. */
  | { outcome: 'straight' | 'joined'; commit: string }
  /** Both have worked on the same thing: a person decides. */
  | { outcome: 'conflict'; theirs: string }
  /** The remote holds another project. */
  | { outcome: 'unrelated' };

/** Sends nothing. */
export async function meet(project: Project, tip: string, team: Team): Promise<Met> {
  if (team.tip === null) return { outcome: 'straight', commit: tip };
  const relation = await relate(project, tip, team.tip);
  if (relation.is === 'ahead') return { outcome: 'straight', commit: tip };
  if (relation.is === 'behind') return { outcome: 'straight', commit: team.tip };
  if (relation.unrelated) return { outcome: 'unrelated' };
  if (relation.compared.inCommon.length > 0) return { outcome: 'conflict', theirs: team.tip };
  return { outcome: 'joined', commit: await joinCommit(project, relation) };
}
