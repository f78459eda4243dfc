import * as fs from 'node:fs/promises';
import path from 'node:path';
import { addressIn, askSettings, noteSettings } from '../git/remote-settings.ts';
import { gitLine, tryGit } from '../git/run.ts';
import { gitFailure } from '../git/failures.ts';
import { refTips } from '../git/refs.ts';
import { type Config, readConfig, type Source } from '../model/config.ts';
import { asFailure, Failure } from '../model/failures.ts';
import type { RemoteOf } from '../network/away.ts';
import { exists, ifMissing, readText } from '../system/disk.ts';
import { userConfigFile } from '../system/places.ts';

/** An oxenvcs project that was found on the disk: a Git work tree with `.oxenvcs/config.json` at its root. */
export interface Project {
  /** The root of the work tree: absolute, links resolved. */
  root: string;
  /** This work tree's Git folder (in a linked worktree not the common one). */
  gitDir: string;
  config: Config;
}

export const configPath = '.oxenvcs/config.json';

/** Searches upwards from `start` for a project. Throws `not-a-project`, `config-invalid`, `no-git`. */
export const findProject = async (start: string): Promise<Project> => await openProject(await findRoot(start));

/** The same, whatever its settings are. Throws `not-a-project`. */
export async function findRoot(start: string): Promise<string> {
  const from = await fs.realpath(start).catch(ifMissing(null));
  if (from === null) throw new Failure('folder-missing', { dir: start });
  for (let dir = from; ; dir = path.dirname(dir)) {
    if (await isProject(dir)) return dir;
    if (path.dirname(dir) === dir) throw new Failure('not-a-project', { dir: from });
  }
}

/** Where our folder may not be looked into, what is there is told by whoever reads it. */
const isProject = async (dir: string): Promise<boolean> =>
  await exists(path.join(dir, configPath)).catch(async () => await exists(path.join(dir, path.dirname(configPath))));

/** Opens the project whose root is exactly `root`; with its settings, unless given. */
export async function openProject(root: string, config?: Config): Promise<Project> {
  const result = await tryGit(root, ['rev-parse', '--absolute-git-dir']);
  if (result.exitCode !== 0) {
    if (/^fatal: not a git repository/m.test(result.stderr)) throw new Failure('not-a-project', { dir: root });
    throw gitFailure(result, ['rev-parse']);
  }
  return {
    root,
    gitDir: result.stdout.toString('utf8').replace(/\r?\n$/, ''),
    config: config ?? (await loadConfig(root)),
  };
}

/** The settings in force for a project: the team's, then the user's own, then the environment's. Throws `config-invalid`. */
export async function loadConfig(root: string): Promise<Config> {
  const sources = await Promise.all(filesOf(root).map(readSource));
  return readConfig(sources.flat(), process.env);
}

/** What is wrong with the settings, in each of the places that they come from. */
export async function brokenSettings(root: string): Promise<Failure[]> {
  const readings = filesOf(root).map((file) => async () => readConfig(await readSource(file)));
  const broken: Failure[] = [];
  for (const reading of [...readings, async () => readConfig([], process.env)])
    await reading().catch((error: unknown) => broken.push(asFailure(error)));
  return broken;
}

const filesOf = (root: string): string[] => [path.join(root, configPath), userConfigFile()];

/** None where there is no such file. */
async function readSource(file: string): Promise<Source[]> {
  const text = await readText(file).catch((error: Error) => {
    throw new Failure('config-invalid', { file, detail: `it cannot be read (${error.message})` }, error);
  });
  return text === null ? [] : [{ from: file, text }];
}

/** The address to talk to: the configured remote's URL, as git would use it for pushing. Null where there is none. */
export async function remoteUrl(project: Pick<Project, 'root' | 'config'>): Promise<string | null> {
  const name = project.config.remote;
  const settings = (await tryGit(project.root, askSettings(name))).stdout.toString('utf8');
  const url = addressIn(settings) ?? (await addressByGit(project.root, name));
  if (url !== null) noteSettings(url, settings);
  return url;
}

async function addressByGit(root: string, name: string): Promise<string | null> {
  const { exitCode, stdout } = await tryGit(root, ['remote', 'get-url', '--push', name]);
  return exitCode === 0 ? stdout.toString('utf8').trim() : null;
}

/** What the network room needs to know of a project. */
export async function remoteOf(project: Project): Promise<RemoteOf> {
  return { root: project.root, branch: project.config.branch, remote: { url: await remoteUrl(project) } };
}

/** This machine's own files of the project. */
export const statePath = (project: Pick<Project, 'root'>, name: string): string =>
  path.join(project.root, '.oxenvcs', 'state', name);

/** The commit at the tip of the published branch here, or null before the first. */
export const branchTip = async (project: Project): Promise<string | null> =>
  await refCommit(project, `refs/heads/${project.config.branch}`);

/** The commit that a ref (`refs/heads/…`, `refs/remotes/…`) is at, or null where there is none. */
export async function refCommit({ root }: Pick<Project, 'root'>, ref: string): Promise<string | null> {
  const [tip = null] = await refTips(root, [ref]);
  return tip;
}

/** The ref that says what the remote's branch was when we last saw it: git's own, so that every Git client shows the same. */
export const remoteBranchRef = ({ config }: Pick<Project, 'config'>): string =>
  `refs/remotes/${config.remote}/${config.branch}`;

/** The branch that is checked out, or null on a detached HEAD. */
export async function currentBranch(project: Project): Promise<string | null> {
  const result = await tryGit(project.root, ['symbolic-ref', '--quiet', '--short', 'HEAD']);
  return result.exitCode === 0 ? result.stdout.toString('utf8').trim() : null;
}

/** Null as long as the branch that is published is the one that is saved to. */
export async function notCheckedOut(project: Project): Promise<Failure | null> {
  const { branch } = project.config;
  return (await currentBranch(project)) === branch ? null : new Failure('not-checked-out', { branch });
}

/** Who commits here: as git would say it. */
export async function committer(project: Project): Promise<{ name: string; email: string }> {
  const ident = await gitLine(project.root, ['var', 'GIT_COMMITTER_IDENT']);
  const match = /^(.*) <(.*)> \d+ [+-]\d{4}$/.exec(ident);
  return { name: match?.[1] ?? '', email: match?.[2] ?? '' };
}
