import path from 'node:path';
import { git, tryGit } from '../git/run.ts';
import { atLeast } from '../git/version.ts';
import { type HookName, hookNames, quoted } from './hook-files.ts';

/**
 * Git 2.54 and newer also run hooks that are named in the configuration, beside those of whatever folder they look in:
 * so ours are reached where that folder is the team's, or for all of the user's repositories.
 */

/** Does this git know hooks in its configuration? `version`: of `git --version`. Pure. */
export const knowsHookConfig = (version: string): boolean => atLeast(version, 2, 54);

const key = (name: HookName, what: 'command' | 'event'): string => `hook.oxenvcs-${name}.${what}`;

/** The entries that make git run our hooks in `folder`. Pure. */
export function hookConfig(folder: string, platform = process.platform): [key: string, value: string][] {
  const { sep } = platform === 'win32' ? path.win32 : path.posix;
  return hookNames.flatMap((name): [string, string][] => [
    [key(name, 'command'), quoted(folder + sep + name, platform)],
    [key(name, 'event'), name],
  ]);
}

/** Writes what is missing of them into the repository's configuration; gives whether anything was. */
export async function addHookConfig(root: string, folder: string): Promise<boolean> {
  const there = await hooksInConfig(root);
  const missing = hookConfig(folder).filter(([key, value]) => there.get(key) !== value);
  for (const [key, value] of missing) await git(root, ['config', '--local', '--replace-all', key, value]);
  return missing.length > 0;
}

/** Takes ours out again, if there are any. */
export async function removeHookConfig(root: string): Promise<boolean> {
  const there = await hooksInConfig(root);
  for (const name of hookNames)
    if (there.has(key(name, 'command')) || there.has(key(name, 'event')))
      await git(root, ['config', '--local', '--remove-section', `hook.oxenvcs-${name}`]);
  return there.size > 0;
}

/** Our entries in the repository's configuration. */
export async function hooksInConfig(root: string): Promise<Map<string, string>> {
  const found = await tryGit(root, ['config', '--local', '-z', '--get-regexp', '^hook\\.oxenvcs-']);
  const entries = found.stdout.toString('utf8').split('\0').filter(Boolean);
  return new Map(entries.map((entry) => entry.split('\n', 2) as [string, string]));
}
