import path from 'node:path';
import { gitLine } from '../git/run.ts';
import { type Config, defaults } from '../model/config.ts';
import { configPath, currentBranch, loadConfig, openProject } from '../project/project.ts';
import { exists } from '../system/disk.ts';
import { removeSetupIndex } from './first-version.ts';
import { findPlace } from './place.ts';
import type { Sight } from './remote.ts';
import { hasNoCommits, isEmptyRepository, mendIndex } from './repository.ts';

/** What there is in a folder before it is set up. */
export interface Standing {
  root: string;
  config: Config;
  /** `none`: no repository. `empty`: one without a commit, with nothing staged. `used`: the user's own, or ours. */
  repository: 'none' | 'empty' | 'used';
  hasCommits: boolean;
  /** Are the team's settings there? */
  isProject: boolean;
  checkedOut: string | null;
}

export async function standing(root: string): Promise<Standing> {
  const config = await loadConfig(root);
  const isProject = await exists(path.join(root, configPath));
  const { isRepository } = await findPlace(root);
  if (!isRepository) return { root, config, repository: 'none', hasCommits: false, isProject, checkedOut: null };
  const gitDir = await gitLine(root, ['rev-parse', '--absolute-git-dir']);
  await mendIndex(root, gitDir);
  await removeSetupIndex(gitDir);
  const hasCommits = !(await hasNoCommits(root));
  const repository = (await isEmptyRepository(root, gitDir)) ? 'empty' : 'used';
  const checkedOut = await currentBranch(await openProject(root));
  return { root, config, repository, hasCommits, isProject, checkedOut };
}

/** Which branch is published: the one asked for, else the one that the settings name, else the one that is there. Pure. */
export function chooseBranch(asked: string | undefined, here: Standing, sight: Sight | null): string {
  if (asked !== undefined) return asked;
  if (here.isProject || here.config.branch !== defaults.branch) return here.config.branch;
  const cloned = here.hasCommits || sight?.state !== 'seen' ? null : sight.head?.branch;
  return cloned ?? here.checkedOut ?? defaults.branch;
}

/** The commit that the remote has of a branch, as far as was seen. Pure. */
export function tipSeen(sight: Sight | null, branch: string): string | null {
  if (sight?.state !== 'seen') return null;
  return sight.head?.branch === branch ? sight.head.tip : sight.tip;
}
