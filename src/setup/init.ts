import * as fs from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { whyNotNow } from '../commit/busy.ts';
import { gitLine, redact } from '../git/run.ts';
import { asFailure, Failure } from '../model/failures.ts';
import { alone } from '../project/guard.ts';
import { configPath, loadConfig, notCheckedOut, openProject, type Project } from '../project/project.ts';
import { fileLimit, leftOut } from '../push/file-limit.ts';
import { exists, ifMissing } from '../system/disk.ts';
import { adoptHistory } from './adopt.ts';
import { connect, remoteWarnings } from './connect.ts';
import { findDaw } from './find-daw.ts';
import { commitEverything, commitOwnFiles, headCommit, writeOwnFiles } from './first-version.ts';
import { type HookChanges, installHooks } from './hooks.ts';
import { bringBackSettings } from './leave.ts';
import { ensureIdentity } from './identity.ts';
import { type OwnFile, ownFiles } from './own-files.ts';
import { findPlace } from './place.ts';
import { addressOf, currentAddress, lookAt, type Sight } from './remote.ts';
import {
  assertBranchName,
  createRepository,
  followRemote,
  hasNoCommits,
  removeRepository,
  startBranch,
} from './repository.ts';
import { setSettings } from './settings.ts';
import { chooseBranch, type Standing, standing, tipSeen } from './standing.ts';
import { mayBeInICloud, syncService } from './synced.ts';
import { rememberFiles } from './undo.ts';
import { isVault } from '../project/vault.ts';

export interface InitOptions {
  /** The team's remote; a path is taken from the current folder. */
  remote?: string | undefined;
  /** The branch to publish. */
  branch?: string | undefined;
  /** A DAW by name; `auto` looks at the files. */
  daw?: string | undefined;
  hooks: boolean;
}

export interface Initialized {
  project: Project;
  /** The name of its profile. */
  daw: string;
  remoteKind: 'vault' | 'remote';
  /** What was done, one line each, for people; empty when all was there already. */
  created: string[];
  /** The commit that was made, if one was. */
  commit: string | null;
  warnings: string[];
}

/** A request that was checked, before anything is written. */
interface Request {
  root: string;
  options: InitOptions;
  url: string | null;
  sight: Sight | null;
}

/**
 * Makes `dir` a project, or brings one up to date. Keeps what is there; doing it twice is the same as once. Two at the
 * same time: the later one waits, up to 30 s.
 * Throws the failures of `findPlace`, of the address given (`remote-not-found`, `auth`…), `git-work-under-way`,
 * `remote-has-history`, `config-invalid`, `usage`, `busy`.
 */
export async function init(dir: string, options: InitOptions): Promise<Initialized> {
  const { root } = await findPlace(dir);
  if (options.branch !== undefined) await assertBranchName(root, options.branch);
  if (options.daw !== undefined) await findDaw(root, options.daw);
  await bringBackSettings(root);
  const config = await loadConfig(root);
  const url = options.remote === undefined ? null : await addressOf(options.remote, process.cwd(), root);
  const sight =
    url === null ? null : await lookAt(root, url, options.branch ?? config.branch, config.network.timeoutMs);
  if (sight?.state === 'refused') throw sight.failure;
  try {
    const result = await alone({ root }, 'setup', 30_000, async () => await setUp({ root, options, url, sight }));
    if (result.outcome === 'done') return result.value;
    throw new Failure('busy', { detail: `${root} is being set up by another oxenvcs (process ${result.pid ?? '?'})` });
  } finally {
    // Only the lock needed these; a folder that holds anything else stays.
    for (const folder of ['.oxenvcs/state', '.oxenvcs']) await fs.rmdir(path.join(root, folder)).catch(() => undefined);
  }
}

async function setUp(request: Request): Promise<Initialized> {
  const { root, options } = request;
  const before = await standing(root);
  if (before.repository === 'used' && !before.isProject) await assertQuiet(root);
  const sight = request.sight ?? (await lookAtOrigin(before));
  const branch = chooseBranch(options.branch, before, sight);

  const story: Story = { created: [], warnings: [], vault: null };
  const asBefore = await rememberFiles(root, before.repository !== 'none');
  const head = before.hasCommits ? await headCommit(root) : null;
  const made = await makeRepository(before, branch, story);
  try {
    // Outside of a synced folder an earlier repository of this folder may have been found again.
    const here = made === null ? before : await standing(root);
    return await fillRepository(request, here, sight, chooseBranch(options.branch, here, sight), story);
  } catch (error) {
    // What is committed stands, and the next one goes on from there; of anything before that nothing is left.
    if ((await headCommit(root)) === head) {
      // That it failed is told, and why: not that there is no room to put something back either.
      await asBefore().catch(() => undefined);
      if (story.vault !== null) await fs.rm(story.vault, { recursive: true, force: true });
      // Half a repository would be taken for the user's own the next time.
      if (made !== null && (await hasNoCommits(root))) await removeRepository(root, made);
    }
    throw error;
  }
}

/** What is told at the end. */
interface Story {
  created: string[];
  warnings: string[];
  /** The one that was made for it. */
  vault: string | null;
}

/** In a repository without a commit: its remote, if it has one, may hold the history already. */
async function lookAtOrigin({ root, config, repository }: Standing): Promise<Sight | null> {
  const url = repository === 'empty' ? await currentAddress(root, config.remote) : null;
  return url === null ? null : await lookAt(root, url, config.branch, config.network.timeoutMs);
}

