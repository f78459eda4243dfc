import { loadView } from './lock/cache.ts';
import { acquireLock } from './lock/lease.ts';
import { withLease } from './lock/heartbeat.ts';
import { type LockContext, lockContext } from './lock/context.ts';
import { asFailure, Failure } from './model/failures.ts';
import { RetryPolicy } from './network/retry.ts';
import { unplugged } from './network/unplugged.ts';
import { whoHas } from './project/guard.ts';
import type { Project } from './project/project.ts';
import { publish } from './push/publish.ts';
import { beginRescue, endRescue, isJoined, publishRescue, readRescue, type Rescue } from './push/rescue.ts';
import { type Drained, drain } from './queue/drain.ts';
import type { Clock } from './system/clock.ts';

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
  /** The lock is ours now. */
  onLocked?: (outcome: Taken) => void;
}

/** One pass: takes the lock if it is free, then everything that waits goes out as one atomic push. */
export async function publishQueue(
  project: Project,
  { clock, signal, patienceMs, onLocked }: PublishPorts,
): Promise<Drained<Pushed>> {
  const { network } = project.config;
  const backoff = new RetryPolicy({ initialMs: network.initialBackoffMs, maxMs: network.maxBackoffMs });
  return await drain(project, {
    clock,
    signal,
    patienceMs,
    backoffMs: (attempts) => backoff.delay(attempts),
    publish: async (tip, ended) => await publishTip(project, await lockContext(project, clock, ended), tip, onLocked),
  });
}

/** Onto the team's branch where that is possible, else onto the rescue branch. Throws the failure that prevented both. */
async function publishTip(
  project: Project,
  ctx: LockContext,
  tip: string,
  onLocked: PublishPorts['onLocked'],
): Promise<Pushed> {
  const rescue = await readRescue(project);
  if (rescue !== null) {
    const asked = await isJoined(ctx, tip);
    if ('failure' in asked) throw await unplugged(asked.failure, ctx.remote.url);
    if (!asked.joined) return await pushRescue(ctx, rescue, tip);
    await endRescue(project);
  }
  try {
    if (!project.config.lock.auto) return await publishCommit(ctx, tip);
    // Without a watcher nobody would renew it or give it back.
    if ((await whoHas(project, 'watch')) === null) return await publishUnderLease(ctx, tip);
    onLocked?.(await takeLock(ctx));
    return await publishCommit(ctx, tip);
  } catch (error) {
    if (!(error instanceof Failure && (await isForRescue(ctx, error)))) throw error;
    return await pushRescue(ctx, await beginRescue(project, ctx), tip);
  }
}

/** The team's branch moved on without us, or the lock was taken from us and somebody else works under it now. */
async function isForRescue(ctx: LockContext, { row, code }: Failure): Promise<boolean> {
  if (row === 'remote-moved' || row === 'stale-base') return true;
  return code === 'LOCK_HELD' && (await loadView(ctx)).lost !== null;
}

