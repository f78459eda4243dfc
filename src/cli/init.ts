import { askDaemon } from '../control/client.ts';
import { register } from '../control/registry.ts';
import { profileNamed } from '../daw/match.ts';
import { RetryPolicy } from '../network/retry.ts';
import { init as initProject, type InitOptions } from '../setup/init.ts';
import { capabilities } from '../lock/capabilities.ts';
import { lockContext } from '../lock/context.ts';
import { probeRemote } from '../lock/probe.ts';
import { followTo } from '../setup/moved.ts';
import { letNegotiate } from '../setup/negotiate.ts';
import { tellByHand } from '../project/by-hand.ts';
import type { Project } from '../project/project.ts';
import { command, type Context } from './command.ts';
import type { Answer } from './output.ts';

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
  run: async ({ dir, ...options }, context) => await setUpFolder(context.folder(dir), options, context),
});

/** Makes a folder a project, watched by the background process, and says what was done. Throws what `init` (setup/) throws. */
export async function setUpFolder(folder: string, options: InitOptions, context: Context): Promise<Answer> {
  // A watcher that makes a version just now, or the user's own git, is out of the way in a moment.
  const done = await RetryPolicy.fixedBackoff(10, 500).execute(async () => await initProject(folder, options), {
    signal: context.signal,
    retryIf: ({ row }) => row === 'busy',
  });
  const warnings = [...done.warnings, ...(done.remoteKind === 'remote' ? await askRemote(done.project, context) : [])];
  for (const warning of warnings) context.output.warn(warning);
  const { root } = done.project;
  // Where it lay before it was moved it is not missed any more.
  await followTo(done.project);
  await register(root);
  // A watcher that runs publishes to a remote that is new at once, not only after the next save.
  await tellByHand(done.project);
  // One that runs begins with it now; one that does not answer finds it when it starts anew.
  const isWatched = await askDaemon({ do: 'look' }).then(
    (answer) => answer !== null,
    () => true, // it runs, and `oxenvcs daemon status` tells what is wrong
  );
  return {
    data: {
      project: root,
      daw: done.daw,
      branch: done.project.config.branch,
      remoteKind: done.remoteKind,
      created: done.created,
      commit: done.commit,
      warnings,
    },
    lines: [
      done.created.length === 0
        ? `${root} is a project already; nothing to change.`
        : `${root} is a project now (${profileNamed(done.daw)?.title ?? done.daw}).`,
      ...done.created.map((line) => `  ${line}`),
      ...(done.remoteKind === 'vault'
        ? ['Versions are only on this computer for now. For the band: oxenvcs init --remote ADDRESS']
        : []),
      ...(isWatched ? [] : ['To have every save versioned: oxenvcs daemon start']),
    ],
  };
}

/** What the remote allows is found out once; gives what people should know of it. */
async function askRemote(project: Project, context: Context): Promise<string[]> {
  const ctx = await lockContext(project, context.clock, context.signal);
  if ((await capabilities(ctx)).probedAt !== null) return [];
  const probed = await probeRemote(ctx);
  // Offline it is assumed to allow everything; what it does not is learned from the first push.
  if (probed.outcome === 'unreachable' || probed.outcome === 'publish-first') return [];
  if (probed.outcome === 'refused') return [`${probed.failure.message} ${probed.failure.hint}`];
  const { atomic, branch, negotiates, said } = probed.found;
  await letNegotiate(project.root, negotiates);
  return [
    ...(atomic
      ? []
      : ['The remote cannot move branch and lock in one step: the lock is advisory there, nothing enforces it.']),
    ...(branch === false
      ? [`The remote does not let us publish ${project.config.branch}: ${said ?? 'it did not say why'}`]
      : []),
  ];
}
