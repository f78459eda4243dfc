import { lockContext } from '../lock/context.ts';
import { cachedStatus } from '../lock/status.ts';
import { asFailure, type Failure } from '../model/failures.ts';
import { branchTip, notCheckedOut, type Project, refCommit, remoteBranchRef } from '../project/project.ts';
import { readRescue } from '../project/rescue.ts';
import { asleepMs } from '../project/watcher.ts';
import type { Transfer } from '../push/transfer.ts';
import { listQueue, noteIntent } from '../queue/entries.ts';
import { type Kept, keepQueue } from '../queue/rebuild.ts';
import { type Clock, isoTime } from '../system/clock.ts';
import { type Taken, takeLock } from '../sync/onto.ts';
import { publishQueue } from '../sync/publish.ts';
import { setAside } from '../sync/set-aside.ts';
import { startReach } from './reach.ts';

export type PublisherEvent =
  /** `already-mine`: a process before this one has left it behind. */
  | { event: 'locked'; outcome: 'acquired' | 'already-mine' | 'taken-over' }
  /** It was taken from us, and was free again: what was published, was so under one taken anew. */
  | { event: 'lock-lost'; failure: Failure }
  /** `rescue`: not on the team's branch, but on this one of the remote; `waits`: only until the team's branch takes it. */
  | { event: 'published'; commit: string; versions: number; bytesSent: number; rescue: string | null; waits: boolean }
  /** How far a push is that takes a while. */
  | ({ event: 'transfer' } & Transfer)
  /** The lock is somebody else's: the versions wait here. */
  | { event: 'waiting'; versions: number; failure: Failure }
  /** Tried again by itself in `retryMs`, or as soon as the remote is back; null: a person has to do something first. */
  | { event: 'not-published'; versions: number; failure: Failure; retryMs: number | null };

export interface Publisher {
  /** There is something new to publish. */
  wake(): void;
  /** Timers stood still: what waits is looked at again now. */
  look(): void;
  /** The remote lets us in again: what was turned down for the way to it is tried again. */
  letIn(): void;
  /** A save is coming: take the lock now, so that nobody starts work that must wait. */
  wantLock(paths: readonly string[]): void;
  /** Nobody works here any more: what the remote turns down must not wait for them on this computer alone. */
  setAside(): void;
  /** Nothing is sent until it is called with null. A try that is under way breaks off, and goes on after its last part. */
  hold(reason: string | null): void;
  /** Ends after the try that is under way. */
  stop(): Promise<void>;
}

/** Nobody tells when there is room on the disk again: it is asked for so often, ms. */
const roomMs = 60_000;

/** Is the branch where the remote was last seen to be, and nothing else on its way? */
async function nothingWaits(project: Project): Promise<boolean> {
  const tip = await branchTip(project);
  if (tip === null || tip !== (await refCommit(project, remoteBranchRef(project)))) return false;
  const { entries, damaged } = await listQueue(project);
  return entries.length + damaged.length === 0 && (await readRescue(project)) === null;
}

/**
 * Publishes in the background, one try after the other: when something new is queued, and again by itself as long as
 * something waits: when the remote is back, ever more seldom where it keeps failing, and after `pull.pollSeconds` at most
 * while somebody else has the lock. `noRoom`: why there is no room to publish, on a remote that shares our disk. `quietMs`:
 * for how long nobody had worked before.
 */