async function pushRescue(ctx: LockContext, rescue: Rescue, tip: string): Promise<Pushed> {
  const pushed = await publishRescue(ctx, rescue, tip);
  if (pushed.outcome !== 'rescued') throw await unplugged(pushed.failure, ctx.remote.url);
  const branch = rescue.ref.replace(/^refs\/heads\//, '');
  return { outcome: 'pushed', commit: tip, parts: 1, resumedParts: 0, bytesSent: pushed.bytesSent, rescue: branch };
}

/** Takes the lock for this one push, and gives it back afterwards, unless it was ours before. */
async function publishUnderLease(ctx: LockContext, tip: string): Promise<Pushed> {
  const leased = await withLease(ctx, { how: 'save' }, async (lost) => {
    const signal = ctx.signal === undefined ? lost : AbortSignal.any([ctx.signal, lost]);
    return await publishCommit({ ...ctx, signal }, tip);
  });
  if (leased.outcome === 'done') return leased.value;
  throw await unplugged(leased.failure, ctx.remote.url);
}

/** Throws the failure that prevented it. */
async function publishCommit(ctx: LockContext, tip: string): Promise<Pushed> {
  const published = await publish(ctx, { tip });
  switch (published.outcome) {
    case 'published':
    case 'up-to-date': {
      const outcome = published.outcome === 'published' ? 'pushed' : 'up-to-date';
      return {
        outcome,
        commit: published.commit,
        parts: outcome === 'pushed' ? 1 : 0,
        resumedParts: 0,
        bytesSent: published.bytesSent,
        rescue: null,
      };
    }
    case 'not-ours':
    case 'moved':
    case 'unreachable':
    case 'refused':
      throw await unplugged(published.failure, ctx.remote.url);
  }
}

type Taken = 'acquired' | 'already-mine' | 'taken-over';

/** For a save. Throws where somebody else has it, or the remote cannot be asked. */
export async function takeLock(ctx: LockContext): Promise<Taken> {
  const acquired = await acquireLock(ctx, { how: 'save' });
  if ('failure' in acquired) throw await unplugged(acquired.failure, ctx.remote.url);
  return acquired.outcome;
}

export type PublisherEvent =
  /** `already-mine`: a process before this one has left it behind. */
  | { event: 'locked'; outcome: 'acquired' | 'already-mine' | 'taken-over' }
  /** `rescue`: not on the team's branch, but on this one of the remote. */
  | { event: 'published'; commit: string; versions: number; bytesSent: number; rescue: string | null }
  /** The lock is somebody else's: the versions wait here. */
  | { event: 'waiting'; versions: number; failure: Failure }
  /** Tried again by itself in `retryMs`; null: a person has to do something first. */
  | { event: 'not-published'; versions: number; failure: Failure; retryMs: number | null };

export interface Publisher {
  /** There is something new to publish. */
  wake(): void;
  /** A save is coming: take the lock now, so that nobody starts work that must wait. */
  wantLock(): void;
  /** Ends after the try that is under way. */
  stop(): Promise<void>;
}

/**
 * Publishes in the background, one try after the other: when something new is queued, and again by itself as long as
 * something waits (after the backoff when offline, after `pull.pollSeconds` at most while somebody else has the lock).
 */
export function startPublisher(project: Project, clock: Clock, tell: (event: PublisherEvent) => void): Publisher {
  const { config } = project;
  const stopped = new AbortController();
  let wakeUp = new AbortController();
  const wanted = { lock: false, publish: true };
  let last = '';

  const onLocked = (outcome: Taken): void => tell({ event: 'locked', outcome });
  const ring = (): void => wakeUp.abort();
  const pause = async (ms: number): Promise<void> => {
    const signal = AbortSignal.any([wakeUp.signal, stopped.signal]);
    await clock.sleep(ms, signal).catch((error: unknown) => {
      if (!signal.aborted) throw error;
    });
  };
  /** The same trouble again is no news. */
  const tellOnce = (event: PublisherEvent): void => {
    const news = 'failure' in event ? `${event.event} ${event.versions} ${event.failure.message}` : '';
    if (news === '' || news !== last) tell(event);
    last = news;
  };

  const once = async (): Promise<number> => {
    if (wanted.lock && config.lock.auto) await earlyLock();
    wanted.lock = false;
    if (!config.push.auto || !wanted.publish) return Infinity;
    wanted.publish = false;
    const drained = await publishQueue(project, { clock, signal: stopped.signal, patienceMs: 10_000, onLocked });
    if (drained.outcome === 'nothing-to-do') return Infinity;
    if (drained.outcome === 'published') {
      const { commit, bytesSent, rescue } = drained.published;
      tellOnce({ event: 'published', commit, versions: drained.entries, bytesSent, rescue });
      return Infinity;
    }
    wanted.publish = true;
    return complain(drained.failure, drained.entries, drained.retryAt);
  };

  const complain = (failure: Failure, versions: number, retryAt: number | null): number => {
    if (stopped.signal.aborted) return 0;
    if (failure.code === 'LOCK_HELD') tellOnce({ event: 'waiting', versions, failure });
    else {
      const retryMs = retryAt === null ? null : Math.max(0, retryAt - clock.now());
      tellOnce({ event: 'not-published', versions, failure, retryMs });
    }
    // What waits for a person is looked at again when something new is queued.
    return retryAt === null ? Infinity : Math.min(Math.max(50, retryAt - clock.now()), config.pull.pollSeconds * 1000);
  };

  const earlyLock = async (): Promise<void> => {
    try {
      const outcome = await takeLock(await lockContext(project, clock, stopped.signal));
      onLocked(outcome);
    } catch (error) {
      const failure = asFailure(error);
      // Offline is told when the version cannot be published; who has the lock is told now.
      if (failure.code === 'LOCK_HELD') tellOnce({ event: 'waiting', versions: 0, failure });
    }
  };

  const loop = (async () => {
    while (!stopped.signal.aborted) {
      wakeUp = new AbortController();
      const waitMs = await once().catch((error: unknown) => complain(asFailure(error), 0, clock.now() + 1000));
      const more = wakeUp.signal.aborted || stopped.signal.aborted;
      if (!more) await pause(waitMs);
    }
  })();

  return {
    wake() {
      wanted.publish = true;
      ring();
    },
    wantLock() {
      wanted.lock = true;
      ring();
    },
    async stop() {
      stopped.abort(new Error('the watcher ends'));
      await loop;
    },
  };
}
