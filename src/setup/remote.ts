import * as fs from 'node:fs/promises';
import path from 'node:path';
import { gitFailure, sortFailure } from '../git/failures.ts';
import { git, redact, tryGit } from '../git/run.ts';
import { Failure } from '../model/failures.ts';
import { type Project, remoteUrl } from '../project/project.ts';
import { ifMissing } from '../system/disk.ts';
import { localSetting } from './settings.ts';
import { isVault } from '../project/vault.ts';

/** Does the project publish to a team's remote, or only to a vault on this computer? */
export async function remoteKind(project: Project): Promise<'vault' | 'remote'> {
  const url = await remoteUrl(project);
  return url !== null && (await isVault(url)) ? 'vault' : 'remote';
}

/** What there is at an address. */
export type Sight =
  | {
      state: 'seen';
      /** The commit of the branch that was asked for, or null where there is none. */
      tip: string | null;
      /** The branch that a clone would check out. */
      head: { branch: string; tip: string } | null;
    }
  /** Now it cannot be reached; that says nothing against the address. */
  | { state: 'unreachable'; reason: string }
  | { state: 'refused'; failure: Failure };

/** Asks an address, once, whether it is a repository that lets us in. Writes nothing anywhere. */
export async function lookAt(root: string, url: string, branch: string, timeoutMs: number): Promise<Sight> {
  const args = ['ls-remote', '--symref', '--', url, 'HEAD', `refs/heads/${branch}`];
  const result = await tryGit(root, args, { timeoutMs });
  if (result.exitCode === 0) return { state: 'seen', ...refsOf(result.stdout.toString('utf8'), branch) };
  const { kind, detail } = sortFailure(result);
  if (kind === 'transient' || kind === 'ambiguous') return { state: 'unreachable', reason: detail };
  return { state: 'refused', failure: gitFailure(result, ['ls-remote'], redact(url)) };
}

/** The answer of `git ls-remote --symref URL HEAD refs/heads/BRANCH`. Pure; what only ends alike is left out. */
export function refsOf(
  text: string,
  branch: string,
): { tip: string | null; head: { branch: string; tip: string } | null } {
  const lines = text.split('\n').map((line) => line.split('\t'));
  const value = (name: string) => lines.find(([what, ref]) => ref === name && !what?.startsWith('ref: '))?.[0];
  const head = lines.find(([what, ref]) => ref === 'HEAD' && what?.startsWith('ref: refs/heads/'))?.[0];
  const headTip = value('HEAD');
  return {
    tip: value(`refs/heads/${branch}`) ?? null,
    head:
      head === undefined || headTip === undefined
        ? null
        : { branch: head.slice('ref: refs/heads/'.length), tip: headTip },
  };
}

/** An address as it is written down: a path on this computer becomes absolute, for Git takes it from the project's folder. */
export async function addressOf(text: string, cwd: string, root: string): Promise<string> {
  const url = text.trim();
  if (url === '' || url.startsWith('-'))
    throw new Failure('usage', { detail: `${JSON.stringify(text)} is not the address of a remote`, command: 'init' });
  if (!isLocalPath(url)) return url;
  const file = path.resolve(cwd, url);
  const real = await fs.realpath(file).catch(ifMissing(file));
  if (real === root || real.startsWith(root + path.sep))
    throw new Failure('usage', { detail: 'A project cannot be its own remote', command: 'init' });
  return file;
}

/** Git's own rule: a colon before the first slash is ssh, `://` is a URL, all else is a path. Pure. */
export function isLocalPath(url: string, platform = process.platform): boolean {
  if (platform === 'win32' && /^[a-z]:[\\/]/i.test(url)) return true;
  return !/^[^/]*:/.test(url);
}

/** The address of a remote as it is written down in this repository, or null where there is none. */
export async function currentAddress(root: string, name: string): Promise<string | null> {
  return (await localSetting(root, `remote.${name}.pushurl`)) ?? (await localSetting(root, `remote.${name}.url`));
}

/** Sets the remote's address. What is remembered of the former remote goes: it says nothing about the new one. */
export async function setRemote(root: string, name: string, url: string): Promise<void> {
  if ((await currentAddress(root, name)) === null) {
    await git(root, ['remote', 'add', '--', name, url]);
    return;
  }
  await git(root, ['remote', 'set-url', '--', name, url]);
  await tryGit(root, ['config', '--local', '--unset-all', `remote.${name}.pushurl`]);
  const remembered = [`refs/remotes/${name}/`, 'refs/oxenvcs/mirror/', 'refs/oxenvcs/known/'];
  const changes = await git(root, ['for-each-ref', '--format=delete %(refname)', ...remembered]);
  if (changes !== '') await git(root, ['update-ref', '--no-deref', '--stdin'], { input: changes });
  // The lock as it was seen last, and how the last try to publish ended.
  for (const file of ['lock.json', 'publish.json'])
    await fs.rm(path.join(root, '.oxenvcs', 'state', file), { force: true });
}

/** The names of the remotes that the repository knows. */
export async function remoteNames(root: string): Promise<string[]> {
  return (await git(root, ['remote'])).split('\n').filter(Boolean);
}
