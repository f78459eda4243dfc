import { constants } from 'node:fs';
import * as fs from 'node:fs/promises';
import path from 'node:path';
import { gitLine } from '../git/run.ts';
import { gitVersion } from '../git/version.ts';
import { Failure } from '../model/failures.ts';
import type { Project } from '../project/project.ts';
import { exists, ifMissing, readText, removeDurable, writeDurable } from '../system/disk.ts';
import { addHookConfig, hookConfig, hooksInConfig, knowsHookConfig, removeHookConfig } from './hook-config.ts';
import { helperName, type HookName, hookNames, type HookState, hookState, hookText } from './hook-files.ts';

/**
 * Our Git hooks beside those of others. A hook that was there is kept as `NAME.before-oxenvcs` and run first. Where Git
 * was told to use another folder (core.hooksPath: husky, or a global one) nothing is written there: it is shared with
 * the team, or with other repositories. Then our hooks lie ready; a newer Git is told of them in its configuration, else
 * the user gets the line to add.
 */

export interface HookReport {
  /** Where our hooks are. */
  folder: string;
  /** The folder that Git looks in instead, if it does. */
  shadowedBy: string | null;
  hooks: {
    name: HookName;
    state: HookState;
    /** Does Git get to it? */
    reached: boolean;
    /** Is there a hook that was here before, which ours runs first? */
    kept: boolean;
  }[];
}

export interface HookChanges {
  /** What was done, one line each, for people. */
  done: string[];
  warnings: string[];
}

export async function hookStatus(project: Project): Promise<HookReport> {
  const { folder, shadowedBy } = await hookFolder(project);
  const configured = shadowedBy !== null && (await isConfigured(project, folder));
  const helper = await hookState(path.join(folder, helperName), helperName);
  const hooks = await Promise.all(
    hookNames.map(async (name) => {
      const file = await whereOurs(folder, name);
      const own = await hookState(file, name);
      const state = own === 'installed' && helper !== 'installed' ? 'outdated' : own;
      const present = state === 'installed' || state === 'outdated' || state === 'edited';
      const runs = present && (await isExecutable(file)) && (await isExecutable(path.join(folder, name)));
      const reached = runs && (shadowedBy === null || configured || (await callsOurs(shadowedBy, name)));
      return { name, state, reached, kept: await exists(before(path.join(folder, name))) };
    }),
  );
  return { folder, shadowedBy, hooks };
}

/** Installs or updates our hooks. What is there already stays and is not told. Throws `no-rights`. */
export async function installHooks(project: Project): Promise<HookChanges> {
  const { folder, shadowedBy } = await hookFolder(project);
  if ((await fs.stat(folder).catch(ifMissing(null)))?.isDirectory() === false)
    throw new Failure('no-rights', { detail: `${folder} is a file, where hooks would lie` });
  const warnings: string[] = [];
  const helper = path.join(folder, helperName);
  const helperState = await hookState(helper, helperName);
  if (helperState === 'foreign')
    return { done: [], warnings: [`${helper} is not from oxenvcs: our hooks would need that name.`] };
  // First what the others read.
  if (helperState === 'edited') warnings.push(`${helper} was changed by hand and is left as it is.`);
  else if (helperState !== 'installed') await writeDurable(helper, await hookText(helperName), 0o644);
  const written: string[] = [];
  for (const name of hookNames) {
    const file = await whereOurs(folder, name);
    const state = await hookState(file, name);
    if (state === 'edited') warnings.push(`${file} was changed by hand and is left as it is.`);
    else if (state === 'foreign' && (await exists(before(file))))
      warnings.push(
        `${file} was replaced by another program, and ${before(file)} is in the way: our hook is not in use.`,
      );
    else if (state !== 'installed') {
      if (state === 'foreign') await fs.rename(file, before(file));
      await writeDurable(file, await hookText(name), 0o755);
      written.push(name);
    } else if (!(await isExecutable(file))) {
      await fs.chmod(file, 0o755);
      written.push(name);
    }
  }
  // A hook that another program has put aside (lefthook) would only be in the way of its next installation.
  for (const name of hookNames) await removeOurs(path.join(folder, `${name}.old`), name);
  const done = written.length > 0 ? [`Git hooks${listed(written)}`] : [];
  if (shadowedBy === null) return { done, warnings };
  if (knowsHookConfig(await gitVersion())) {
    if (await addHookConfig(project.root, folder)) done.push('Git hooks in the configuration of Git');
    return { done, warnings };
  }
  return { done, warnings: [...warnings, ...(await linesToAdd(shadowedBy))] };
}

/** The project lies elsewhere now: Git's configuration names our hooks by their full path. */
export async function mendHooks(project: Project): Promise<void> {
  const { root } = project;
  if ((await hooksInConfig(root)).size > 0) await addHookConfig(root, ownFolder(await commonFolder(project)));
}