export function startPublisher(
  project: Project,
  clock: Clock,
  tell: (event: PublisherEvent) => void,
  noRoom: () => Promise<Failure | null> = async () => null,
  quietMs = 0,
): Publisher {
  const { config } = project;
  const stopped = new AbortController();
  let held = new AbortController();
  /** Of the try that is under way, or was the last one: another may be due before it has ended. */
  let hold = held.signal;
  let wakeUp = new AbortController();
  const wanted = { lock: false, publish: quietMs < asleepMs, aside: false };
  let last: Extract<PublisherEvent, { versions: number; failure: Failure }> | null = null;
  let kept: Kept | null = null;

  const onLocked = (outcome: Taken): void => tell({ event: 'locked', outcome });
  const onLost = (failure: Failure): void => tell({ event: 'lock-lost', failure });
  const onTransfer = (transfer: Transfer): void => tell({ event: 'transfer', ...transfer });
  let workedOn: string[] = [];
  let isBack = false;
  const ring = (): void => wakeUp.abort();
  const pause = async (ms: number): Promise<void> => {
    const signal = AbortSignal.any([wakeUp.signal, stopped.signal]);
    await clock.sleep(ms, signal).catch((error: unknown) => {
      if (!signal.aborted) throw error;
    });
  };
  /** The same trouble again is no news, nor is who has the lock where that was told of versions that wait for it. */
  const tellOnce = (event: PublisherEvent): void => {
    const news = 'versions' in event && 'failure' in event ? event : null;
    const isTold = news?.event === last?.event && news?.failure.message === last?.failure.message;
    if (news !== null && isTold && (news.versions === last?.versions || news.versions === 0)) return;
    tell(event);
    last = news;
  };

  const reach = startReach(project, {
    clock,
    signal: stopped.signal,
    onBack(wasAway) {
      isBack = wasAway;
      ring();
    },
    onTrouble: (error) => complain(asFailure(error), 0, clock.now()),
  });
  /** What goes wrong on this computer is no reason to spare the remote. */
  const backoffMs = (_: number, failure: Failure): number | null =>
    failure.code === 'INTERNAL' ? null : reach.failed(failure);

  const once = async (): Promise<number> => {
    hold = held.signal;
    let urgency: 'reachable' | 'when-due' = isBack ? 'reachable' : 'when-due';
    isBack = false;
    if (wanted.lock && config.lock.auto && (await earlyLock())) urgency = 'reachable';
    if (wanted.aside && (await setAside(project, await lockContext(project, clock)))) wanted.publish = true;
    wanted.aside = false;
    if (!wanted.publish) return Infinity;
    const silence = reach.silence();
    if (silence !== null || held.signal.aborted || !config.push.auto) return await keep(silence);
    const lacking = await noRoom();
    if (lacking !== null) {
      await keep(lacking);
      return roomMs;
    }
    wanted.publish = false;
    const started = clock.monotonic();
    const signal = AbortSignal.any([stopped.signal, held.signal]);
    const ports = { clock, signal, patienceMs: 10_000, urgency, onLocked, onLost, onTransfer, backoffMs } as const;
    let waitMs = Infinity;
    for (const one of await publishQueue(project, ports)) {
      const { versions } = one;
      if (one.outcome === 'published') {
        reach.succeeded();
        await reach.note('push', started, null, null);
        const { commit, bytesSent, rescue } = one.published;
        const waits = rescue !== null && (await readRescue(project))?.waits === true;
        tellOnce({ event: 'published', commit, versions, bytesSent, rescue, waits });
      } else {
        wanted.publish = true;
        const retryMs = complain(one.failure, versions, one.retryAt);
        if (one.tried && !signal.aborted)
          await reach.note('push', started, one.failure, retryMs === Infinity ? null : retryMs);
        waitMs = Math.min(waitMs, retryMs);
      }
    }
    return waitMs;
  };

  const complain = (failure: Failure, versions: number, retryAt: number | null): number => {
    if (stopped.signal.aborted) return 0;
    // We broke it off ourselves.
    if (hold.aborted) return Infinity;
    if (failure.code === 'LOCK_HELD') tellOnce({ event: 'waiting', versions, failure });
    else {
      const retryMs = retryAt === null ? null : Math.max(0, retryAt - clock.now());
      tellOnce({ event: 'not-published', versions, failure, retryMs });
    }
    return retryAt === null ? Infinity : Math.max(50, retryAt - clock.now());
  };

  /** What is not published now is in the queue all the same, also what was committed by hand. */
  const keep = async (silence: Failure | null): Promise<number> => {
    // First: whoever lets it go on meanwhile, or has something new, must be heard.
    wanted.publish = silence !== null;
    kept = await keepQueue(project, clock.now(), kept);
    const { versions } = kept;
    if (silence !== null && versions > 0) complain(silence, versions, clock.now() + config.network.probeSeconds * 1000);
    return Infinity;
  };

  /** No network, no lock: the work goes on all the same, and what it began on is noted. */
  const intend = async (): Promise<void> => {
    const commit = await branchTip(project);
    if (commit === null || (await cachedStatus(await lockContext(project, clock))).mine) return;
    const base = await refCommit(project, remoteBranchRef(project));
    const createdAt = isoTime(clock.now());
    await noteIntent(project, { commit, branch: config.branch, createdAt, base, paths: workedOn });
  };

  /** Has the remote just let us in? */
  const earlyLock = async (): Promise<boolean> => {
    if ((await notCheckedOut(project)) !== null) {
      // What is saved to another branch is not published by itself: it must keep nobody from this one.
      wanted.lock = false;
      return false;
    }
    if (reach.silence() !== null || reach.isSpared()) {
      await intend();
      return false;
    }
    wanted.lock = false;
    const started = clock.monotonic();
    try {
      const outcome = await takeLock(project, await lockContext(project, clock, stopped.signal));
      onLocked(outcome);
      // That was known without asking.
      if (outcome === 'already-mine') return false;
      await reach.note('lock', started, null, null);
      return true;
    } catch (error) {
      const failure = asFailure(error);
      const isOffline = failure.code === 'OFFLINE';
      await reach.note('lock', started, failure, isOffline ? config.network.initialBackoffMs : null);
      if (failure.code === 'LOCK_HELD') tellOnce({ event: 'waiting', versions: 0, failure });
      if (!isOffline) return false;
      // That it is offline is told when the version cannot be published; who has the lock is told now.
      wanted.lock = true;
      reach.failed(failure);
      await intend();
      return false;
    }
  };

  const loop = (async () => {
    if (!wanted.publish && !(await nothingWaits(project).catch(() => false))) wanted.publish = true;
    while (!stopped.signal.aborted) {
      wakeUp = new AbortController();
      const waitMs = await once().catch((error: unknown) => {
        wanted.publish = true;
        return complain(asFailure(error), 0, clock.now() + 1000);
      });
      const more = wakeUp.signal.aborted || stopped.signal.aborted;
      if (!more) await pause(waitMs);
    }
  })();

  return {
    wake() {
      wanted.publish = true;
      ring();
    },
    look: ring,
    letIn() {
      isBack = true;
      ring();
    },
    wantLock(paths) {
      wanted.lock = true;
      workedOn = [...paths];
      ring();
    },
    setAside() {
      wanted.aside = true;
      ring();
    },
    hold(reason) {
      if (reason !== null) return held.abort(new Error(reason));
      if (!held.signal.aborted) return;
      held = new AbortController();
      wanted.publish = true;
      ring();
    },
    async stop() {
      stopped.abort(new Error('the watcher ends'));
      await Promise.all([loop, reach.ended()]);
    },
  };
}
