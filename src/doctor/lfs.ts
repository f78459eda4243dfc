import path from 'node:path';
import { tryGit } from '../git/run.ts';
import type { Project } from '../project/project.ts';
import { hookStatus } from '../setup/hooks.ts';
import { readText } from '../system/disk.ts';
import { type Check, good, problem } from './check.ts';

/** Nothing where the project has nothing to do with git-lfs. */
export async function lfsChecks(project: Project): Promise<Check[]> {
  const attributes = await readText(path.join(project.root, '.gitattributes')).catch(() => null);
  if (!/^[^#\n]*\bfilter=lfs\b/m.test(attributes ?? '')) return [];
  return [await lfsItself(project), ...(await lfsHook(project))];
}

async function lfsItself({ root }: Project): Promise<Check> {
  const version = await tryGit(root, ['lfs', 'version']);
  if (version.exitCode !== 0)
    return problem(
      'git-lfs',
      'the project keeps files with git-lfs, which is not installed',
      'Install git-lfs, then run `git lfs install`.',
    );
  const filter = await tryGit(root, ['config', '--get', 'filter.lfs.clean']);
  if (filter.exitCode === 0) return good('git-lfs', version.stdout.toString('utf8').split(' ', 1)[0] ?? '');
  const setUp = async () => await tryGit(root, ['lfs', 'install', '--skip-repo']);
  return problem('git-lfs', 'it is not set up for this user', 'Run `git lfs install`.', setUp);
}

/** git-lfs uploads from its pre-push hook. Where ours was there first, it could not put its own. */
async function lfsHook(project: Project): Promise<Check[]> {
  const { folder, hooks, shadowedBy } = await hookStatus(project);
  const ours = hooks.find(({ name }) => name === 'pre-push');
  if (shadowedBy !== null || !ours?.reached) return [];
  const kept = (await readText(path.join(folder, 'pre-push.before-oxenvcs')).catch(() => null)) ?? '';
  if (/git[ -]lfs/.test(kept)) return [];
  return [
    problem(
      'git-lfs hook',
      'a push by hand does not upload what git-lfs keeps: its hook is not there',
      'Run `oxenvcs hooks uninstall`, `git lfs install --local`, then `oxenvcs hooks install`.',
    ),
  ];
}
