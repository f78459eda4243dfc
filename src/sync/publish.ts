import { loadView } from '../lock/cache.ts';
import { type LockContext, lockContext } from '../lock/context.ts';
import { releaseLock } from '../lock/lease.ts';
import { git } from '../git/run.ts';
import { failureOf, lookAtLock, verdictOn } from '../lock/view.ts';
import { Failure } from '../model/failures.ts';
import { RetryPolicy } from '../network/retry.ts';
import { away } from '../network/away.ts';
import { withSharedConnection } from '../network/share.ts';
import { whoHas } from '../project/guard.ts';
import { type Project, refCommit, remoteBranchRef, remoteUrl } from '../project/project.ts';
import { publishPrepared } from '../push/prepare.ts';
import { readRescue, type Rescue, rescueBranch } from '../project/rescue.ts';
import { beginRescue, endRescue, noteRescued, publishRescue, removeRescue } from '../push/rescue.ts';
import { tidy, withoutDamaged } from '../push/tidy.ts';
import { stateAfter, type Urgency } from '../queue/attempts.ts';
import { type Drained, drain } from '../queue/drain.ts';
import { endIntents, noteRescue, removeEntries } from '../queue/entries.ts';
import { type Clock, isoTime } from '../system/clock.ts';
import { fitToLimit } from './fit.ts';
import { meet } from './meet.ts';
import { ontoBranch, options, type Pushed, type Sending, tryOnto } from './onto.ts';
import { askTeam, contains, knownTeam } from './team.ts';

export interface PublishPorts extends Sending {
  clock: Clock;
  signal: AbortSignal;
  /** How long another process that publishes is waited for, ms. */
  patienceMs: number;
  urgency: Urgency;
  /** Only what goes out together with the entry of this id. */
  only?: string;
  /** The wait before what failed is tried again by itself, ms; null, or not given: as the settings say. */
  backoffMs?: (attempts: number, failure: Failure) => number | null;
}

/**
 * One pass: takes the lock if it is free, then everything that waits goes out, each branch as one atomic push. Files that
 * the remote turns down for their size are left out of what waits, and the rest goes out at once.
 */
export async function publishQueue(project: Project, ports: PublishPorts): Promise<Drained<Pushed>[]> {
  await fitToLimit(project, null);
  for (;;) {
    const drained = await onePass(project, ports);
    const refused = drained.find(
      (one) => one.outcome === 'not-yet' && one.tried && one.failure.row === 'file-too-large',
    );
    if (refused?.outcome === 'not-yet' && (await fitToLimit(project, refused.failure))) continue;
    if (drained.length === 0) await tidyAfterPushByHand(project, ports);
    return drained;
  }
}

/** A `git push` by hand leaves its parts on the remote, and the lock with us: no hook runs after it. */
async function tidyAfterPushByHand(project: Project, { clock, signal }: PublishPorts): Promise<void> {
  if ((await remoteUrl(project)) === null) return;
  const ctx = await lockContext(project, clock, signal);
  await tidy(ctx);
  const verdict = verdictOn(ctx, await loadView(ctx));
  const isLeft = verdict.is === 'mine' && verdict.held.record.how !== 'hand';
  // Where it cannot be given back now it runs out by itself.
  if (isLeft && (await whoHas(project, 'watch')) === null) await releaseLock(ctx);
}

async function onePass(
  project: Project,
  { clock, signal, patienceMs, urgency, only, backoffMs, ...sending }: PublishPorts,
): Promise<Drained<Pushed>[]> {
  const { network, pull } = project.config;
  const policy = new RetryPolicy({ initialMs: network.initialBackoffMs, maxMs: network.maxBackoffMs });
  return await drain(project, {
    clock,
    signal,
    patienceMs,
    urgency,
    ...(only === undefined ? {} : { only }),
    backoffMs: (attempts, failure) => {
      const ms = policy.delay(attempts, failure);
      // Whether the lock is free now is worth a look as often as the remote is looked at anyway.
      if (stateAfter(failure) === 'waiting') return Math.min(ms, pull.pollSeconds * 1000);
      return backoffMs?.(attempts, failure) ?? ms;
    },
    publish: async ({ kind, branch, tip }, ended) => {
      const here = await lockContext(project, clock, ended);
      return await withSharedConnection(here, async (connection) => {
        const ctx = { ...here, connection };
        const pushed = await withoutDamaged(ctx, async () =>
          kind === 'publish'
            ? await publishTip(project, ctx, tip, sending)
            : await pushRescue(project, ctx, `refs/heads/${branch}`, tip, sending),
        );
        await noteOnRemote(project, pushed);
        return pushed;
      });
    },
  });
}

/** Git notes what it has pushed, but a push whose note finds no room on the disk is a success all the same. */
async function noteOnRemote(project: Project, { commit, rescue }: Pushed): Promise<void> {
  const noted = rescue === null ? await refCommit(project, remoteBranchRef(project)) : commit;
  if (noted === null || !(await contains(project.root, noted, commit)))
    await git(project.root, ['update-ref', remoteBranchRef(project), commit]);
}

