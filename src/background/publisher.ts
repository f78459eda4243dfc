import { lockContext } from '../lock/context.ts';
import { asFailure, type Failure } from '../model/failures.ts';
import { RetryPolicy } from '../network/retry.ts';
import { branchTip, type Project, refCommit, remoteBranchRef } from '../project/project.ts';
import { readRescue } from '../project/rescue.ts';
import { asleepMs } from '../project/watcher.ts';
import type { Transfer } from '../push/transfer.ts';
import { concernsAll, type Urgency } from '../queue/attempts.ts';
import { listQueue } from '../queue/entries.ts';
import { type Kept, keepQueue } from '../queue/rebuild.ts';
import type { Clock } from '../system/clock.ts';
import type { Taken } from '../sync/onto.ts';
import { publishQueue } from '../sync/publish.ts';
import { setAside } from '../sync/set-aside.ts';
import { makeBell } from '../watch/bell.ts';
import { lockEarly } from './early-lock.ts';
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

/** Nobody tells when what is wrong on this computer, be it for want of room, is over: it is tried again so often, ms. */
const localMs = 60_000;

/** Nobody tells when a password, a server's key or a right is mended: what was turned down for it is tried again so often, ms. */
const knockMs = 900_000;

/** What is due at once all the same leaves others their turn, ms. */
const shortestMs = 50;

type Trouble = Extract<PublisherEvent, { versions: number; failure: Failure }>;

/** Is the branch where the remote was last seen to be, and nothing else on its way? */
export async function nothingWaits(project: Project): Promise<boolean> {
  const tip = await branchTip(project);
  if (tip === null || tip !== (await refCommit(project, remoteBranchRef(project)))) return false;
  const { entries, damaged } = await listQueue(project);
  return entries.length + damaged.length === 0 && (await readRescue(project)) === null;
}

/**
 * Publishes in the background, one try after the other: when something new is queued, and again by itself as long as
 * something waits: when the remote is back, ever more seldom where it keeps failing, and after `pull.pollSeconds` at most
 * while somebody else has the lock. `noRoom`: why there is no room to publish, on a remote that shares our disk. `restedMs`:
 * for how long nobody had worked before.
 */
