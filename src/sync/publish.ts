import { fitToLimit } from './fit.ts';
import { loadView } from '../lock/cache.ts';
import { acquireLock } from '../lock/lease.ts';
import { withLease } from '../lock/heartbeat.ts';
import { type LockContext, lockContext } from '../lock/context.ts';
import { Failure } from '../model/failures.ts';
import { RetryPolicy } from '../network/retry.ts';
import { away } from '../network/away.ts';
import { whoHas } from '../project/guard.ts';
import type { Project } from '../project/project.ts';
import { publishPrepared } from '../push/prepare.ts';
import { publish } from '../push/publish.ts';
import { beginRescue, endRescue, isJoined, publishRescue, readRescue, type Rescue } from '../push/rescue.ts';
import { withoutDamaged } from '../push/tidy.ts';
import { stateAfter, type Urgency } from '../queue/attempts.ts';
import { type Drained, drain } from '../queue/drain.ts';
import { endIntents, noteRescue, removeEntries } from '../queue/entries.ts';
import type { Transfer } from '../push/transfer.ts';
import { type Clock, isoTime } from '../system/clock.ts';

/** What one push did, as `push --json` gives it. */
export interface Pushed {
  outcome: 'pushed' | 'up-to-date';
  commit: string;
  parts: number;
  resumedParts: number;
  bytesSent: number;
  /** It could not go onto the team's branch: the branch on the remote that it is kept on. */
  rescue: string | null;
}

export interface PublishPorts {
  clock: Clock;
  signal: AbortSignal;
  /** How long another process that publishes is waited for, ms. */
  patienceMs: number;
  urgency: Urgency;
  /** Only what goes out together with the entry of this id. */
  only?: string;
  /** The lock is ours now. */
  onLocked?: (outcome: Taken) => void;
  /** How far a push is that takes a while. */
  onTransfer?: (transfer: Transfer) => void;
  /** A part that breaks off is sent again (`--no-retry`: not). */
  retry?: boolean;
  /** The wait before what failed is tried again by itself, ms; null, or not given: as the settings say. */
  backoffMs?: (attempts: number, failure: Failure) => number | null;
}

type Sending = Pick<PublishPorts, 'onLocked' | 'onTransfer' | 'retry'>;

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
    if (refused?.outcome !== 'not-yet' || !(await fitToLimit(project, refused.failure))) return drained;
  }
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
      const ctx = await lockContext(project, clock, ended);
      return await withoutDamaged(ctx, async () =>
        kind === 'publish'
          ? await publishTip(project, ctx, tip, sending)
          : await pushRescue(project, ctx, `refs/heads/${branch}`, tip, sending),
      );
    },
  });
}

/** Onto the team's branch where that is possible, else onto the rescue branch. Throws the failure that prevented both. */
async function publishTip(project: Project, ctx: LockContext, tip: string, sending: Sending): Promise<Pushed> {
  const rescue = await readRescue(project);
  if (rescue !== null) {
    const asked = await isJoined(ctx, tip);
    if ('failure' in asked) throw await away(asked.failure, ctx);
    if (!asked.joined) return await divert(project, ctx, rescue, tip, sending);
    await endRescue(project);
  }
  const onto = async () => await publishOnto(project, ctx, tip, sending);
  try {
    // The lock may be lost over a push that takes hours. What is on the remote by then serves whatever comes next.
    return await onto().catch(async (error: unknown) => {
      if (!(error instanceof Failure && error.row === 'lock-lost')) throw error;
      return await onto();
    });
  } catch (error) {
    if (!(error instanceof Failure && (await isForRescue(ctx, error)))) throw error;
    return await divert(project, ctx, await beginRescue(project, ctx), tip, sending);
  }
}

async function publishOnto(project: Project, ctx: LockContext, tip: string, sending: Sending): Promise<Pushed> {
  if (!project.config.lock.auto) return await publishCommit(ctx, tip, sending);
  // Without a watcher nobody would renew it or give it back.
  if ((await whoHas(project, 'watch')) === null) return await publishUnderLease(project, ctx, tip, sending);
  sending.onLocked?.(await takeLock(project, ctx));
  return await publishCommit(ctx, tip, sending);
}

/** The team's branch moved on without us, or the lock was taken from us and somebody else works under it now. */
async function isForRescue(ctx: LockContext, { row, code }: Failure): Promise<boolean> {
  if (row === 'remote-moved' || row === 'stale-base') return true;
  return code === 'LOCK_HELD' && (await loadView(ctx)).lost !== null;
}

/** Noted first: whatever becomes of HEAD, and of this try, the commit goes to the rescue branch in the end. */
async function divert(
  project: Project,
  ctx: LockContext,
  { ref }: Rescue,
  tip: string,
  sending: Sending,
): Promise<Pushed> {
  const branch = ref.replace(/^refs\/heads\//, '');
  const entry = await noteRescue(project, { commit: tip, branch, createdAt: isoTime(ctx.clock.now()) });
  const pushed = await pushRescue(project, ctx, ref, tip, sending);
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
  await endIntents(project);
  return { outcome: 'pushed', commit: tip, ...sent, rescue: ref.replace(/^refs\/heads\//, '') };
}

/** Takes the lock for this one push, and gives it back afterwards, unless it was ours before. */
async function publishUnderLease(project: Project, ctx: LockContext, tip: string, sending: Sending): Promise<Pushed> {
  // Should it be lost meanwhile, the push is not cut off: its parts serve the rescue branch, and the fence holds.
  const leased = await withLease(ctx, { how: 'save' }, async () => await publishCommit(ctx, tip, sending));
  if (leased.outcome === 'done') {
    await endIntents(project);
    return leased.value;
  }
  throw await away(leased.failure, ctx);
}

/** Throws the failure that prevented it. */
async function publishCommit(ctx: LockContext, tip: string, sending: Sending): Promise<Pushed> {
  const { moved, ...sent } = await publishPrepared(
    ctx,
    options(ctx, tip, sending),
    async (using, before) => await publish(using, { tip, before }),
  );
  if ('failure' in moved) throw await away(moved.failure, ctx);
  if (moved.outcome === 'published') return { outcome: 'pushed', commit: moved.commit, ...sent, rescue: null };
  return { outcome: 'up-to-date', commit: moved.commit, ...sent, parts: 0, rescue: null };
}

const options = ({ settings }: LockContext, tip: string, { onTransfer, retry = true }: Sending) => ({
  tip,
  onTransfer,
  patience: retry ? settings.network.maxRetries : 0,
});

export type Taken = 'acquired' | 'already-mine' | 'taken-over';

/** For a save. Throws where somebody else has it, or the remote cannot be asked. */
export async function takeLock(project: Project, ctx: LockContext): Promise<Taken> {
  const acquired = await acquireLock(ctx, { how: 'save' });
  if ('failure' in acquired) throw await away(acquired.failure, ctx);
  await endIntents(project);
  return acquired.outcome;
}
