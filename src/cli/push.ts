import { Failure } from '../model/failures.ts';
import { branchTip, type Project } from '../project/project.ts';
import { type Pushed, publishQueue } from '../sync/publish.ts';
import type { Drained } from '../queue/drain.ts';
import { command, type Context } from './command.ts';
import { counted } from './format.ts';
import type { Answer } from './output.ts';
import { withRetries } from './retries.ts';

export const push = command({
  words: 'push',
  describe: 'Publish what waits, now',
  options: (argv) => argv,
  run: async (_, context) => await pushNow(await context.project(), context),
});

/** Publishes what waits, trying again what may succeed. Throws the failure that is left in the end; what waits stays queued. */
export async function pushNow(project: Project, context: Context): Promise<Answer> {
  const { clock, signal } = context;
  const { branch } = project.config;
  const started = clock.monotonic();
  const { value: drained, attempts } = await withRetries(project, context, async () => {
    const once = await publishQueue(project, { clock, signal, patienceMs: 10_000 });
    if (once.outcome === 'not-yet') throw once.failure;
    return once;
  });
  const pushed = await pushedOf(project, drained);
  if (pushed.rescue !== null) throw new Failure('rescued', { branch, rescue: pushed.rescue });
  const durationMs = Math.round(clock.monotonic() - started);
  const versions = drained.outcome === 'published' ? drained.entries : 0;
  return {
    data: { ...pushed, branch, durationMs, attempts },
    lines: [versions === 0 ? 'Everything is published.' : `${counted(versions, 'version')} published.`],
  };
}

async function pushedOf(project: Project, drained: Exclude<Drained<Pushed>, { outcome: 'not-yet' }>): Promise<Pushed> {
  if (drained.outcome === 'published') return drained.published;
  return {
    outcome: 'up-to-date',
    commit: (await branchTip(project)) ?? '',
    parts: 0,
    resumedParts: 0,
    bytesSent: 0,
    rescue: null,
  };
}
