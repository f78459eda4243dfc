import { detectDaw, isSession, profileNamed } from '../daw/match.ts';
import type { DawProfile } from '../daw/profile.ts';
import { gitFailure } from '../git/failures.ts';
import { git, tryGit } from '../git/run.ts';
import { diffTrees, listTree, type TreeChange } from '../git/tree.ts';
import type { Project } from '../project/project.ts';
import { compare, type Compared, isSettings } from './compare.ts';

/** Two histories that both went on since they parted. */
export interface Parted {
  /** What would be joined to the team's branch. */
  ours: string;
  /** Where the team's branch is. */
  theirs: string;
  /** What each side changed since. */
  here: readonly TreeChange[];
  there: readonly TreeChange[];
  compared: Compared;
  /** They never had a version in common, ours holds music, and the team's branch a session that ours does not know: another project. */
  unrelated: boolean;
  daw: DawProfile;
}

/** How two commits stand to each other. */
export type Relation =
  /** `ours` holds all that `theirs` does. */
  | { is: 'ahead' }
  /** `theirs` holds all that `ours` does. */
  | { is: 'behind' }
  | ({ is: 'parted' } & Parted);

export async function relate(project: Project, ours: string, theirs: string): Promise<Relation> {
  const { root } = project;
  const bases = await mergeBases(root, ours, theirs);
  if (bases.includes(theirs)) return { is: 'ahead' };
  if (bases.includes(ours)) return { is: 'behind' };
  const [here, there] = [await changesSince(root, bases, ours), await changesSince(root, bases, theirs)];
  const daw = await dawOf(project, [ours, theirs]);
  const known = new Set(here.map(({ path }) => path));
  // Who cloned before the first song was there has only the settings that every project begins with.
  const isEmpty = here.every(({ path }) => isSettings(path));
  const unrelated =
    bases.length === 0 && !isEmpty && there.some(({ path }) => isSession(daw, path) && !known.has(path));
  return { is: 'parted', ours, theirs, here, there, compared: compare(daw, here, there), unrelated, daw };
}

async function mergeBases(root: string, ours: string, theirs: string): Promise<string[]> {
  const args = ['merge-base', '--all', ours, theirs];
  const result = await tryGit(root, args);
  // 1: there is none.
  if (result.exitCode !== 0 && result.exitCode !== 1) throw gitFailure(result, args, undefined, root);
  return result.stdout.toString('utf8').split('\n').filter(Boolean);
}

/** Where histories crossed there are several bases: what differs from one of them counts as changed, so that no change is missed. */
async function changesSince(root: string, bases: readonly string[], tip: string): Promise<TreeChange[]> {
  const found = new Map<string, TreeChange>();
  for (const base of bases.length === 0 ? [null] : bases)
    for (const change of await diffTrees(root, base, tip)) if (!found.has(change.path)) found.set(change.path, change);
  return [...found.values()];
}

/** The DAW by what the versions hold, so that both sides judge alike. */
async function dawOf({ root, config }: Project, commits: readonly string[]): Promise<DawProfile> {
  const named = profileNamed(config.daw);
  if (named !== undefined) return named;
  const paths = new Set<string>();
  for (const commit of commits) for (const path of (await listTree(root, commit)).keys()) paths.add(path);
  return detectDaw([...paths]);
}

/** Who made the versions that are in `commit` and not in `others`: at most three names. */
export async function authorsOf(root: string, commit: string, others: readonly string[]): Promise<string[]> {
  const not = others.map((other) => `^${other}`);
  const args = ['log', '--no-merges', '-z', '--max-count=1000', '--format=%an', commit, ...not, '--'];
  const names = new Set((await git(root, args)).split('\0').filter(Boolean));
  return [...names].slice(0, 3);
}
