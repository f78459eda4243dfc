import { remoteTip } from '../lock/look.ts';
import { Failure } from '../model/failures.ts';
import { lockContext } from '../lock/context.ts';
import { away } from '../network/away.ts';
import { branchTip, type Project, refCommit, remoteBranchRef } from '../project/project.ts';
import { readRescue, rescueBranch } from '../project/rescue.ts';
import { trackTransfer, type Transfer } from '../push/transfer.ts';
import { type Proof, verify } from '../push/verify.ts';
import type { Entry } from '../queue/entries.ts';
import { lookAtQueue } from '../queue/rebuild.ts';
import type { Pushed } from '../sync/onto.ts';
import { publishQueue } from '../sync/publish.ts';
import { askTeam } from '../sync/team.ts';
import { command, type Context } from './command.ts';
import { counted } from './format.ts';
import type { Answer } from './output.ts';
import { withRetries } from './retries.ts';
import { describeTransfer } from './transfer.ts';

export const push = command({
  words: 'push',
  describe: 'Publish what waits, now',
  options: (argv) =>
    argv.option('verify', {
      type: 'boolean',
      default: false,
      describe: 'Let the remote prove that all of it is there and whole; what is not is sent again',
    }),
  async run({ verify: isWanted }, context) {
    const project = await context.project();
    const { answer, since } = await pushAll(project, context);
    return isWanted ? await withProof(project, context, answer, since) : answer;
  },
});

/**
 * Publishes what waits, and what the remote has lost; `since`: what it had of ours before. Throws as `publishNow` does, and
 * what keeps the remote from being asked, but for `offline` where nothing waits.
 */
export async function pushAll(project: Project, context: Context): Promise<{ answer: Answer; since: string | null }> {
  const isAway = !(await lookForLoss(project, context));
  const since = await refCommit(project, remoteBranchRef(project));
  const { lines, ...answer } = await pushNow(project, context);
  const seenLast = isAway ? ['So it was when the remote last answered; now it cannot be reached.'] : [];
  return { answer: { ...answer, lines: [...lines, ...seenLast] }, since };
}

/**
 * By what is known here nothing goes out; but a remote that was made anew has nothing. After this it is known, and all that the
 * remote lacks waits again. False: it cannot be reached.
 */
async function lookForLoss(project: Project, { clock, signal }: Context): Promise<boolean> {
  const { entries } = await lookAtQueue(project);
  // An intent is only a note, and versions of another branch wait for the settings to name it.
  const { branch } = project.config;
  const goesOut = (one: Entry) => one.kind === 'rescue' || (one.kind === 'publish' && one.branch === branch);
  if (entries.some(goesOut)) return true;
  const ctx = await lockContext(project, clock, signal);
  const asked = await remoteTip(ctx);
  if (asked.outcome !== 'read') {
    const failure = await away(asked.failure, ctx);
    if (failure.code !== 'OFFLINE') throw failure;
    return false;
  }
  if (asked.tip !== (await refCommit(project, remoteBranchRef(project)))) await askTeam(project, signal);
  return true;
}

async function withProof(project: Project, context: Context, answer: Answer, since: string | null): Promise<Answer> {
  const tip = await refCommit(project, remoteBranchRef(project));
  if (tip === null) return answer; // nothing was ever published
  const { clock, signal, output } = context;
  const ctx = await lockContext(project, clock, signal);
  const tell = (transfer: Transfer) => output.progress(describeTransfer(transfer), { event: 'transfer', ...transfer });
  const track = trackTransfer(project, clock, tell);
  const patience = project.config.network.maxRetries;
  try {
    const verified = await verify(ctx, { tip, since, ref: `refs/heads/${ctx.branch}`, track, patience });
    return { ...answer, data: { ...answer.data, verified }, lines: [...answer.lines, describeProof(verified)] };
  } finally {
    await track.end();
  }
}

function describeProof({ complete, samples, mended }: Proof): string {
  const whole = complete
    ? 'The remote has every file and folder of it'
    : 'The remote’s branch is where it should be (this server cannot be asked for more)';
  const compared = samples === 0 ? '' : `; ${counted(samples, 'take')} came back from it, byte for byte`;
  const again = mended === 0 ? '' : ` Damaged there and sent again: ${counted(mended, 'take')}.`;
  return `${whole}${compared}.${again}`;
}

/** Publishes what waits, or only what goes out together with one entry. Throws as `publishNow` does. */
export async function pushNow(project: Project, context: Context, only?: string): Promise<Answer> {
  const { branch } = project.config;
  const { pushed, versions, ...rest } = await publishNow(project, context, only);
  const rescue = await rescued(project);
  if (rescue !== null && (pushed.rescue !== null || versions === 0)) throw new Failure('rescued', { branch, rescue });
  return {
    data: { ...pushed, branch, ...rest },
    lines: [
      versions === 0 ? await nothingWaits(project) : whereTo(pushed, versions),
      ...(pushed.joined ? ['Joined with what the team published; bring that in with `oxenvcs pull`.'] : []),
    ],
  };
}

const whereTo = ({ rescue }: Pushed, versions: number): string =>
  rescue === null
    ? `${counted(versions, 'version')} published.`
    : `${counted(versions, 'version')} kept on the remote as ${rescue}, until the team’s branch takes ${versions === 1 ? 'it' : 'them'}.`;

async function nothingWaits(project: Project): Promise<string> {
  const { dropped } = await lookAtQueue(project);
  return dropped.length === 0
    ? 'Everything is published.'
    : `Nothing waits; ${counted(dropped.length, 'version')} taken out of the queue ${dropped.length === 1 ? 'is' : 'are'} not published.`;
}

/** Where the versions lie that the team went on without; null: there are none. */
async function rescued(project: Project): Promise<string | null> {
  const rescue = await readRescue(project);
  return rescue === null || rescue.waits === true ? null : rescueBranch(rescue);
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
  // Of all tries together: the answer of one that sent everything may have been lost.
  const sent = { parts: 0, bytesSent: 0 };
  const ports = {
    clock,
    signal,
    patienceMs: 10_000,
    urgency: 'by-hand',
    retry,
    readBack: true,
    onLost: (failure: Failure) => output.warn(`${failure.message} It was free, and you took it again.`),
    onTransfer: (transfer: Transfer) => output.progress(describeTransfer(transfer), { event: 'transfer', ...transfer }),
    onEnded: ({ parts, bytesSent }: typeof sent) => {
      sent.parts = Math.max(sent.parts, parts);
      sent.bytesSent += bytesSent;
    },
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
  const last = published.at(-1)?.pushed ?? (await nothing(project));
  return {
    pushed: {
      ...last,
      // That it was there already when it was tried again was our own doing.
      outcome: sent.bytesSent > 0 ? 'pushed' : last.outcome,
      parts: Math.max(last.parts, sent.parts),
      bytesSent: sent.bytesSent,
    },
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
