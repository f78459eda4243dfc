import type { Argv } from 'yargs';
import { registered } from '../control/registry.ts';
import { asFailure } from '../model/failures.ts';
import { openProject, type Project } from '../project/project.ts';
import { otherProgram } from '../setup/hook-files.ts';
import { type HookChanges, type HookReport, hookStatus, installHooks, uninstallHooks } from '../setup/hooks.ts';
import { command, type Context } from './command.ts';
import type { Answer } from './output.ts';

const all = (argv: Argv<object>) =>
  argv.option('all', { type: 'boolean', default: false, describe: 'In all projects of this user that have them' });

const install = command({
  words: 'install',
  describe: 'Put our hooks beside those that are there, or bring them up to date',
  options: all,
  async run(options, context) {
    if (options.all) return await inAll(installHooks, context);
    const project = await context.project();
    const { done, warnings } = await installHooks(project);
    const told = { done: done.map((line) => `Installed: ${line}`), warnings };
    return changed(told, await hookStatus(project), 'They are there, and up to date.', context);
  },
});

const uninstall = command({
  words: 'uninstall',
  describe: 'Take our hooks out, and put back what was there before',
  options: (argv) =>
    all(argv).option('own', {
      type: 'boolean',
      default: false,
      describe: 'With --all: leave those of another installation as they are (for uninstalling)',
    }),
  async run(options, context) {
    if (options.all) return await inAll(options.own ? uninstallOwn : uninstallHooks, context);
    const project = await context.project();
    return changed(await uninstallHooks(project), await hookStatus(project), 'No hook of ours is there.', context);
  },
});

async function uninstallOwn(project: Project): Promise<HookChanges> {
  const other = await otherProgram((await hookStatus(project)).folder);
  if (other === null) return await uninstallHooks(project);
  return { done: [`Git hooks stay, for they are another installation's: ${other}`], warnings: [] };
}

/** For the installer: the projects that the background process knows. One that is not there now (an external disk) is left out. */
async function inAll(change: (project: Project) => Promise<HookChanges>, context: Context): Promise<Answer> {
  const done: { project: string; done: string[]; warnings: string[] }[] = [];
  for (const root of (await registered()).roots) {
    try {
      const project = await openProject(root);
      const { hooks } = await hookStatus(project);
      if (hooks.some(({ state }) => state === 'installed' || state === 'outdated'))
        done.push({ project: root, ...(await change(project)) });
    } catch (error) {
      done.push({ project: root, done: [], warnings: [asFailure(error).message] });
    }
  }
  for (const { project, warnings } of done)
    for (const warning of warnings) context.output.warn(`${project}: ${warning}`);
  const lines = done.flatMap((one) => one.done.map((line) => `${one.project}: ${line}`));
  return { data: { projects: done }, lines };
}

const status = command({
  words: 'status',
  describe: 'Which hooks are installed, and whether Git gets to them',
  options: (argv) => argv,
  async run(_, context) {
    const report = await hookStatus(await context.project());
    return { data: report, lines: describeHooks(report) };
  },
});

export const hooks = {
  words: 'hooks',
  describe: 'Git hooks: commits by hand get the care of saves',
  commands: [install, uninstall, status],
};

function changed({ done, warnings }: HookChanges, report: HookReport, nothing: string, context: Context): Answer {
  for (const warning of warnings) context.output.warn(warning);
  const lines = done.length > 0 ? done : warnings.length > 0 ? [] : [nothing];
  return { data: { ...report, done, warnings }, lines };
}

function describeHooks({ folder, shadowedBy, hooks }: HookReport): string[] {
  const summary = hooks.every(({ reached, state }) => reached && state === 'installed')
    ? 'Commits and pushes by hand, from any Git client, take the lock and wait their turn as saves do.'
    : hooks.some(({ reached, state }) => reached && state === 'installed')
      ? 'Not all that oxenvcs does for commits and pushes by hand is done: oxenvcs hooks install'
      : 'Saves become versions all the same; commits and pushes by hand do not ask for the lock: oxenvcs hooks install';
  return [
    summary,
    `In ${folder}:`,
    ...hooks.map(({ name, state, reached, kept }) => {
      const isThere = state !== 'absent' && state !== 'foreign';
      const unreached = isThere && !reached ? ', but Git does not get to it' : '';
      return `${reached && state === 'installed' ? '✓' : '✗'} ${name}: ${words[state]}${unreached}${kept ? '; the one from before runs first' : ''} (${jobs[name] ?? ''})`;
    }),
    ...(shadowedBy === null ? [] : [`Git looks for hooks in ${shadowedBy}.`]),
  ];
}

const jobs: Record<string, string> = {
  'pre-commit': 'the lock, before a commit',
  'prepare-commit-msg': 'a message to start from',
  'post-commit': 'the commit goes out by itself',
  'pre-push': 'the lock, before a push; large takes in parts',
  'post-checkout': 'unchanged takes do not look new to the DAW',
  'post-merge': 'the same after a merge, which goes out by itself',
  'post-rewrite': 'amended and rebased commits go out instead of the old ones',
};

const words = {
  absent: 'not there',
  installed: 'installed',
  outdated: 'of another version: `oxenvcs hooks install`',
  edited: 'changed by hand',
  foreign: 'not from oxenvcs',
};
