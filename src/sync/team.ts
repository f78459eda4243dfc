import { gitFailure } from '../git/failures.ts';
import { patientFetch } from '../git/patient-fetch.ts';
import { redact } from '../git/redact.ts';
import { refTips } from '../git/refs.ts';
import { git, tryGit } from '../git/run.ts';
import { Failure } from '../model/failures.ts';
import { away } from '../network/away.ts';
import { readRescue } from '../project/rescue.ts';
import { endRescue } from '../push/rescue.ts';
import { keep } from '../queue/refs.ts';
import { type Project, remoteBranchRef, remoteUrl } from '../project/project.ts';

/** Where the team is with the published branch. */
export interface Team {
  /** The commit that the remote's branch is at; null: it has none. */
  tip: string | null;
  /** The remote has lost the branch (deleted, or the repository was made anew): `tip` is what it was when last seen. */
  gone: boolean;
}

/** Where the branch was, after the remote has lost it: until it is there again nobody must forget what it held. */
const goneRef = ({ config }: Project): string => `refs/oxenvcs/gone/${config.branch}`;

/** As far as is known here, without asking. */
export async function knownTeam(project: Project): Promise<Team> {
  const [tip = null, before = null] = await refTips(project.root, [remoteBranchRef(project), goneRef(project)]);
  const lost = tip === null ? before : null;
  return { tip: tip ?? lost, gone: lost !== null };
}

/**
 * Asks the remote for its branch and for the work that was rescued, and brings their versions into the object store; no
 * file changes. One connection, some hundred bytes where nothing is new, however many refs the remote has.
 * `also`: more refs to bring along in the same connection, as git's refspecs; `url`: the remote's address, where it is known
 * already. Where nothing is new no process is started but the one that asks. Throws `offline`, `auth`…; `branch-renamed`.
 */
export async function askTeam(
  project: Project,
  signal?: AbortSignal,
  { also = [], url }: { also?: readonly string[]; url?: string } = {},
): Promise<Team> {
  const { root, config } = project;
  const tracking = remoteBranchRef(project);
  const [before = null] = await refTips(root, [tracking]);
  const rescues = `+refs/heads/oxenvcs/rescue/*:refs/remotes/${config.remote}/oxenvcs/rescue/*`;
  const to = await addressOf(project, url);
  const found = await fetch(project, to, [`+refs/heads/${config.branch}:${arrived}`, rescues, ...also], signal);
  if (!found) {
    await fetch(project, to, [rescues, ...also], signal);
    if (before === null) return await knownTeam(project);
    await assertNotRenamed(project, to, before, signal);
    const input = `update ${goneRef(project)} ${before}\ndelete ${tracking} ${before}\n`;
    await git(root, ['update-ref', '--stdin'], { input });
    return await knownTeam(project);
  }
  const [now = null] = await refTips(root, [arrived]);
  if (now !== null && now !== before) {
    // Versions that somebody has taken off the branch by force stay here.
    if (before !== null && !(await contains(root, now, before))) await keep(project, before, Date.now());
    await tryGit(root, ['update-ref', '-d', goneRef(project)]);
    // A push of ours that landed meanwhile knows better: the old value makes it a compare-and-swap.
    await tryGit(root, ['update-ref', tracking, now, before ?? '']);
  }
  const team = await knownTeam(project);
  await endResolved(project, team);
  return team;
}

/** Somebody may have resolved what was rescued from here. */
async function endResolved(project: Project, { tip }: Team): Promise<void> {
  const rescued = (await readRescue(project))?.tip;
  if (rescued !== undefined && tip !== null && (await contains(project.root, tip, rescued))) await endRescue(project);
}

/** What was fetched, until it is known to be news. */
const arrived = 'refs/oxenvcs/arrived/branch';

async function addressOf(project: Project, known?: string): Promise<string> {
  const url = known ?? (await remoteUrl(project));
  if (url !== null) return url;
  const detail = 'the project has no remote of that name';
  throw new Failure('remote-misconfigured', { remote: project.config.remote, detail });
}

/** False: the remote has no such branch. */
async function fetch(
  { root, config }: Project,
  url: string,
  refspecs: string[],
  signal?: AbortSignal,
): Promise<boolean> {
  const quietMs = 10 * config.network.timeoutMs;
  const args = [
    ...patientFetch(quietMs),
    '--prune',
    '--',
    // By its address: under its name git would also move the tracking refs, past what a push of ours has just done.
    url,
    ...refspecs,
  ];
  // Two fetches at once in one clone meet at their refs: try again.
  for (let attempt = 1; ; attempt++) {
    const result = await tryGit(root, args, { idleMs: quietMs, ...(signal ? { signal } : {}) });
    if (result.exitCode === 0) return true;
    if (/^fatal: couldn't find remote ref /m.test(result.stderr)) return false;
    if (attempt < 5 && /cannot lock ref 'refs\/(oxenvcs\/(arrived|mirror)|remotes)\//.test(result.stderr)) {
      await new Promise((done) => setTimeout(done, 50 * attempt));
      continue;
    }
    throw await away(gitFailure(result, args, redact(url), root), { root, remote: { url } });
  }
}

/** The branch is gone. Does the remote hold what it held under another name, the one that a clone would get? */
async function assertNotRenamed(project: Project, url: string, before: string, signal?: AbortSignal): Promise<void> {
  const { root, config } = project;
  const asked = await tryGit(root, ['ls-remote', '--symref', '--', url, 'HEAD'], {
    timeoutMs: config.network.timeoutMs,
    ...(signal ? { signal } : {}),
  });
  const other = /^ref: refs\/heads\/(.+)\tHEAD$/m.exec(asked.stdout.toString('utf8'))?.[1];
  if (other === undefined || other === config.branch) return;
  const theirs = 'refs/oxenvcs/arrived/renamed';
  if (!(await fetch(project, url, [`+refs/heads/${other}:${theirs}`], signal))) return;
  if (await contains(root, theirs, before)) throw new Failure('branch-renamed', { branch: config.branch, other });
}

/** Is `older` in the history of `newer`? */
export const contains = async (root: string, newer: string, older: string): Promise<boolean> =>
  (await tryGit(root, ['merge-base', '--is-ancestor', older, newer])).exitCode === 0;
