import { git } from '../git/run.ts';
import type { Project } from '../project/project.ts';
import { isoTime } from '../system/clock.ts';

/**
 * Refs that keep commits alive, through amend, rebase, reset and `git gc --prune=now`:
 *
 *   refs/oxenvcs/queue/<commit>          queued: until it is on the remote, or another of these refs holds it too
 *   refs/oxenvcs/dropped/<commit>        taken out of the queue by a person: until it is on the remote all the same
 *   refs/oxenvcs/kept/<date>-<commit>    rewritten away before it was published, or taken off the remote by force: see `keptFor`
 *
 * All are shared by the worktrees of a repository, so what is let go is judged by the history, never by one queue.
 */

const prefix = 'refs/oxenvcs/';
const queued = (commit: string): string => `${prefix}queue/${commit}`;
const dropped = (commit: string): string => `${prefix}dropped/${commit}`;
const kept = (commit: string, now: number): string =>
  `${prefix}kept/${isoTime(now).slice(0, 10).replaceAll('-', '')}-${commit}`;

/**
 * How long work is kept that was rewritten away before it was published: the newest hundred for good, what is older than
 * 90 days beyond these not (as long as Git's own reflog keeps what it has). So a clock that jumps lets nothing recent go.
 */
const keptFor = { count: 100, days: 90 };

export interface Refs {
  queue: string[];
  dropped: string[];
  kept: { ref: string; commit: string }[];
}

/** All of them that there are, the oldest first. */
export async function readRefs({ root }: Pick<Project, 'root'>): Promise<Refs> {
  const found: Refs = { queue: [], dropped: [], kept: [] };
  const names = ['queue', 'dropped', 'kept'].map((name) => `${prefix}${name}`);
  const listed = await git(root, ['for-each-ref', '--format=%(refname) %(objectname)', ...names]);
  for (const line of listed.split('\n')) {
    const [ref = '', commit = ''] = line.split(' ');
    if (ref.startsWith(`${prefix}queue/`)) found.queue.push(commit);
    if (ref.startsWith(`${prefix}dropped/`)) found.dropped.push(commit);
    if (ref.startsWith(`${prefix}kept/`)) found.kept.push({ ref, commit });
  }
  return found;
}

export async function keepQueued(project: Pick<Project, 'root'>, commits: readonly string[]): Promise<void> {
  await changeRefs(
    project,
    commits.map((commit) => set(queued(commit), commit)),
  );
}

/** Keeps what is superseded. What is reachable from another one that is kept, or on the remote, needs no ref of its own. */
export async function keepSuperseded(project: Project, commits: readonly string[], now: number): Promise<void> {
  if (commits.length === 0) return;
  const { kept: before } = await readRefs(project);
  const tips = await tipsOf(
    project,
    commits,
    before.map(({ commit }) => commit),
  );
  await changeRefs(
    project,
    tips.map((commit) => set(kept(commit, now), commit)),
  );
}

/** Keeps what the remote had and has no more. */
export const keep = async (project: Pick<Project, 'root'>, commit: string, now: number): Promise<void> =>
  await changeRefs(project, [set(kept(commit, now), commit)]);

export async function markDropped(project: Project, commits: readonly string[]): Promise<void> {
  await changeRefs(
    project,
    commits.map((commit) => set(dropped(commit), commit)),
  );
}

export async function unmarkDropped(project: Project, commits: readonly string[]): Promise<void> {
  await changeRefs(
    project,
    commits.map((commit) => remove(dropped(commit))),
  );
}

/**
 * Lets go what need not be kept any more: what is on the remote, queue refs whose commit is below another one that is
 * kept, and superseded work that is too old. `needed`: queue refs that stay in any case.
 */
export async function tidyRefs(project: Project, refs: Refs, needed: ReadonlySet<string>, now: number): Promise<void> {
  const spare = refs.queue.filter((commit) => !needed.has(commit));
  const changes: string[] = [];
  if (spare.length > 0) {
    const holders = [...needed, ...refs.dropped, ...refs.kept.map(({ commit }) => commit)];
    const tips = new Set(await tipsOf(project, spare, holders));
    changes.push(...spare.filter((commit) => !tips.has(commit)).map((commit) => remove(queued(commit))));
  }
  const others = [...refs.kept, ...refs.dropped.map((commit) => ({ ref: dropped(commit), commit }))];
  const here = await notOnRemote(
    project,
    others.map(({ commit }) => commit),
  );
  const published = others.filter(({ commit }) => !here.has(commit));
  const oldest = kept('', now - keptFor.days * 86_400_000);
  const tooOld = refs.kept.slice(0, -keptFor.count).filter(({ ref }) => ref < oldest);
  for (const ref of new Set([...published, ...tooOld].map((one) => one.ref))) changes.push(remove(ref));
  await changeRefs(project, changes);
}

/** Which of them the remote is not known to have on any branch. */
export async function notOnRemote(project: Project, commits: readonly string[]): Promise<Set<string>> {
  const reached = await reachable(project, commits, [], []);
  return new Set(commits.filter((commit) => reached.has(commit)));
}

/** Those that neither the remote's branches nor `holders` reach, nor any other of them. */
async function tipsOf(project: Project, commits: readonly string[], holders: readonly string[]): Promise<string[]> {
  const reached = await reachable(project, commits, holders, ['--parents']);
  const parents = new Set([...reached.values()].flat());
  return commits.filter((commit) => reached.has(commit) && !parents.has(commit));
}

/** Commits that are reached from some but not from `holders` and the remote's branches, each with its parents if asked for. */
async function reachable(
  { root, config }: Project,
  from: readonly string[],
  holders: readonly string[],
  options: readonly string[],
): Promise<Map<string, string[]>> {
  if (from.length === 0) return new Map();
  const input = [...from, ...holders.map((commit) => `^${commit}`)].map((line) => `${line}\n`).join('');
  const args = ['rev-list', ...options, '--ignore-missing', '--stdin', '--not', `--remotes=${config.remote}`];
  const lines = (await git(root, args, { input })).split('\n').filter(Boolean);
  return new Map(
    lines.map((line) => {
      const [commit = '', ...parents] = line.split(' ');
      return [commit, parents];
    }),
  );
}

const set = (ref: string, commit: string): string => `update ${ref}\0${commit}\0\0`;
const remove = (ref: string): string => `delete ${ref}\0\0`;

async function changeRefs({ root }: Pick<Project, 'root'>, changes: string[]): Promise<void> {
  if (changes.length > 0) await git(root, ['update-ref', '-z', '--stdin'], { input: changes.join('') });
}
