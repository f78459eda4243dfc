import { Failure } from '../model/failures.ts';
import { branchTip, type Project } from '../project/project.ts';
import type { Transfer } from '../push/transfer.ts';
import type { Pushed } from '../sync/onto.ts';
import { publishQueue } from '../sync/publish.ts';
import { command, type Context } from './command.ts';
import { counted } from './format.ts';
import type { Answer } from './output.ts';
import { withRetries } from './retries.ts';
import { describeTransfer } from './transfer.ts';

export const push = command({
  words: 'push',
  describe: 'Publish what waits, now',
  options: (argv) => argv,
  run: async (_, context) => await pushNow(await context.project(), context),
});

/** `push`, and what else publishes what waits, or only what goes out together with one entry. Throws as `publishNow` does. */
export async function pushNow(project: Project, context: Context, only?: string): Promise<Answer> {
  const { branch } = project.config;
  const { pushed, versions, ...rest } = await publishNow(project, context, only);
  if (pushed.rescue !== null) throw new Failure('rescued', { branch, rescue: pushed.rescue });
  return {
    data: { ...pushed, branch, ...rest },
    lines: [
      versions === 0 ? 'Everything is published.' : `${counted(versions, 'version')} published.`,
      ...(pushed.joined ? ['Joined with what the team published; bring that in with `oxenvcs pull`.'] : []),
    ],
  };
}

interface Published {
  /** The last push. */
  pushed: Pushed;
  versions: number;
  durationMs: number;
  attempts: number;
}

/** Publishes what waits, trying again what may succeed. Throws the failure that is left in the end; what waits stays queued. */
export async function publishNow(project: Project, context: Context, only?: string): Promise<Published> {
  const { clock, signal, output, retry } = context;
  const started = clock.monotonic();
  const ports = {
    clock,
    signal,
    patienceMs: 10_000,
    urgency: 'by-hand',
    retry,
    onTransfer: (transfer: Transfer) => output.progress(describeTransfer(transfer), { event: 'transfer', ...transfer }),
    ...(only === undefined ? {} : { only }),
  } as const;
  const published: { versions: number; pushed: Pushed }[] = [];
  const once = async () => {
    const drained = await publishQueue(project, ports);
    for (const one of drained)
      if (one.outcome === 'published') published.push({ versions: one.versions, pushed: one.published });
    const left = drained.find((one) => one.outcome === 'not-yet');
    if (left?.outcome === 'not-yet') throw left.failure;
    return drained;
  };
  const { attempts } = await withRetries(project, context, 'push', once, (drained) => drained.length > 0);
  return {
    pushed: published.at(-1)?.pushed ?? (await nothing(project)),
    versions: published.reduce((sum, one) => sum + one.versions, 0),
    durationMs: Math.round(clock.monotonic() - started),
    attempts,
  };
}

const nothing = async (project: Project): Promise<Pushed> => ({
  outcome: 'up-to-date',
  commit: (await branchTip(project)) ?? '',
  parts: 0,
  resumedParts: 0,
  bytesSent: 0,
  rescue: null,
  joined: false,
});
