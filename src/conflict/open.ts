import { git, tryGit } from '../git/run.ts';
import { branchTip, type Project } from '../project/project.ts';
import { type Parted, relate } from './parted.ts';

/** Work that two people did at once, and that waits for a decision. */
export interface Conflict {
  /** Of the rescue branch: `ann-20261124T100200Z`. */
  id: string;
  /** The branch of the remote that the work lies on which could not go onto the team's: `oxenvcs/rescue/ann/…`. */
  rescue: string;
  /** It is this clone's work that lies there; else somebody else's, and "mine" is what the team's branch holds. */
  isOurs: boolean;
  /** What both have worked on: files, and packages by their names. */
  files: string[];
  mine: Side;
  theirs: Side;
  parted: Parted;
}

/** The last version of one side that concerns what both have worked on. */
export interface Side {
  author: string;
  at: string;
  commit: string;
}

/**
 * The conflicts that are open, as far as is known here. `team`: where the team's branch is. `own`: the ref of the remote
 * that this clone's versions go to, if they do; they count as they are now, not as they were last sent.
 */
export async function openConflicts(project: Project, team: string | null, own: string | null): Promise<Conflict[]> {
  if (team === null) return [];
  const { root } = project;
  const local = await branchTip(project);
  const rescues = await rescueRefs(project);
  const name = own?.replace(/^refs\/heads\//, '');
  if (name !== undefined && local !== null) rescues.set(name, local);
  const found: Conflict[] = [];
  for (const [rescue, commit] of rescues) {
    if (rescue !== name && (await isIn(root, commit, team))) continue; // that one is over
    const isOurs = local !== null && (await isIn(root, commit, local));
    const relation = await relate(project, isOurs ? local : commit, team);
    // What has nothing in common is joined by whose it is.
    if (relation.is !== 'parted' || relation.unrelated || relation.compared.inCommon.length === 0) continue;
    const { ours, theirs, compared } = relation;
    const paths = compared.inCommon.flatMap((one) => one.paths);
    const sides = [await sideOf(root, ours, theirs, paths), await sideOf(root, theirs, ours, paths)] as const;
    const [mine, other] = isOurs ? sides : [sides[1], sides[0]];
    const files = compared.inCommon.map((one) => one.name);
    found.push({ id: idOf(rescue), rescue, isOurs, files, mine, theirs: other, parted: relation });
  }
  return found;
}

const idOf = (rescue: string): string => rescue.replace(/^oxenvcs\/rescue\//, '').replaceAll('/', '-');

/** Name → commit, of the rescue branches that the remote is known to have. */
async function rescueRefs({ root, config }: Project): Promise<Map<string, string>> {
  const prefix = `refs/remotes/${config.remote}/`;
  const listed = await git(root, ['for-each-ref', '--format=%(objectname) %(refname)', `${prefix}oxenvcs/rescue/`]);
  return new Map(
    listed
      .split('\n')
      .filter(Boolean)
      .map((line) => {
        const [commit = '', ref = ''] = line.split(' ');
        return [ref.slice(prefix.length), commit];
      }),
  );
}

const isIn = async (root: string, commit: string, newer: string): Promise<boolean> =>
  (await tryGit(root, ['merge-base', '--is-ancestor', commit, newer])).exitCode === 0;

/** So many paths go onto one command line. */
const mostPaths = 100;

async function sideOf(root: string, tip: string, other: string, paths: readonly string[]): Promise<Side> {
  const args = ['log', '--max-count=1', '--no-merges', '--format=%H%x00%an%x00%ct', tip, `^${other}`, '--'];
  const env = { GIT_LITERAL_PATHSPECS: '1' };
  const told =
    (await git(root, [...args, ...paths.slice(0, mostPaths)], { env })) ||
    (await git(root, ['log', '--max-count=1', '--format=%H%x00%an%x00%ct', tip, '--']));
  const [commit = '', author = '', seconds = ''] = told.trimEnd().split('\0');
  return { author, at: new Date(Number(seconds) * 1000).toISOString(), commit };
}
