import type { DawProfile } from '../daw/profile.ts';
import { Failure } from '../model/failures.ts';
import type { Project } from '../project/project.ts';
import { finishCheckout } from '../checkout/checkout.ts';
import { findDaw } from '../setup/find-daw.ts';
import { conflictsOf } from '../sync/conflicts.ts';
import { bringIn, pull } from '../sync/pull.ts';
import { knownTeam } from '../sync/team.ts';
import { command, type Context } from './command.ts';
import { conflictFailure } from './conflict.ts';
import { counted } from './format.ts';
import type { Answer } from './output.ts';
import { publishNow } from './push.ts';
import { withRetries } from './retries.ts';

export const sync = command({
  words: 'sync',
  describe: 'Bring in what the team has published, and publish what waits',
  options: (argv) => argv,
  run: async (_, context) => await syncNow(await context.project(), context),
});

/** What was done on the way, and what kept it from going further; null: nothing. */
interface Done {
  pulled: number;
  published: number;
  failure: Failure | null;
}

async function syncNow(project: Project, context: Context): Promise<Answer> {
  const daw = await findDaw(project.root, project.config.daw);
  // Also without a network.
  await finishCheckout(project);
  const { failure, ...done } = await bothWays(project, daw, context);
  const conflicts = (await conflictsOf(project)).filter(({ isOurs }) => isOurs);
  if (conflicts.length > 0) {
    const failures = conflicts.map(conflictFailure);
    for (const one of failures) context.output.warn(`${one.message} ${one.hint}`);
    const data = { ...done, conflicts: conflicts.map(({ id }) => id), outcome: 'conflict' };
    return { data, lines: linesOf(done), exitCode: failures[0]?.exitCode ?? 5 };
  }
  if (failure === null) {
    const told = linesOf(done);
    const data = { ...done, conflicts: [], outcome: 'in-sync' };
    return { data, lines: told.length > 0 ? told : ['Nothing new on either side.'] };
  }
  if (failure.code !== 'OFFLINE' && failure.code !== 'LOCK_HELD') throw failure;
  // What waits goes out by itself: with a watcher at once, else with the next save or command.
  context.output.warn(`${failure.message} ${failure.hint}`);
  const data = { ...done, conflicts: [], outcome: 'queued', error: failure.toJSON() };
  return { data, lines: linesOf(done), exitCode: failure.exitCode };
}

/** First in, so that what goes out needs no join; then out; then in again, if it was joined all the same. */
async function bothWays(project: Project, daw: DawProfile, context: Context): Promise<Done> {
  const done: Done = { pulled: 0, published: 0, failure: null };
  /** What cannot be brought in now does not keep anything from going out. */
  const into = async (pulling: () => Promise<{ pulled: number }>) => {
    done.failure = null;
    try {
      done.pulled += (await pulling()).pulled;
    } catch (error) {
      if (!(error instanceof Failure && ['CONFLICT', 'BUSY', 'OFFLINE'].includes(error.code))) throw error;
      done.failure = error;
    }
  };
  await into(
    async () =>
      (await withRetries(project, context, 'pull', async () => await pull(project, daw, context.signal))).value,
  );
  if (done.failure?.code === 'OFFLINE') return done;
  try {
    const { pushed, versions } = await publishNow(project, context);
    // What went to a rescue branch is safe, but the team does not have it.
    done.published = pushed.rescue === null ? versions : 0;
  } catch (error) {
    if (!(error instanceof Failure)) throw error;
    return { ...done, failure: error };
  }
  await into(async () => await bringIn(project, daw, (await knownTeam(project)).tip));
  return done;
}

function linesOf({ pulled, published }: Omit<Done, 'failure'>): string[] {
  return [
    ...(pulled > 0 ? [`${counted(pulled, 'version')} brought in.`] : []),
    ...(published > 0 ? [`${counted(published, 'version')} published.`] : []),
  ];
}