/** How often it is tried anew when somebody else publishes in that very moment. */
const rounds = 6;

/**
 * Onto the team's branch where that is possible: as it is, or joined with what the team published since. Else onto the
 * rescue branch. Throws the failure that prevented it.
 */
async function publishTip(project: Project, ctx: LockContext, tip: string, sending: Sending): Promise<Pushed> {
  // What is known from before is mostly right; but a rescue is neither begun nor ended on hearsay.
  let asked = (await readRescue(project)) !== null;
  let team = asked ? await askTeam(project, ctx.signal) : await knownTeam(project);
  const open = await readRescue(project);
  // What does not build on what was rescued (the user has rewritten it) would push that off the remote.
  const goesOn = open?.tip === undefined || (await contains(project.root, tip, open.tip));
  const rescue = goesOn ? open : null;
  const aside = async (waits: boolean) =>
    await divert(project, ctx, { ...(rescue ?? (await beginRescue(project, ctx))), waits }, tip, sending);
  const waiting = async (error: unknown): Promise<never> => {
    if (!(isHeld(error) && (await wasTakenFromUs(ctx)))) throw error;
    const isThere = rescue?.waits === true && rescue.tip === tip;
    const branch = isThere ? rescueBranch(rescue) : (await aside(true)).rescue;
    throw new Failure('lock-held-aside', { ...error.details, rescue: branch }, error);
  };
  for (let round = 1; ; round++) {
    const met = await meet(project, tip, team);
    if (met.outcome === 'unrelated') {
      if (asked) throw new Failure('unrelated', { branch: ctx.branch, remote: ctx.remote.name });
    } else if (met.outcome === 'conflict') {
      if (asked && team.gone) await ontoBranch(project, ctx, met.theirs, sending);
      if (asked && rescue === null) await assertNotHeld(ctx);
      if (asked) return await aside(false);
    } else {
      const tried = await tryOnto(project, ctx, met.commit, sending).catch(waiting);
      if (tried !== 'moved') {
        if (open !== null) await endRescue(project);
        if (open?.waits === true && goesOn) await removeRescue(ctx, open);
        return { ...tried, joined: met.outcome === 'joined' };
      }
      if (round >= rounds) throw new Failure('remote-moved', { branch: ctx.branch });
    }
    team = await askTeam(project, ctx.signal);
    asked = true;
  }
}

const isHeld = (error: unknown): error is Failure => error instanceof Failure && error.row === 'lock-held';

/**
 * Does somebody work under the lock that they took from us? What we made under it waits for them, but not on this computer
 * alone. One that went to the same person's other machine, idle and published, is no such thing.
 */
async function wasTakenFromUs(ctx: LockContext): Promise<boolean> {
  const { lost } = await loadView(ctx);
  return lost !== null && lost.how !== 'handed-over';
}

/** While somebody holds the lock, what cannot be joined waits as everything else does. */
async function assertNotHeld(ctx: LockContext): Promise<void> {
  const looked = await lookAtLock(ctx);
  if (looked.outcome !== 'read') throw await away(looked.failure, ctx);
  const { verdict, view } = looked;
  if (verdict.is === 'mine' || verdict.is === 'free' || verdict.is === 'takeable' || view.lost !== null) return;
  throw failureOf(ctx, verdict);
}

/** Noted first: whatever becomes of HEAD, and of this try, the commit goes to the rescue branch in the end. */
async function divert(
  project: Project,
  ctx: LockContext,
  rescue: Rescue,
  tip: string,
  sending: Sending,
): Promise<Pushed> {
  const branch = rescueBranch(rescue);
  await noteRescued(project, rescue);
  const entry = await noteRescue(project, { commit: tip, branch, createdAt: isoTime(ctx.clock.now()) });
  const pushed = await pushRescue(project, ctx, rescue.ref, tip, sending);
  await noteRescued(project, { ...rescue, ref: `refs/heads/${pushed.rescue}`, tip });
  await removeEntries(project, [entry]);
  return pushed;
}

async function pushRescue(
  project: Project,
  ctx: LockContext,
  ref: string,
  tip: string,
  sending: Sending,
): Promise<Pushed> {
  const { moved, ...sent } = await publishPrepared(ctx, options(ctx, tip, sending), async (using, before) => {
    await before(null);
    return await publishRescue(using, { ref }, tip);
  });
  if ('failure' in moved) throw await away(moved.failure, ctx);
  if (moved.outcome === 'taken') {
    const { ref: other } = await beginRescue(project, ctx, await readRescue(project));
    return await pushRescue(project, ctx, other, tip, sending);
  }
  await endIntents(project);
  return { outcome: 'pushed', commit: tip, ...sent, rescue: rescueBranch({ ref }), joined: false };
}