/** Takes out what is still as it was installed, and puts back what was there before. */
export async function uninstallHooks(project: Project): Promise<HookChanges> {
  const { folder, shadowedBy } = await hookFolder(project);
  const common = await commonFolder(project);
  const removed = new Set<string>();
  const warnings: string[] = [];
  if (await removeHookConfig(project.root)) removed.add('configuration');
  // Also where they were put before Git was told to look elsewhere.
  for (const at of new Set([folder, path.join(common, 'hooks'), ownFolder(common)])) {
    let left = false;
    for (const name of hookNames) {
      const file = await whereOurs(at, name);
      await removeOurs(path.join(at, `${name}.old`), name);
      if ((await hookState(file, name)) === 'edited') {
        warnings.push(`${file} was changed by hand and is left as it is.`);
        left = true;
        continue;
      }
      if (!(await removeOurs(file, name))) continue;
      // Under the name that ours had: another program may have renamed it, and runs it by that.
      const kept = before(path.join(at, name));
      if (await exists(kept)) await fs.rename(kept, file);
      removed.add(name);
    }
    // One that was left needs it.
    if (!left) await removeOurs(path.join(at, helperName), helperName);
  }
  await fs.rmdir(ownFolder(common)).catch(() => undefined); // it is not ours alone, or not there
  if (shadowedBy !== null) {
    const calling: string[] = [];
    for (const name of hookNames)
      if (await callsOurs(shadowedBy, name)) calling.push(path.basename(entryFile(shadowedBy, name)));
    if (calling.length > 0)
      warnings.push(
        `In ${path.dirname(entryFile(shadowedBy, 'pre-commit'))} a line calls our hooks (${calling.join(', ')}); it does nothing now.`,
      );
  }
  return { done: removed.size > 0 ? [`Git hooks taken out${listed([...removed])}`] : [], warnings };
}

/** All of them need not be named. */
const listed = (names: readonly string[]): string =>
  hookNames.every((name) => names.includes(name)) ? '' : `: ${names.join(', ')}`;

const before = (file: string): string => `${file}.before-oxenvcs`;
const ownFolder = (common: string): string => path.join(common, 'oxenvcs', 'hooks');

async function commonFolder({ root }: Project): Promise<string> {
  return await gitLine(root, ['rev-parse', '--path-format=absolute', '--git-common-dir']);
}

/** Where our hooks go, and the folder that Git uses if that is another. */
async function hookFolder(project: Project): Promise<{ folder: string; shadowedBy: string | null }> {
  const common = await commonFolder(project);
  const args = ['rev-parse', '--path-format=absolute', '--git-path', 'hooks'];
  const used = await gitLine(project.root, args, { hooks: true });
  // `.git/hooks` may be a link into the work tree.
  const [realCommon, real] = await Promise.all([common, used].map(async (one) => await realpath(one)));
  const below = path.relative(realCommon ?? common, real ?? used);
  const isOwn = below !== '' && !below.startsWith('..') && !path.isAbsolute(below);
  return isOwn ? { folder: used, shadowedBy: null } : { folder: ownFolder(common), shadowedBy: used };
}

const realpath = async (file: string): Promise<string> => await fs.realpath(file).catch(ifMissing(file));

/** pre-commit (the program) renames what it finds to `NAME.legacy`, and runs that first. */
async function whereOurs(folder: string, name: HookName): Promise<string> {
  const file = path.join(folder, name);
  const legacy = `${file}.legacy`;
  const isThere = async (one: string) => !['absent', 'foreign'].includes(await hookState(one, name));
  return !(await isThere(file)) && (await isThere(legacy)) ? legacy : file;
}

async function isExecutable(file: string): Promise<boolean> {
  return await fs.access(file, constants.X_OK).then(
    () => true,
    () => false,
  );
}

/** Removes a file if it is ours as we installed it. */
async function removeOurs(file: string, name: HookName | typeof helperName): Promise<boolean> {
  const state = await hookState(file, name);
  if (state !== 'installed' && state !== 'outdated') return false;
  await removeDurable(file);
  return true;
}

async function isConfigured({ root }: Project, folder: string): Promise<boolean> {
  if (!knowsHookConfig(await gitVersion())) return false;
  const there = await hooksInConfig(root);
  return hookConfig(folder).every(([key, value]) => there.get(key) === value);
}

/** The file in which people write what their hook does. Husky's `_` is generated anew; its hooks are one folder up. */
function entryFile(folder: string, name: HookName): string {
  return path.basename(folder) === '_' ? path.join(path.dirname(folder), name) : path.join(folder, name);
}

async function callsOurs(folder: string, name: HookName): Promise<boolean> {
  const text = await readText(entryFile(folder, name)).catch(() => null);
  return text?.includes('oxenvcs/hooks/') ?? false;
}

/** For the hooks that a whole team uses: it does nothing where oxenvcs is not. */
const line = 'h="$(git rev-parse --git-common-dir)/oxenvcs/hooks/${0##*/}"; if [ -x "$h" ]; then "$h" "$@" || exit; fi';

/** What the user has to do where Git looks for hooks in `folder`. */
async function linesToAdd(folder: string): Promise<string[]> {
  const at = path.dirname(entryFile(folder, 'pre-commit'));
  if (!(await exists(at)))
    return [
      `Git looks for hooks in ${at}, which is not there. If nobody needs that: \`git config --unset core.hooksPath\`, then \`oxenvcs hooks install\`.`,
    ];
  const missing: string[] = [];
  for (const name of hookNames) if (!(await callsOurs(folder, name))) missing.push(name);
  if (missing.length === 0) return [];
  return [
    `Git looks for hooks in ${at}. For commits made by hand to be checked and queued at once, add this line to ${missing.join(', ')} there: ${line}`,
  ];
}
