import { git, tryGit } from '../git/run.ts';
import { branchTip, notPublished, type Project } from '../project/project.ts';
import { type Entry, enqueueAll, finish, keepAlive, listQueue, type Listed, supersede } from './entries.ts';

/**
 * Brings the queue in line with Git, which is the truth: every commit of the branch that is neither published nor queued
 * gets its entry again (`git clean -fdx` must lose nothing), and entries whose commit is published or was rewritten away
 * from the branch end. Returns the queue as it stands then.
 */
export async function rebuildQueue(project: Project, createdAt: string): Promise<Listed> {
  const { config } = project;
  const listed = await listQueue(project);
  const tip = await branchTip(project);
  if (tip === null) return listed;
  const waiting = await unpublished(project, tip);
  const known = new Set(listed.entries.filter(({ kind }) => kind === 'publish').map(({ commit }) => commit));
  const missing = waiting.filter(({ commit }) => !known.has(commit));
  const wanted = new Set(waiting.map(({ commit }) => commit));
  const over = listed.entries.filter(
    (entry) => entry.kind === 'publish' && entry.branch === config.branch && !wanted.has(entry.commit),
  );
  const added = missing.length > 0 ? await enqueueAll(project, config.branch, missing, createdAt) : [];
  await supersede(project, await unreachable(project, over));
  await finish(project, over);
  const entries = [...listed.entries.filter((entry) => !over.includes(entry)), ...added].toSorted(byHistory);
  // A hook in plain sh queues without a ref; so does a lost disk block.
  await keepAlive(
    project,
    entries.filter(({ kind }) => kind === 'publish').map(({ commit }) => commit),
  );
  return { entries, damaged: listed.damaged };
}

/** Those that are neither on the branch nor on the remote. A commit that is gone altogether cannot be kept. */
async function unreachable(project: Project, entries: readonly Entry[]): Promise<Entry[]> {
  const found: Entry[] = [];
  for (const entry of entries) {
    const known = await tryGit(project.root, [
      'for-each-ref',
      '--count=1',
      '--contains',
      entry.commit,
      'refs/heads',
      'refs/remotes',
    ]);
    if (known.exitCode === 0 && known.stdout.length === 0) found.push(entry);
  }
  return found;
}

/** The branch's own line of commits that the remote is not known to have, oldest first, with their place in history. */
async function unpublished(project: Project, tip: string): Promise<{ commit: string; seq: number }[]> {
  const not = await notPublished(project);
  const commits = (await git(project.root, ['rev-list', '--reverse', '--topo-order', tip, ...not, '--']))
    .split('\n')
    .filter(Boolean);
  if (commits.length === 0) return [];
  const total = Number(await git(project.root, ['rev-list', '--count', tip, '--']));
  // In a line of commits the place follows from the tip's; beside a merge it still rises.
  return commits.map((commit, i) => ({ commit, seq: total - commits.length + i + 1 }));
}

const byHistory = (a: Entry, b: Entry): number => a.seq - b.seq || (a.id < b.id ? -1 : 1);
