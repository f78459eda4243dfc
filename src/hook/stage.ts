import { tryGit } from '../git/run.ts';
import { capabilities, learn } from '../lock/capabilities.ts';
import { type LockContext, lockContext } from '../lock/context.ts';
import { probeNegotiation } from '../lock/probe.ts';
import { isSsh } from '../network/ssh.ts';
import type { Project } from '../project/project.ts';
import { missingBytes } from '../push/plan.ts';
import { prepareParts } from '../push/prepare.ts';
import { type Transfer, trackTransfer } from '../push/transfer.ts';
import { isNegotiating, letNegotiate } from '../setup/negotiate.ts';
import { systemClock } from '../system/clock.ts';

/**
 * Over ssh the connection of the push that waits for us stands idle; so long every firewall and server lets it, ms. Over http
 * there is none.
 */
const sshPatienceMs = 240_000;

/** Below this much nobody minds to send it once more, bytes. */
const worthTelling = 50_000_000;

/**
 * For a `git push` by hand: brings what it is about to send to the remote in parts first, so that one that is interrupted
 * goes on where it was. Only where git will ask the remote what it has. `lines`: as git gives them to the hook pre-push.
 * Gives a remark for the person, or null. Throws what stopped it: then git sends the rest by itself.
 */
export async function stageForPush(project: Project, lines: string, signal: AbortSignal): Promise<string | null> {
  const pushed = branchesIn(lines);
  if (pushed.length === 0) return null;
  const { url } = (await lockContext(project)).remote;
  const patience = isSsh(url) ? [AbortSignal.timeout(sshPatienceMs)] : [];
  const ctx = await lockContext(project, systemClock, AbortSignal.any([signal, ...patience]));
  for (const { tip, known } of pushed) {
    const bytes = await missingBytes(ctx, tip, known);
    // What goes in one part is simply pushed.
    if (bytes <= ctx.settings.push.minPartBytes) continue;
    if (!(await willAsk(ctx, known)))
      return bytes < worthTelling
        ? null
        : 'If this push is interrupted it starts anew: this remote cannot tell what it has. `oxenvcs push` goes on where it was.';
    const track = trackTransfer(project, systemClock, tell());
    try {
      await prepareParts(ctx, { tip, known, track, patience: 1 });
    } finally {
      await track.end();
    }
  }
  return null;
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
