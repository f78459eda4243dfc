import { lockContext } from '../lock/context.ts';
import { asFailure, type Failure } from '../model/failures.ts';
import { branchTip, type Project, refCommit, remoteBranchRef } from '../project/project.ts';
import { noteIntent } from '../queue/entries.ts';
import { type Clock, isoTime } from '../system/clock.ts';
import { publishQueue, type Taken, takeLock } from '../sync/publish.ts';

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
  wantLock(paths: readonly string[]): void;
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
  let workedOn: string[] = [];
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

  /** No network, no lock: the work goes on all the same, and what it began on is noted. */
  const intend = async (): Promise<void> => {
    const commit = await branchTip(project);
    if (commit === null) return;
    const base = await refCommit(project, remoteBranchRef(project));
    const createdAt = isoTime(clock.now());
    await noteIntent(project, { commit, branch: config.branch, createdAt, base, paths: workedOn });
  };

  const earlyLock = async (): Promise<void> => {
    try {
      const outcome = await takeLock(project, await lockContext(project, clock, stopped.signal));
      onLocked(outcome);
    } catch (error) {
      const failure = asFailure(error);
      // Offline is told when the version cannot be published; who has the lock is told now.
      if (failure.code === 'OFFLINE') await intend();
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
    wantLock(paths) {
      wanted.lock = true;
      workedOn = [...paths];
      ring();
    },
    async stop() {
      stopped.abort(new Error('the watcher ends'));
      await loop;
    },
  };
}
