import { tryGit } from '../git/run.ts';
import { capabilities, learn } from '../lock/capabilities.ts';
import { type LockContext, lockContext } from '../lock/context.ts';
import { probeNegotiation } from '../lock/probe.ts';
import { withSharedConnection } from '../network/share.ts';
import { isSsh, sshSettings } from '../network/ssh.ts';
import { alone } from '../project/guard.ts';
import type { Project } from '../project/project.ts';
import { missingBytes } from '../push/plan.ts';
import { prepareParts } from '../push/prepare.ts';
import { type Transfer, trackTransfer } from '../push/transfer.ts';
import { isNegotiating, letNegotiate } from '../setup/negotiate.ts';
import { systemClock } from '../system/clock.ts';

/**
 * Over ssh the connection of the push that waits for us stands idle, and git fails where it is cut. Some load balancers do
 * that after a minute; ms. Over http there is none, and one that ssh keeps alive is not idle.
 */
const sshPatienceMs = 45_000;
/** ssh itself asks for a sign of life at least so often, s. */
const aliveSeconds = 60;
/** So long a publish of this project's own is waited for, which is mostly a matter of a moment, ms. */
const otherMs = 2000;
/** While git waits a part takes no longer, s. */
const shortPart = 10;

/** Below this much nobody minds to send it once more, bytes. */
const worthTelling = 50_000_000;

/**
 * For a `git push` by hand: brings what it is about to send to the remote in parts first, so that one that is interrupted
 * goes on where it was. Only where git will ask the remote what it has. `lines`: as git gives them to the hook pre-push.
 * Gives a remark for the person, or null. Throws what stopped it: then git sends the rest by itself.
 */
export async function stageForPush(
  project: Project,
  lines: string,
  signal: AbortSignal,
  patienceMs = sshPatienceMs,
): Promise<string | null> {
  const pushed = branchesIn(lines);
  if (pushed.length === 0) return null;
  const here = await lockContext(project, systemClock, signal);
  // Whoever publishes at this moment brings its own parts there, and would remove ours afterwards.
  const guarded = await alone(project, 'publish', otherMs, async () =>
    withSharedConnection(here, async (connection) => bringAll({ ...here, connection }, pushed, patienceMs)),
  );
  return guarded.outcome === 'done' ? guarded.value : null;
}

async function bringAll(ctx: LockContext, pushed: readonly Pushed[], patienceMs: number): Promise<string | null> {
  for (const { tip, known } of pushed) {
    const bytes = await missingBytes(ctx, tip, known);
    // What goes in one part is simply pushed.
    if (bytes <= ctx.settings.push.minPartBytes) continue;
    if (!(await willAsk(ctx, known)))
      return bytes < worthTelling
        ? null
        : 'If this push is interrupted it starts anew: this remote cannot tell what it has. `oxenvcs push` goes on where it was.';
    const staged = (await staysOpen(ctx)) ? await bring(ctx, tip, known) : await bringSome(ctx, tip, known, patienceMs);
    if (!staged)
      return 'Git sends the rest in one piece, for its connection must not wait longer. Should that break: push again, or use `oxenvcs push`. With `ServerAliveInterval 30` for this host in ~/.ssh/config all of it goes in parts.';
  }
  return null;
}

/** Can git's own connection wait as long as it takes? */
async function staysOpen({ root, remote: { url } }: LockContext): Promise<boolean> {
  if (!isSsh(url)) return true;
  const seconds = Number((await sshSettings(root, url))?.get('serveraliveinterval') ?? 0);
  return seconds > 0 && seconds <= aliveSeconds;
}

/** False: the time was over before all of it was there. */
async function bring(ctx: LockContext, tip: string, known: string[], until?: number): Promise<boolean> {
  const track = trackTransfer(ctx, systemClock, tell());
  try {
    return (await prepareParts(ctx, { tip, known, track, patience: 1, until })).isWhole;
  } finally {
    await track.end();
  }
}

/** What gets there within the time that the connection of a push may wait: no part is begun in the second half of it. */
async function bringSome(ctx: LockContext, tip: string, known: string[], patienceMs: number): Promise<boolean> {
  const { push } = ctx.settings;
  const settings = { ...ctx.settings, push: { ...push, partSeconds: Math.min(push.partSeconds, shortPart) } };
  const over = AbortSignal.timeout(patienceMs);
  const hasty = { ...ctx, settings, signal: ctx.signal ? AbortSignal.any([ctx.signal, over]) : over };
  try {
    return await bring(hasty, tip, known, systemClock.monotonic() + patienceMs / 2);
  } catch (error) {
    if (over.aborted) return false;
    throw error;
  }
}

interface Pushed {
  tip: string;
  /** What the remote's branch is at. */
  known: string[];
}

/** `LOCAL-REF LOCAL-ID REMOTE-REF REMOTE-ID`: the branches that are moved, not deleted. Pure. */
export function branchesIn(lines: string): Pushed[] {
  return lines.split('\n').flatMap((line) => {
    const [, tip = '', ref = '', at = ''] = line.split(' ');
    if (!ref.startsWith('refs/heads/') || !isId(tip)) return [];
    return [{ tip, known: isId(at) ? [at] : [] }];
  });
}

const isId = (text: string): boolean => /^[0-9a-f]{40,64}$/.test(text) && !/^0+$/.test(text);

/** Will git find what lies on the remote already? What is not known yet is found out now, for the next push. */
async function willAsk(ctx: LockContext, known: readonly string[]): Promise<boolean> {
  const asks = await isNegotiating(ctx.root);
  const { negotiates } = await capabilities(ctx);
  if (negotiates !== null) return asks && negotiates;
  for (const tip of known) {
    if ((await tryGit(ctx.root, ['cat-file', '-e', tip])).exitCode !== 0) continue;
    const found = await probeNegotiation(ctx, tip);
    await learn(ctx, { negotiates: found });
    await letNegotiate(ctx.root, found);
    return asks && found === true;
  }
  return false;
}

/** A line now and then: git itself is silent meanwhile. */
function tell(): (transfer: Transfer) => void {
  let told = -1;
  return ({ bytesSent, bytesTotal }) => {
    const tenth = bytesTotal === 0 ? 10 : Math.floor((bytesSent / bytesTotal) * 10);
    if (tenth <= told) return;
    told = tenth;
    const megabytes = (bytes: number) => (bytes / 1e6).toFixed(0);
    process.stderr.write(`oxenvcs: ${megabytes(bytesSent)} of ${megabytes(bytesTotal)} MB are on the remote\n`);
  };
}
