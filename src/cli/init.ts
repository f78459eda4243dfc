import path from 'node:path';
import { profileNamed } from '../daw/match.ts';
import { init as initProject } from '../setup/init.ts';
import { command } from './command.ts';

export const init = command({
  words: 'init [dir]',
  describe: 'Make a folder a project: repository, attributes, ignores, hooks, remote or vault, first version',
  options: (argv) =>
    argv
      .positional('dir', { type: 'string', describe: 'The folder with the session (default: here)' })
      .option('remote', { type: 'string', describe: 'The address of the team’s Git repository', requiresArg: true })
      .option('branch', { type: 'string', describe: 'The branch that is published', requiresArg: true })
      .option('daw', { type: 'string', describe: 'The DAW (default: found by itself)', requiresArg: true })
      .option('hooks', { type: 'boolean', default: true, describe: 'Install the Git hooks (--no-hooks: do not)' }),
  async run({ dir, remote, branch, daw, hooks }, context) {
    const folder = path.resolve(context.cwd, dir ?? context.start);
    const done = await initProject(folder, { remote, branch, daw, hooks });
    for (const warning of done.warnings) context.output.warn(warning);
    const { root } = done.project;
    return {
      data: {
        project: root,
        daw: done.daw,
        branch: done.project.config.branch,
        remoteKind: done.remoteKind,
        created: done.created,
        commit: done.commit,
        warnings: done.warnings,
      },
      lines: [
        done.created.length === 0
          ? `${root} is a project already; nothing to change.`
          : `${root} is a project now (${profileNamed(done.daw)?.title ?? done.daw}).`,
        ...done.created.map((line) => `  ${line}`),
        ...(done.remoteKind === 'vault'
          ? ['Versions are only on this computer for now. For the band: oxenvcs init --remote ADDRESS']
          : []),
      ],
    };
  },
});
