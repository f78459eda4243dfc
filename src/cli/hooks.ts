import { type HookChanges, type HookReport, hookStatus, installHooks, uninstallHooks } from '../setup/hooks.ts';
import { command, type Context } from './command.ts';
import type { Answer } from './output.ts';

const install = command({
  words: 'install',
  describe: 'Put our hooks beside those that are there, or bring them up to date',
  options: (argv) => argv,
  async run(_, context) {
    const project = await context.project();
    return changed(await installHooks(project), await hookStatus(project), 'Nothing to do.', context);
  },
});

const uninstall = command({
  words: 'uninstall',
  describe: 'Take our hooks out, and put back what was there before',
  options: (argv) => argv,
  async run(_, context) {
    const project = await context.project();
    return changed(await uninstallHooks(project), await hookStatus(project), 'No hook of ours is there.', context);
  },
});

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
  return [
    `In ${folder}:`,
    ...hooks.map(({ name, state, reached, kept }) => {
      const isThere = state !== 'absent' && state !== 'foreign';
      const unreached = isThere && !reached ? ', but Git does not get to it' : '';
      return `${reached && state === 'installed' ? '✓' : '✗'} ${name}: ${words[state]}${unreached}${kept ? '; the one from before runs first' : ''}`;
    }),
    ...(shadowedBy === null ? [] : [`Git looks for hooks in ${shadowedBy}.`]),
  ];
}

const words = {
  absent: 'not there',
  installed: 'installed',
  outdated: 'of another version: `oxenvcs hooks install`',
  edited: 'changed by hand',
  foreign: 'not from oxenvcs',
};
