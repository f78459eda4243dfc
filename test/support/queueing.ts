import { randomUUID } from 'node:crypto';
import * as fs from 'node:fs/promises';
import path from 'node:path';
import { git, gitLine } from '../../src/git/run.ts';
import type { Project } from '../../src/project/project.ts';
import { readAttempts, showQueue } from '../../src/queue/attempts.ts';
import type { DrainPorts, Group } from '../../src/queue/drain.ts';
import { lookAtQueue } from '../../src/queue/rebuild.ts';
import { systemClock } from '../../src/system/clock.ts';
import { projectWithRemote } from './project.ts';

/** When the tests' entries were made. */
export const at = '2026-01-01T00:00:00.000Z';

/** A project whose one version is on the remote, as far as is known here. */
export async function queueing(files?: Record<string, string>) {
  const { project, ...rest } = await projectWithRemote(files);
  await publishedUpTo(project, 'HEAD');
  return { project, ...rest };
}

/** Versions made by hand, without hooks; gives their commits. */
export async function versions({ root }: Pick<Project, 'root'>, count: number): Promise<string[]> {
  const made: string[] = [];
  for (let i = 0; i < count; i++) {
    // The same message in the same second would be the same commit.
    await git(root, ['commit', '--quiet', '--allow-empty', '-m', `version ${randomUUID()}`]);
    made.push(await gitLine(root, ['rev-parse', 'HEAD']));
  }
  return made;
}

/** The remote is known to have this. */
export async function publishedUpTo({ root }: Pick<Project, 'root'>, commit: string): Promise<void> {
  await git(root, ['update-ref', 'refs/remotes/origin/main', commit]);
}

export const queueFiles = async ({ root }: Pick<Project, 'root'>): Promise<string[]> =>
  (await fs.readdir(path.join(root, '.oxenvcs', 'queue'))).toSorted();

/** The refs of ours that keep commits alive, by their last part. */
export async function ourRefs({ root }: Pick<Project, 'root'>, kind: 'queue' | 'dropped' | 'kept'): Promise<string[]> {
  const listed = await git(root, ['for-each-ref', '--format=%(objectname)', `refs/oxenvcs/${kind}`]);
  return listed.split('\n').filter(Boolean);
}

/** What `queue list` shows. */
export async function shown(project: Project) {
  const { entries } = await lookAtQueue(project);
  return showQueue(entries, await readAttempts(project), project.config.branch);
}

/** Everything that Git keeps only by its own memory goes. */
export async function forget({ root }: Pick<Project, 'root'>): Promise<void> {
  await git(root, ['update-ref', '-d', 'ORIG_HEAD']);
  await git(root, ['reflog', 'expire', '--expire=now', '--all']);
  await git(root, ['gc', '--quiet', '--prune=now']);
}

/** A consumer that publishes by noting it; `pushed` is what it was asked for. */
export function consumer(project: Project, over: Partial<DrainPorts<string>> = {}) {
  const pushed: Pick<Group, 'kind' | 'branch' | 'tip'>[] = [];
  const ports: DrainPorts<string> = {
    clock: systemClock,
    patienceMs: 0,
    backoffMs: () => 1000,
    signal: new AbortController().signal,
    urgency: 'when-due',
    ...over,
    publish: async (group, signal) => {
      const { kind, branch, tip } = group;
      pushed.push({ kind, branch, tip });
      await over.publish?.(group, signal);
      const tracking = kind === 'rescue' ? `refs/remotes/origin/${branch}` : 'refs/remotes/origin/main';
      await git(project.root, ['update-ref', tracking, tip]);
      return tip;
    },
  };
  return { pushed, ports };
}
