import * as fs from 'node:fs/promises';
import path from 'node:path';
import { git, gitLine, tryGit } from '../git/run.ts';
import { Failure } from '../model/failures.ts';
import { configPath, type Project } from '../project/project.ts';
import { exists, ifMissing, removeDurable } from '../system/disk.ts';
import { dataFolder } from '../system/places.ts';
import { withoutBlock } from './block.ts';
import { type HookChanges, uninstallHooks } from './hooks.ts';
import { negotiation } from './negotiate.ts';
import { localSetting, settingsFor } from './settings.ts';

/** Leaving a project: what init has put into the folder and its repository is taken out again. */

/**
 * Puts versions that only this repository has into one file beside the project's own files, from which `git clone` or
 * `git fetch` gets them back. `all`: everything that the remotes do not have; else only what no branch holds (work that was
 * rewritten away or dropped). Null: there is nothing of that kind.
 */
export async function exportRest({ root }: Project, { all }: { all: boolean }): Promise<string | null> {
  const ours = ['queue', 'kept', 'dropped'].map((name) => `--glob=refs/oxenvcs/${name}`);
  const stash = (await tryGit(root, ['rev-parse', '--verify', '--quiet', 'refs/stash'])).exitCode === 0;
  const rest = all ? ['--branches', '--tags', ...(stash ? ['refs/stash'] : []), ...ours] : ours;
  const known = all ? ['--remotes'] : ['--branches', '--tags', '--remotes'];
  if ((await gitLine(root, ['rev-list', '--max-count=1', ...rest, '--not', ...known, '--'])) === '') return null;
  const file = await freeName(root);
  // Whole histories: it can be cloned even when nothing else is left.
  await git(root, ['bundle', 'create', '--quiet', file, ...rest, ...(all ? ['HEAD'] : [])]);
  return file;
}

async function freeName(root: string): Promise<string> {
  for (let n = 1; ; n++) {
    const file = path.join(root, `${path.basename(root)} history${n === 1 ? '' : ` ${n}`}.bundle`);
    if (!(await exists(file))) return file;
  }
}

/** Takes out hooks, settings, our refs and our notes. What is in the versions stays in them. Doing it twice is the same as once. */
export async function takeOut(project: Project): Promise<HookChanges> {
  const { root, gitDir } = project;
  const hooks = await uninstallHooks(project);
  for (const { key, value } of [...settingsFor(process.platform), negotiation])
    if ((await localSetting(root, key)) === value)
      await tryGit(root, ['config', '--local', '--unset', key, `^${value}$`]);
  const refs = await git(root, ['for-each-ref', '--format=delete %(refname)', 'refs/oxenvcs/']);
  if (refs !== '') await git(root, ['update-ref', '--no-deref', '--stdin'], { input: refs });
  // The team goes on with its settings: that they are gone here is no change to be committed.
  await tryGit(root, ['update-index', '--skip-worktree', '--', configPath]);
  await removeDurable(path.join(root, configPath));
  await fs.rm(path.join(root, '.oxenvcs'), { recursive: true, force: true });
  await fs.rm(path.join(gitDir, 'oxenvcs'), { recursive: true, force: true });
  return hooks;
}

/**
 * Deletes the repository and our lines in the files of the folder, which then is as if it had never been a project. The
 * versions are gone from here: export first. Throws `not-alone` where the Git data are also another folder's.
 */
export async function deleteHistory(project: Project): Promise<void> {
  const { root, gitDir } = project;
  await assertAlone(project);
  for (const name of ['.gitattributes', '.gitignore']) {
    const file = path.join(root, name);
    const text = await fs.readFile(file, 'latin1').catch(ifMissing(null));
    if (text === null) continue;
    const left = withoutBlock(text);
    if (left === '') await removeDurable(file);
    else if (left !== text) await fs.writeFile(file, left, 'latin1');
  }
  await fs.rm(path.join(root, '.git'), { recursive: true, force: true });
  // One that lay outside of a synced folder. Anywhere else it is not for us to delete.
  if (gitDir.startsWith(path.join(dataFolder(), 'repositories') + path.sep))
    await fs.rm(gitDir, { recursive: true, force: true });
}

/** Is the repository this folder's alone? */
export async function assertAlone({ root, gitDir }: Project): Promise<void> {
  const common = await gitLine(root, ['rev-parse', '--path-format=absolute', '--git-common-dir']);
  const worktrees = (await git(root, ['worktree', 'list', '--porcelain'])).match(/^worktree /gm)?.length ?? 1;
  const dotGit = path.join(root, '.git');
  const isModule = (await fs.lstat(dotGit)).isFile() && gitDir.split(path.sep).includes('modules');
  if (path.resolve(common) === path.resolve(gitDir) && worktrees === 1 && !isModule) return;
  throw new Failure('not-alone', { dir: root });
}

/** A folder that was left and comes back: the team's settings are there again. */
export async function bringBackSettings(root: string): Promise<void> {
  if (await exists(path.join(root, configPath))) return;
  const marked = await tryGit(root, ['ls-files', '-v', '--', configPath]);
  if (!marked.stdout.toString('utf8').startsWith('S ')) return;
  await git(root, ['update-index', '--no-skip-worktree', '--', configPath]);
  await git(root, ['checkout-index', '--', configPath]);
}
