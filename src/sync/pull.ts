import { whyNotNow } from '../commit/busy.ts';
import { changes } from '../commit/changes.ts';
import type { DawProfile } from '../daw/profile.ts';
import { gitFailure } from '../git/failures.ts';
import { redact } from '../git/redact.ts';
import { git, gitLine, tryGit } from '../git/run.ts';
import { Failure } from '../model/failures.ts';
import { away } from '../network/away.ts';
import { branchTip, currentBranch, type Project, remoteBranchRef, remoteUrl } from '../project/project.ts';
import { runningPrograms } from '../system/processes.ts';

export interface Pulled {
  /** How many versions were brought in; 0: there were none. */
  pulled: number;
  /** The commit that the branch is at now; null: neither side has one. */
  commit: string | null;
}

/**
 * Brings in what the team has published, by fast-forward only, and only where nothing here would be overwritten. A DAW that
 * runs may have the session in memory with its file closed: replaced under it, the file would be overwritten by its next
 * save, silently. Throws `offline`, `auth`…; `diverged`; `not-now`; `daw-runs`; `would-overwrite`.
 */
export async function pull(project: Project, profile: DawProfile, signal?: AbortSignal): Promise<Pulled> {
  const { root, config } = project;
  const theirs = await fetchBranch(project, signal);
  const ours = await branchTip(project);
  if (theirs === null || theirs === ours || (ours !== null && (await contains(root, ours, theirs))))
    return { pulled: 0, commit: ours };
  if (ours !== null && !(await contains(root, theirs, ours))) throw new Failure('diverged', { branch: config.branch });
  const range = ours === null ? [theirs] : [theirs, `^${ours}`];
  const pulled = Number(await gitLine(root, ['rev-list', '--count', ...range, '--']));
  if ((await currentBranch(project)) !== config.branch) {
    // Nothing of it is in the work tree: only the branch moves, and only from where we saw it.
    await git(root, ['update-ref', '-m', 'oxenvcs pull', `refs/heads/${config.branch}`, theirs, ours ?? '']);
    return { pulled, commit: theirs };
  }
  await assertSafe(project, profile, ours, theirs);
  const args = ['merge', '--ff-only', '--no-stat', '--quiet', theirs];
  const result = await tryGit(root, args);
  if (result.exitCode !== 0) {
    if (/would be overwritten/.test(result.stderr))
      throw new Failure('would-overwrite', { files: 'files' }, result.stderr);
    throw gitFailure(result, args, undefined, root);
  }
  return { pulled, commit: theirs };
}

/** Asks the remote for its branch; null where it has none. */
async function fetchBranch(project: Project, signal?: AbortSignal): Promise<string | null> {
  const { root, config } = project;
  const url = await remoteUrl(project);
  const tracking = remoteBranchRef(project);
  const ref = `refs/heads/${config.branch}`;
  const args = [
    '-c',
    'protocol.version=2',
    'fetch',
    '--quiet',
    '--no-tags',
    '--no-write-fetch-head',
    config.remote,
    `+${ref}:${tracking}`,
  ];
  const result = await tryGit(root, args, { idleMs: 10 * config.network.timeoutMs, ...(signal ? { signal } : {}) });
  if (result.exitCode === 0) return await gitLine(root, ['rev-parse', tracking]);
  if (/^fatal: couldn't find remote ref /m.test(result.stderr)) return null;
  throw await away(gitFailure(result, args, redact(url ?? config.remote), root), { root, remote: { url } });
}

async function assertSafe(project: Project, profile: DawProfile, ours: string | null, theirs: string): Promise<void> {
  const { root } = project;
  const reason = await whyNotNow(project);
  if (reason !== null) throw new Failure('not-now', { detail: reason });
  const incoming = new Set(await changedPaths(root, ours, theirs));
  const touched = (await changes(root)).map(({ path }) => path).filter((path) => incoming.has(path));
  if (touched.length > 0) throw new Failure('would-overwrite', { files: touched.slice(0, 3).join(', ') });
  const running = (await runningPrograms()) ?? [];
  const daw = running.find(({ program }) => profile.programs.some((name) => program.startsWith(name)));
  if (daw !== undefined) throw new Failure('daw-runs', { daw: profile.title });
}

async function changedPaths(root: string, from: string | null, to: string): Promise<string[]> {
  const base = from ?? (await gitLine(root, ['hash-object', '-w', '-t', 'tree', '--stdin'], { input: '' }));
  return (await git(root, ['diff-tree', '-r', '-z', '--name-only', '--no-renames', base, to]))
    .split('\0')
    .filter(Boolean);
}

const contains = async (root: string, newer: string, older: string): Promise<boolean> =>
  (await tryGit(root, ['merge-base', '--is-ancestor', older, newer])).exitCode === 0;