export function startPublisher(
  project: Project,
  clock: Clock,
  tell: (event: PublisherEvent) => void,
  noRoom: () => Promise<Failure | null> = async () => null,
  restedMs = 0,
): Publisher {
  const { config } = project;
  const probeMs = config.network.probeSeconds * 1000;
  const surprise = new RetryPolicy({ initialMs: 1000, maxMs: localMs });
  const stopped = new AbortController();
  const bell = makeBell(clock);
  let held = new AbortController();
  /** Aborted when the try that is under way, or was the last one, was broken off: another may be due before it has ended. */
  let brokenOff = AbortSignal.any([stopped.signal, held.signal]);
  const wanted = { lock: false, publish: restedMs < asleepMs, aside: false };
  let workedOn: readonly string[] = [];
  let isBack = false;
  /** When what was turned down for the way to the remote is tried again, monotonic, ms. */
  let knockAt = Infinity;
  let kept: Kept | null = null;
  let surprises = 0;
  let last: Trouble | null = null;

  const onLocked = (outcome: Taken): void => tell({ event: 'locked', outcome });
  const onLost = (failure: Failure): void => tell({ event: 'lock-lost', failure });
  const onTransfer = (transfer: Transfer): void => tell({ event: 'transfer', ...transfer });
  /** The same trouble again is no news, nor is who has the lock where that was told of versions that wait for it. */
  const tellOnce = (event: Trouble): void => {
    const isTold = event.event === last?.event && event.failure.message === last.failure.message;
    if (isTold && (event.versions === last?.versions || event.versions === 0)) return;
    last = event;
    tell(event);
  };
  /** Gives the wait until it is tried again, ms. `retryAt`: ms since 1970; null: when something new has happened. */
  const complain = (failure: Failure, versions: number, retryAt: number | null): number => {
    // We broke it off ourselves.
    if (brokenOff.aborted) return Infinity;
    const retryMs = retryAt === null ? null : Math.max(shortestMs, retryAt - clock.now());
    if (failure.code === 'LOCK_HELD') tellOnce({ event: 'waiting', versions, failure });
    else tellOnce({ event: 'not-published', versions, failure, retryMs });
    return retryMs ?? Infinity;
  };

  const reach = startReach(project, {
    clock,
    signal: stopped.signal,
    onBack(wasAway) {
      isBack = wasAway;
      bell.ring();
    },
    onTrouble(error) {
      complain(asFailure(error), 0, clock.now());
      bell.ring();
    },
  });

  /** Everything that is wanted now. Gives the wait until something is to be tried again, ms. */
  const once = async (): Promise<number> => {
    brokenOff = AbortSignal.any([stopped.signal, held.signal]);
    let urgency: Urgency = isBack ? 'reachable' : 'when-due';
    isBack = false;
    if (wanted.lock && config.lock.auto && (await earlyLock())) urgency = 'reachable';
    if (wanted.aside && (await setAside(project, await lockContext(project, clock)))) wanted.publish = true;
    wanted.aside = false;
    if (!wanted.publish) return Infinity;
    const silence = reach.silence();
    // It is heard when the remote is back, and when it may go on.
    if (silence !== null || held.signal.aborted || !config.push.auto) return await keep(silence, probeMs, Infinity);
    const lacking = await noRoom();
    if (lacking !== null) return await keep(lacking, localMs, localMs);
    wanted.publish = false;
    if (clock.monotonic() >= knockAt) {
      urgency = 'reachable';
      knockAt = Infinity;
    }
    return await publish(urgency);
  };

  const publish = async (urgency: Urgency): Promise<number> => {
    const started = clock.monotonic();
    /** What goes wrong on this computer is no reason to spare the remote. */
    const backoffMs = (_: number, failure: Failure) => (failure.code === 'INTERNAL' ? null : reach.failed(failure));
    const ports = { clock, signal: brokenOff, patienceMs: 10_000, urgency, onLocked, onLost, onTransfer, backoffMs };
    let waitMs = Infinity;
    for (const one of await publishQueue(project, ports)) {
      const { versions } = one;
      if (one.outcome === 'published') {
        reach.succeeded();
        await reach.note('push', started, null, null);
        const { commit, bytesSent, rescue } = one.published;
        const waits = rescue !== null && (await readRescue(project))?.waits === true;
        last = null;
        tell({ event: 'published', commit, versions, bytesSent, rescue, waits });
        continue;
      }
      wanted.publish = true;
      const retryMs = complain(one.failure, versions, one.retryAt);
      if (one.tried && !brokenOff.aborted)
        await reach.note('push', started, one.failure, retryMs === Infinity ? null : retryMs);
      if (one.retryAt === null && concernsAll(one.failure)) knockAt = Math.min(knockAt, clock.monotonic() + knockMs);
      waitMs = Math.min(waitMs, retryMs, knockAt - clock.monotonic());
    }
    return waitMs;
  };

  /** What is not published now is in the queue all the same, also what was committed by hand. */
  const keep = async (why: Failure | null, retryMs: number, waitMs: number): Promise<number> => {
    // First: whoever lets it go on meanwhile, or has something new, must be heard.
    wanted.publish = why !== null;
    kept = await keepQueue(project, clock.now(), kept);
    if (why !== null && kept.versions > 0) complain(why, kept.versions, clock.now() + retryMs);
    return waitMs;
  };

  /** Has the remote just let us in? */
  const earlyLock = async (): Promise<boolean> => {
    wanted.lock = false;
    const { signal } = stopped;
    const onHeld = (failure: Failure): void => tellOnce({ event: 'waiting', versions: 0, failure });
    const outcome = await lockEarly(project, { clock, signal, reach, paths: workedOn, onLocked, onHeld });
    if (outcome === 'not-reached') wanted.lock = true;
    return outcome === 'reached';
  };

  const loop = (async () => {
    if (!wanted.publish) wanted.publish = !(await nothingWaits(project).catch(() => false));
    while (!stopped.signal.aborted) {
      const waitMs = await once().then(
        (ms) => {
          surprises = 0;
          return ms;
        },
        (error: unknown) => {
          wanted.publish = true;
          return complain(asFailure(error), 0, clock.now() + surprise.delay(++surprises));
        },
      );
      await bell.wait(waitMs);
    }
  })();

  return {
    wake() {
      wanted.publish = true;
      bell.ring();
    },
    look: bell.ring,
    letIn() {
      isBack = true;
      bell.ring();
    },
    wantLock(paths) {
      wanted.lock = true;
      workedOn = paths;
      bell.ring();
    },
    setAside() {
      wanted.aside = true;
      bell.ring();
    },
    hold(reason) {
      if (reason !== null) return held.abort(new Error(reason));
      if (!held.signal.aborted) return;
      held = new AbortController();
      wanted.publish = true;
      bell.ring();
    },
    async stop() {
      stopped.abort(new Error('the watcher ends'));
      bell.ring();
      await Promise.all([loop, reach.ended()]);
    },
  };
}