async function assertQuiet(root: string): Promise<void> {
  const reason = await whyNotNow(await openProject(root));
  if (reason !== null) throw new Failure('git-work-under-way', { dir: root, reason });
}

/** Makes the repository where there is none; gives its Git folder then. */
async function makeRepository(here: Standing, branch: string, story: Story): Promise<string | null> {
  const { root } = here;
  const service = await syncService(root, os.homedir());
  if (service === null && mayBeInICloud(root, os.homedir()))
    story.warnings.push(
      'If iCloud Drive is set to sync Desktop and Documents, move the song to another folder: it damages Git data.',
    );
  if (here.repository !== 'none') {
    if (service !== null && !here.isProject && (await isFolder(path.join(root, '.git'))))
      story.warnings.push(
        `${service} syncs this folder and can damage the Git data in it. Close everything that uses it, then move them out with \`git init --separate-git-dir FOLDER\`.`,
      );
    return null;
  }
  const gitDir = await createRepository(root, branch, service);
  const outside = service === null ? '' : `; its data lies outside of what ${service} syncs: ${gitDir}`;
  story.created.push(`Git repository with the branch ${branch}${outside}`);
  return gitDir;
}

async function fillRepository(
  { root, options, url }: Request,
  here: Standing,
  sight: Sight | null,
  branch: string,
  story: Story,
): Promise<Initialized> {
  const { created, warnings } = story;
  const isOurs = here.repository !== 'used';
  if (!here.hasCommits) await startBranch(root, branch);
  if ((await setSettings(root, { isNew: isOurs })).length > 0) created.push('Git settings for audio');
  const identity = await ensureIdentity(root);
  if (identity !== null) created.push(`Name for the versions made here: ${identity.name} <${identity.email}>`);

  const connected = await connect(here, branch, url, (vault) => (story.vault = vault));
  created.push(...connected.created);
  warnings.push(...connected.warnings);
  if (isOurs) await followRemote(root, branch, here.config.remote);
  const tip = tipSeen(sight, branch);
  const adopts = tip !== null && !here.hasCommits;
  if (adopts) {
    await adopt(here, connected.url, branch);
    created.push(`History of ${branch} from ${redact(connected.url)}`);
  } else warnings.push(...(await remoteWarnings(root, connected.url, sight, tip, branch)));

  const isProject = here.isProject || (adopts && (await exists(path.join(root, configPath))));
  const daw = await findDaw(root, options.daw ?? (await loadConfig(root)).daw);
  const settings = { branch: options.branch ?? (isProject ? undefined : branch), daw: options.daw };
  const settingsNow = await fs.readFile(path.join(root, configPath)).catch(ifMissing(null));
  const files = ownFiles({ daw, settings, settingsNow });
  const commit =
    isOurs && !adopts ? await firstVersion(root, files, story) : await ownCommit(root, files, story, here.isProject);

  const project = await openProject(root);
  const elsewhere = await notCheckedOut(project);
  if (elsewhere !== null) warnings.push(`${elsewhere.message} ${elsewhere.hint}`);
  if (options.hooks) {
    const hooks = await installHooks(project).catch(withoutHooks);
    created.push(...hooks.done);
    warnings.push(...hooks.warnings);
  }
  const remoteKind = (await isVault(connected.url)) ? 'vault' : 'remote';
  return { project, daw: daw.name, remoteKind, created, commit, warnings };
}

async function adopt(here: Standing, url: string, branch: string): Promise<void> {
  const { root, config, repository } = here;
  if (repository === 'used')
    throw new Failure('remote-has-history', { remote: redact(url), branch, file: 'what is staged' });
  const gitDir = await gitLine(root, ['rev-parse', '--absolute-git-dir']);
  await adoptHistory({ root, gitDir, remote: config.remote, url, branch });
}

/** Everything in the folder, with our files, as the first version. */
async function firstVersion(root: string, files: OwnFile[], { created, warnings }: Story): Promise<string> {
  await writeOwnFiles(root, files);
  const project = await openProject(root);
  const limit = await fileLimit(project);
  const first = await commitEverything(project, `${nameOf(root)} put under version control`, limit);
  created.push(`First version, with ${first.files} files`);
  for (const name of first.leftOut) warnings.push(`${name} was changing all the time; it comes with the next version.`);
  for (const { path: name, size } of first.tooLarge) {
    const { message, hint } = leftOut(name, Number(size), limit ?? 0);
    warnings.push(`${message} ${hint}`);
  }
  for (const name of first.nested)
    warnings.push(`${name} is a Git repository of its own: what is in it is not part of the versions.`);
  return first.commit;
}

/** Our files alone: what the user has not committed stays so. */
async function ownCommit(
  root: string,
  files: OwnFile[],
  { created }: Story,
  wasProject: boolean,
): Promise<string | null> {
  const message = wasProject ? 'Settings of oxenvcs' : `${nameOf(root)} put under version control`;
  const changed = await writeOwnFiles(root, files);
  const commit = await commitOwnFiles(await openProject(root), files, message);
  if (changed.length > 0) created.push(changed.join(', '));
  return commit;
}

/** Hooks only serve commits made by hand: a song becomes a project without them, too. */
function withoutHooks(error: unknown): HookChanges {
  return { done: [], warnings: [`The Git hooks could not be installed: ${asFailure(error).message}`] };
}

/** On one line: a newline in a folder's name must not end the subject. */
const nameOf = (root: string): string => path.basename(root).replace(/\p{Cc}+/gu, ' ');

const isFolder = async (file: string): Promise<boolean> =>
  (await fs.lstat(file).catch(ifMissing(null)))?.isDirectory() ?? false;
