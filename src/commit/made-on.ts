import os from 'node:os';
import { dawsOf } from '../daw/match.ts';
import type { DawProfile } from '../daw/profile.ts';
import { git, gitLine, tryGit } from '../git/run.ts';
import type { Captured } from '../model/save.ts';
import { type Project, refCommit, remoteBranchRef } from '../project/project.ts';
import { runningPrograms, startTimes } from '../system/processes.ts';

/**
 * The parent of a version that is made of these saved sessions. That is HEAD, but for one case: DAWs keep the session in memory,
 * so one that was started before the team's version of it was brought in (by a `git pull` by hand, or in the very moment)
 * has saved over it without knowing it. What it saves counts as made on the version that was there when it started: then
 * the two meet as two versions of one session do, instead of one silently taking the place of the other.
 */
export async function parentOf(
  project: Project,
  profile: DawProfile,
  saved: readonly Captured[],
  head: string,
): Promise<string> {
  if (saved.length === 0) return head;
  for (const move of await movesSinceBoot(project)) {
    const replaced: string[] = [];
    for (const { path, oid } of saved) {
      const [before, after, now] = [
        await blobAt(project, move.from, path),
        await blobAt(project, move.to, path),
        await blobAt(project, head, path),
      ];
      // Once the DAW has saved over it, what lies there is its own.
      if (before !== null && after !== before && now === after && oid !== now) replaced.push(path);
    }
    if (replaced.length === 0 || !(await isTeams(project, move.to))) continue;
    if (await anyStartedBefore(profile, replaced, move.at)) return await onto(project, move, head);
  }
  return head;
}

/** HEAD went from one commit to another, and the files with it; `at`: ms since 1970. */
interface Moved {
  from: string;
  to: string;
  at: number;
}

/** From HEAD's own log, oldest first. No program that runs is older than the computer's last start. */
async function movesSinceBoot({ root }: Project): Promise<Moved[]> {
  const args = ['log', '--walk-reflogs', '--max-count=500', '--date=unix', '-z', '--format=%H%n%gd%n%gs', 'HEAD', '--'];
  const log = await tryGit(root, args);
  if (log.exitCode !== 0) return [];
  const entries = log.stdout.toString('utf8').split('\0').filter(Boolean);
  const since = Date.now() - os.uptime() * 1000;
  return entries
    .flatMap((entry, i): Moved[] => {
      const [to = '', name = '', why = ''] = entry.split('\n');
      const at = Number(/@\{(\d+)\}$/.exec(name)?.[1]) * 1000;
      const from = entries[i + 1]?.split('\n')[0] ?? to;
      // A commit is made of the files as they lie; only one that ends a merge has brought in others.
      const isCommit = /^commit(?! \(merge\))/.test(why);
      return isCommit || from === to || !(at > since) ? [] : [{ from, to, at }];
    })
    .toReversed();
}

async function blobAt({ root }: Project, commit: string, path: string): Promise<string | null> {
  const result = await tryGit(root, ['rev-parse', '--verify', '--quiet', `${commit}:${path}`]);
  return result.exitCode === 0 ? result.stdout.toString('utf8').trim() : null;
}

/** Did the team publish it? What a person does with their own versions is their own affair. */
async function isTeams(project: Project, commit: string): Promise<boolean> {
  const team = await refCommit(project, remoteBranchRef(project));
  return team !== null && (await isIn(project, commit, team));
}

const isIn = async ({ root }: Project, commit: string, newer: string): Promise<boolean> =>
  (await tryGit(root, ['merge-base', '--is-ancestor', commit, newer])).exitCode === 0;

async function anyStartedBefore(profile: DawProfile, paths: readonly string[], at: number): Promise<boolean> {
  const programs = dawsOf(profile, paths).flatMap((daw) => daw.programs);
  const running = ((await runningPrograms()) ?? []).filter(({ program }) =>
    programs.some((name) => program.startsWith(name)),
  );
  const started = await startTimes(running.map(({ pid }) => pid));
  return started.some((time) => time <= at);
}

/** The version before the move; with what was committed here since, and is nowhere else, on top of it. */
async function onto(project: Project, { from, to }: Moved, head: string): Promise<string> {
  const { root } = project;
  if (head === to || (await isTeams(project, head))) return from;
  const commits = (await git(root, ['rev-list', '--reverse', '--first-parent', head, `^${to}`, '--']))
    .split('\n')
    .filter(Boolean);
  let parent = from;
  for (const commit of commits) {
    const text = (await tryGit(root, ['cat-file', 'commit', commit])).stdout.toString('latin1');
    const input = Buffer.from(text.replace(/^parent .*\n/m, `parent ${parent}\n`), 'latin1');
    parent = await gitLine(root, ['hash-object', '-w', '-t', 'commit', '--stdin'], { input });
  }
  return parent;
}
