import { placeOf } from '../git/place.ts';
import { refsMark } from '../git/refs.ts';
import { lockContext } from '../lock/context.ts';
import { type Activity, keepLock } from '../lock/heartbeat.ts';
import { releaseLock } from '../lock/lease.ts';
import { isKnownFree, loadView } from '../lock/cache.ts';
import { verdictOn } from '../lock/view.ts';
import { contextOf } from './context.ts';
import { isOpenHere } from './open.ts';
import { makeBell } from '../watch/bell.ts';
import type { DawProfile } from '../daw/profile.ts';
import { asFailure, type Failure } from '../model/failures.ts';
import type { Project } from '../project/project.ts';
import { lookAtQueue } from '../queue/rebuild.ts';
import type { Clock } from '../system/clock.ts';

export type KeeperEvent =
  /** Broken or taken over by somebody else. */
  | { event: 'lock-lost'; failure: Failure }
  /** The same person works in another clone, on that computer: this one was idle. */
  | { event: 'lock-moved'; host: string }
  /** Given back by itself: nobody has worked here for a while and all is published. */
  | { event: 'lock-released' }
  /** Nobody has worked here for so long that the lease is left to run out. */
  | { event: 'lock-idle' }
  /** A DAW has opened something of the project: work begins. */
  | { event: 'opened' }
  /** Something failed; it is tried again. */
  | { event: 'trouble'; failure: Failure };

export interface Keeper {
  /** The lock may be ours now: begin to renew it. */
  held(): void;
  /** Somebody works here. */
  active(): void;
  /** Something was heard: perhaps a DAW has opened the project. */
  stirred(): void;
  /** What is known of the lock has changed. */
  look(): void;
  /** Ends; the lock stays held, for the next process to carry on with. */
  stop(): Promise<void>;
}

/** Often enough to notice that the idle time, half an hour, is over; whoever takes the lock by hand has `look` called. ms. */
const lookMs = 60_000;
/** While nobody has the lock, and nothing stirs, only a DAW that opens the project is to be noticed, ms: 200 projects may lie so. */
const lookWhileFreeMs = 120_000;

/**
 * Keeps the lock alive while it is held, over sleep and network loss, and gives it back when nobody has worked here for
 * `releaseAfterIdleMinutes` and everything is published. One that was taken by hand stays until it is released or runs out.
 * A session that is open counts as work, but not for ever: a machine that was left on with it must lock nobody out.
 * `quietMs`: for how long nobody had worked before: a lock that is only taken to publish what was left goes back at the next look.
 */
export function startKeeper(
  project: Project,
  profile: DawProfile,
  clock: Clock,
  tell: (event: KeeperEvent) => void,
  quietMs = 0,
): Keeper {
  const stopped = new AbortController();
  const { releaseAfterIdleMinutes, maxIdleHours } = project.config.lock;
  const idleLimitMs = releaseAfterIdleMinutes * 60_000;
  /** When something was last changed, saved or opened here; and when it was last seen to be open. */
  let workedAt = clock.uptime() - Math.min(quietMs, idleLimitMs);
  let openAt = workedAt;
  let open = false;
  let published = false;
  /** How the refs lay when all was found to be published; null: that cannot be told. */
  let publishedAt: string | null = null;
  /** Nobody has the lock, by what is known here; whoever changes that has `look` called. */
  let free = false;
  const context = contextOf(project, clock, stopped.signal);
  let beating: Promise<void> | null = null;

  const idleForMs = (): number => clock.uptime() - Math.max(workedAt, openAt);
  const leftForMs = (): number => clock.uptime() - workedAt;

  let told = '';
  /** The same trouble again is no news. */
  const trouble = (error: unknown): void => {
    const failure = asFailure(error);
    if (!stopped.signal.aborted && failure.message !== told) tell({ event: 'trouble', failure });
    told = failure.message;
  };

  /** For others the machine is idle after a tenth of the time after which the lock goes back by itself. */
  const isIdle = (): boolean => idleForMs() > idleLimitMs / 10;

  const activity = (): Activity => {
    const idle = published && !open && isIdle();
    return { idleForMs: leftForMs(), idleSince: idle ? clock.now() - idleForMs() : null };
  };

  const beat = async (): Promise<void> => {
    const end = await keepLock(await lockContext(project, clock), { activity, signal: stopped.signal });
    if (end.why === 'lost' && end.loss.how === 'handed-over') tell({ event: 'lock-moved', host: end.loss.by.host });
    else if (end.why === 'lost') tell({ event: 'lock-lost', failure: end.failure });
    if (end.why === 'idle') tell({ event: 'lock-idle' });
  };

  const held = (): void => {
    free = false;
    if (leftForMs() >= maxIdleHours * 3_600_000) return;
    beating ??= beat()
      .catch(trouble)
      .finally(() => (beating = null));
  };

  const lookForDaw = async (): Promise<void> => {
    const now = await isOpenHere(project.root, profile);
    if (now) openAt = clock.uptime();
    if (now && !open) {
      workedAt = openAt;
      tell({ event: 'opened' });
    }
    open = now;
  };

  const isPublished = async (): Promise<boolean> => {
    const refs = ['refs/heads', `refs/remotes/${project.config.remote}`];
    const mark = await refsMark((await placeOf(project.root)).common, refs);
    if (published && mark !== null && mark === publishedAt) return true;
    const { entries } = await lookAtQueue(project);
    publishedAt = mark;
    return !entries.some(({ branch }) => branch === project.config.branch);
  };

  /** Goes on with a lock that was taken by hand or by a process before this one; gives back one that nobody needs. */
  const seeToLock = async (): Promise<void> => {
    if (free) return;
    free = true;
    if (beating === null && (await isKnownFree(project))) return;
    free = false;
    const ctx = await context();
    const verdict = verdictOn(ctx, await loadView(ctx));
    if (verdict.is !== 'mine') return;
    held();
    // Before that nobody asks.
    published = isIdle() && (await isPublished());
    if (!published || idleForMs() < idleLimitMs || verdict.held.record.how === 'hand') return;
    if ((await releaseLock(ctx)).outcome === 'done') tell({ event: 'lock-released' });
  };

  const everyMs = () => Math.min(free && !open ? lookWhileFreeMs : lookMs, idleLimitMs / 4);
  const bell = makeBell(clock);
  stopped.signal.addEventListener('abort', bell.ring);
  const loop = (async () => {
    while (!stopped.signal.aborted) {
      await lookForDaw().then(seeToLock).catch(trouble);
      // All that keep a lock in this process look in the same moment, and share what they see of the DAWs.
      await bell.wait(everyMs() - (clock.monotonic() % everyMs()));
    }
  })();

  return {
    held,
    active() {
      workedAt = clock.uptime();
      published = false;
    },
    stirred() {
      if (free && !open) bell.ring();
    },
    look() {
      free = false;
      bell.ring();
    },
    async stop() {
      stopped.abort(new Error('the watcher ends'));
      await Promise.all([loop, beating]);
    },
  };
}
