import { lockContext } from '../lock/context.ts';
import { asFailure, type Failure } from '../model/failures.ts';
import type { Project } from '../project/project.ts';
import type { Clock } from '../system/clock.ts';
import { type Check, failed } from './check.ts';
import { fileSystemChecks } from './file-system.ts';
import { hookChecks } from './hooks.ts';
import { lfsChecks } from './lfs.ts';
import { programChecks } from './programs.ts';
import { remoteChecks } from './remote.ts';
import { settingsChecks } from './settings.ts';
import { stateChecks } from './state.ts';
import { watchChecks } from './watching.ts';

/**
 * Everything that could stop it from working here. One group that fails does not hide the others. `broken`: what is wrong with
 * the settings; what these name, the remote and its branch, cannot be looked at then.
 */
export async function examine(
  project: Project,
  broken: readonly Failure[],
  clock: Clock,
  signal: AbortSignal,
): Promise<Check[]> {
  const groups: Record<string, () => Promise<Check[]>> = {
    programs: async () => await programChecks(),
    settings: async () => settingsChecks(broken, process.env),
    ...(broken.length > 0
      ? {}
      : {
          remote: async () => await remoteChecks(await lockContext(project, clock, signal)),
          state: async () => await stateChecks(project, clock),
        }),
    hooks: async () => await hookChecks(project),
    'git-lfs': async () => await lfsChecks(project),
    watching: async () => await watchChecks(project),
    disk: async () => await fileSystemChecks(project),
  };
  const checks: Check[] = [];
  for (const [name, group] of Object.entries(groups))
    checks.push(
      ...(await group().catch((error: unknown) => {
        if (signal.aborted) throw error;
        return [failed(name, asFailure(error))];
      })),
    );
  return checks;
}

/** Does what can be done without harm; gives the names of what was. */
export async function mend(checks: readonly Check[]): Promise<string[]> {
  const done: string[] = [];
  for (const { name, ok, fix } of checks) {
    if (ok || fix === undefined) continue;
    await fix();
    done.push(name);
  }
  return done;
}
