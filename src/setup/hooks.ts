import { createHash } from 'node:crypto';
import * as fs from 'node:fs/promises';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { gitLine } from '../git/run.ts';
import type { Project } from '../project/project.ts';
import { exists, readText, removeDurable, writeDurable } from '../system/disk.ts';

/**
 * Our Git hooks beside those of others. A hook that was there is kept as `NAME.before-oxenvcs` and run first. Where Git
 * was told to use another folder (core.hooksPath: husky, or a global one) nothing is written there: it is shared with
 * the team, or with other repositories. Then our hooks lie ready, and the user gets the line to add.
 */

export const hookNames = ['pre-commit', 'post-commit'] as const;
type HookName = (typeof hookNames)[number];

export type HookState =
  | 'absent'
  | 'installed'
  /** Ours, of another version. */
  | 'outdated'
  /** Ours, but changed by somebody. */
  | 'edited'
  /** Somebody else's. */
  | 'foreign';

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
  }[];
}

export interface HookChanges {
  /** What was done, one line each, for people. */
  done: string[];
  warnings: string[];
}

export async function hookStatus(project: Project): Promise<HookReport> {
  const { folder, shadowedBy } = await hookFolder(project);
  const hooks = await Promise.all(
    hookNames.map(async (name) => {
      const state = await stateOf(path.join(folder, name), name);
      const present = state === 'installed' || state === 'outdated' || state === 'edited';
      return { name, state, reached: present && (shadowedBy === null || (await callsOurs(shadowedBy, name))) };
    }),
  );
  return { folder, shadowedBy, hooks };
}

/** Installs or updates our hooks. What is there already stays and is not told. */
export async function installHooks(project: Project): Promise<HookChanges> {
  const { folder, shadowedBy } = await hookFolder(project);
  const written: string[] = [];
  const warnings: string[] = [];
  for (const name of hookNames) {
    const file = path.join(folder, name);
    const state = await stateOf(file, name);
    if (state === 'edited') warnings.push(`${file} was changed by hand and is left as it is.`);
    else if (state === 'foreign' && (await exists(before(file))))
      warnings.push(
        `${file} was replaced by another program, and ${before(file)} is in the way: our hook is not in use.`,
      );
    else if (state !== 'installed') {
      if (state === 'foreign') await fs.rename(file, before(file));
      await writeDurable(file, await ourText(name), 0o755);
      written.push(name);
    }
    if (shadowedBy !== null && !(await callsOurs(shadowedBy, name)))
      warnings.push(
        `Git looks for hooks in ${shadowedBy}. For saves made by hand to be queued and checked too, add this line to ${entryFile(shadowedBy, name)}: ${lineFor(name)}`,
      );
  }
  return { done: written.length > 0 ? [`Hooks: ${written.join(', ')}`] : [], warnings };
}

/** Takes out what is still as it was installed, and puts back what was there before. */
export async function uninstallHooks(project: Project): Promise<HookChanges> {
  const { folder, shadowedBy } = await hookFolder(project);
  const common = await commonFolder(project);
  const removed: string[] = [];
  const warnings: string[] = [];
  // Also where they were put before Git was told to look elsewhere.
  for (const at of new Set([folder, path.join(common, 'hooks'), ownFolder(common)]))
    for (const name of hookNames) {
      const file = path.join(at, name);
      const state = await stateOf(file, name);
      if (state === 'edited') warnings.push(`${file} was changed by hand and is left as it is.`);
      if (state !== 'installed' && state !== 'outdated') continue;
      if (await exists(before(file))) await fs.rename(before(file), file);
      else await removeDurable(file);
      removed.push(name);
    }
  if (shadowedBy !== null)
    for (const name of hookNames)
      if (await callsOurs(shadowedBy, name))
        warnings.push(`${entryFile(shadowedBy, name)} has a line that calls our hook; it does nothing now.`);
  return { done: removed.length > 0 ? [`Hooks taken out: ${removed.join(', ')}`] : [], warnings };
}

const before = (file: string): string => `${file}.before-oxenvcs`;
const ownFolder = (common: string): string => path.join(common, 'oxenvcs', 'hooks');

async function commonFolder({ root }: Project): Promise<string> {
  return await gitLine(root, ['rev-parse', '--path-format=absolute', '--git-common-dir']);
}

/** Where our hooks go, and the folder that Git uses if that is another. */
async function hookFolder(project: Project): Promise<{ folder: string; shadowedBy: string | null }> {
  const common = await commonFolder(project);
  const used = await gitLine(project.root, ['rev-parse', '--path-format=absolute', '--git-path', 'hooks']);
  const below = path.relative(common, used);
  const isOwn = below !== '' && !below.startsWith('..') && !path.isAbsolute(below);
  return isOwn ? { folder: used, shadowedBy: null } : { folder: ownFolder(common), shadowedBy: used };
}

/** The file in which people write what their hook does. Husky's `_` is generated anew; its hooks are one folder up. */
function entryFile(folder: string, name: HookName): string {
  return path.basename(folder) === '_' ? path.join(path.dirname(folder), name) : path.join(folder, name);
}

async function callsOurs(folder: string, name: HookName): Promise<boolean> {
  const text = await readText(entryFile(folder, name)).catch(() => null);
  return text?.includes(`oxenvcs/hooks/${name}`) ?? false;
}

/** For a hook that a whole team uses: it does nothing where oxenvcs is not. */
const lineFor = (name: HookName): string =>
  `h="$(git rev-parse --git-common-dir)/oxenvcs/hooks/${name}"; if [ -x "$h" ]; then "$h" "$@" || exit; fi`;

const marker = /^# oxenvcs hook \d+: /m;
const seal = (text: string): string => `# oxenvcs sha256 ${createHash('sha256').update(text).digest('hex')}\n`;

/** The last line tells, also to a later version, whether somebody has changed the file. */
async function ourText(name: HookName): Promise<string> {
  const text = await fs.readFile(path.join(await sources(), name), 'utf8');
  return text + seal(text);
}

async function stateOf(file: string, name: HookName): Promise<HookState> {
  const text = await readText(file);
  if (text === null) return (await exists(file)) ? 'foreign' : 'absent'; // a broken link
  if (!marker.test(text)) return 'foreign';
  if (text === (await ourText(name))) return 'installed';
  const end = text.lastIndexOf('# oxenvcs sha256 ');
  return end >= 0 && text.slice(end) === seal(text.slice(0, end)) ? 'outdated' : 'edited';
}

/** The folder `hooks` of the package: beside `dist/main.js`, or above `src/setup`. */
async function sources(): Promise<string> {
  const here = path.dirname(fileURLToPath(import.meta.url));
  for (const up of ['..', '../..']) {
    const folder = path.resolve(here, up, 'hooks');
    if (await exists(path.join(folder, 'pre-commit'))) return folder;
  }
  throw new Error(`the hooks that belong to ${here} are missing`);
}
