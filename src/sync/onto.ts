import { acquireLock } from '../lock/lease.ts';
import type { LockContext } from '../lock/context.ts';
import { withLease } from '../lock/heartbeat.ts';
import { Failure } from '../model/failures.ts';
import { away } from '../network/away.ts';
import { whoHas } from '../project/guard.ts';
import type { Project } from '../project/project.ts';
import { publishPrepared } from '../push/prepare.ts';
import { publish } from '../push/publish.ts';
import { readBack } from '../push/verify.ts';
import type { Transfer } from '../push/transfer.ts';
import { endIntents } from '../queue/entries.ts';

/** What one push did, as `push --json` gives it. */
export interface Pushed {
  outcome: 'pushed' | 'up-to-date';
  commit: string;
  parts: number;
  resumedParts: number;
  bytesSent: number;
  /** It could not go onto the team's branch: the branch on the remote that it is kept on. */
  rescue: string | null;
  /** It went out as a join with what the team published meanwhile, which is not in the folder yet. */
  joined: boolean;
}

/** How one push is made. */
export interface Sending {
  /** The lock is ours now. */
  onLocked?: (outcome: Taken) => void;
  /** It turned out that the lock had been taken from us, but it is free again: this push takes it anew. */
  onLost?: (failure: Failure) => void;
  /** How far a push is that takes a while. */
  onTransfer?: (transfer: Transfer) => void;
  /** What the remote took of a push, however it ended. */
  onEnded?: (sent: { parts: number; bytesSent: number }) => void;
  /** The remote's branch is asked for afterwards, also when the push was a small one. */
  readBack?: boolean;
  /** A part that breaks off is sent again (`--no-retry`: not). */
  retry?: boolean;
}

/** `moved`: somebody was first. Throws any other failure that prevented it. */
export async function tryOnto(
  project: Project,
  ctx: LockContext,
  commit: string,
  sending: Sending,
): Promise<Pushed | 'moved'> {
  const once = async () => await ontoBranch(project, ctx, commit, sending);
  try {
    // The lock may be lost over a push that takes hours: then whoever has it now decides, and nothing is sent again.
    return await once().catch(async (error: unknown) => {
      if (!(error instanceof Failure && error.code === 'LOCK_LOST' && project.config.lock.auto)) throw error;
      const pushed = await once();
      if (error.row === 'lock-lost') sending.onLost?.(error);
      return pushed;
    });
  } catch (error) {
    if (error instanceof Failure && (error.row === 'remote-moved' || error.row === 'stale-base')) return 'moved';
    throw error;
  }
}

/** Onto the team's branch, under the lock. Throws the failure that prevented it. */
export async function ontoBranch(
  project: Project,
  ctx: LockContext,
  commit: string,
  sending: Sending,
): Promise<Pushed> {
  if (!project.config.lock.auto) return await publishCommit(ctx, commit, sending);
  // Without a watcher nobody would renew it or give it back.
  if ((await whoHas(project, 'watch')) === null) return await publishUnderLease(project, ctx, commit, sending);
  const taken = await takeLock(project, ctx, commit);
  sending.onLocked?.(taken);
  return await publishCommit(ctx, commit, sending);
}

/** Takes the lock for this one push, and gives it back afterwards, unless a person has taken it by hand. */
async function publishUnderLease(project: Project, ctx: LockContext, tip: string, sending: Sending): Promise<Pushed> {
  // Should it be lost meanwhile, the push is not cut off: its parts serve the rescue branch, and the fence holds.
  const leased = await withLease(
    ctx,
    { how: 'save', tip },
    async (_, __, goesBack) => await publishCommit(ctx, tip, sending, goesBack),
  );
  if (leased.outcome === 'done') {
    await endIntents(project);
    return leased.value;
  }
  throw await away(leased.failure, ctx);
}

/** Throws the failure that prevented it. */
async function publishCommit(ctx: LockContext, tip: string, sending: Sending, release = false): Promise<Pushed> {
  const { moved, ...sent } = await publishPrepared(
    ctx,
    options(ctx, tip, sending),
    async (using, before) => await publish(using, { tip, before, release }),
  );
  if ('failure' in moved) throw await away(moved.failure, ctx);
  const { commit } = moved;
  // A push of a moment has its answer; what took long, or was asked for, is looked at once more.
  if (moved.outcome === 'published' && (sent.parts > 1 || sending.readBack === true))
    await readBack(ctx, `refs/heads/${ctx.branch}`, commit);
  if (moved.outcome === 'published') return { outcome: 'pushed', commit, ...sent, rescue: null, joined: false };
  return { outcome: 'up-to-date', commit, ...sent, parts: 0, rescue: null, joined: false };
}

export const options = ({ settings }: LockContext, tip: string, { onTransfer, onEnded, retry = true }: Sending) => ({
  tip,
  onTransfer,
  onEnded,
  patience: retry ? settings.network.maxRetries : 0,
});

export type Taken = 'acquired' | 'already-mine' | 'taken-over';

/** For a save, or for `tip`, which is to be published. Throws where somebody else has it, or the remote cannot be asked. */
export async function takeLock(project: Project, ctx: LockContext, tip?: string): Promise<Taken> {
  const acquired = await acquireLock(ctx, { how: 'save', ...(tip === undefined ? {} : { tip }) });
  if ('failure' in acquired) throw await away(acquired.failure, ctx);
  await endIntents(project);
  return acquired.outcome;
}
