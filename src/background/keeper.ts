import { cachedStatus } from '../lock/status.ts';
import { lockContext } from '../lock/context.ts';
import { keepLock } from '../lock/heartbeat.ts';
import { releaseLock } from '../lock/lease.ts';
import { loadView } from '../lock/cache.ts';
import type { DawProfile } from '../daw/profile.ts';
import { asFailure, type Failure } from '../model/failures.ts';
import type { Project } from '../project/project.ts';
import { lookAtQueue } from '../queue/rebuild.ts';
import type { Clock } from '../system/clock.ts';
import { programHasOpen } from '../system/processes.ts';

export type KeeperEvent =
  /** Broken or taken over by somebody else. */
  | { event: 'lock-lost'; failure: Failure }
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
  /** Ends; the lock stays held, for the next process to carry on with. */
  stop(): Promise<void>;
}

/** Often enough to notice that the idle time is over, ms. */
const lookMs = 30_000;

/**
 * Keeps the lock alive while it is held, over sleep and network loss, and gives it back when nobody has worked here for
 * `releaseAfterIdleMinutes` and everything is published. One that was taken by hand stays until it is released or runs out.
 */
export function startKeeper(
  project: Project,
  profile: DawProfile,
  clock: Clock,
  tell: (event: KeeperEvent) => void,
): Keeper {
  const stopped = new AbortController();
  const idleLimitMs = project.config.lock.releaseAfterIdleMinutes * 60_000;
  let activeAt = { wall: clock.now(), monotonic: clock.monotonic() };
  let published = false;
  let beating: Promise<void> | null = null;

  let told = '';
  /** The same trouble again is no news. */
  const trouble = (error: unknown): void => {
    const failure = asFailure(error);
    if (!stopped.signal.aborted && failure.message !== told) tell({ event: 'trouble', failure });
    told = failure.message;
  };

  const beat = async (): Promise<void> => {
    const ctx = await lockContext(project, clock);
    const activity = () => ({
      idleForMs: clock.monotonic() - activeAt.monotonic,
      idleSince: published && quiet() ? activeAt.wall : null,
    });
    const end = await keepLock(ctx, { activity, signal: stopped.signal });
    if (end.why === 'lost') tell({ event: 'lock-lost', failure: end.failure });
    if (end.why === 'idle') tell({ event: 'lock-idle' });
  };
  /** A machine is idle for others when it has been so for a tenth of the time after which the lock goes back by itself. */
  const quiet = (): boolean => clock.monotonic() - activeAt.monotonic > idleLimitMs / 10;

  /** While the DAW has something of the project open somebody works here, saves or not: idle time begins when it lets go. */
  let open = false;
  const lookForDaw = async (): Promise<void> => {
    const now = (await programHasOpen(profile.programs, project.root)) ?? false;
    if (now) activeAt = { wall: clock.now(), monotonic: clock.monotonic() };
    if (now && !open) tell({ event: 'opened' });
    open = now;
  };

  const giveBack = async (): Promise<void> => {
    const { entries } = await lookAtQueue(project);
    published = !entries.some(({ branch }) => branch === project.config.branch);
    if (!published || clock.monotonic() - activeAt.monotonic < idleLimitMs) return;
    const ctx = await lockContext(project, clock, stopped.signal);
    const { mine } = await cachedStatus(ctx);
    const { seen } = await loadView(ctx);
    if (!mine || seen.state !== 'record' || seen.record.how === 'hand') return;
    if ((await releaseLock(ctx)).outcome === 'done') tell({ event: 'lock-released' });
  };

  const loop = (async () => {
    while (!stopped.signal.aborted) {
      await clock.sleep(Math.min(lookMs, idleLimitMs / 4), stopped.signal).catch(() => undefined); // only aborted
      if (!stopped.signal.aborted) await lookForDaw().then(giveBack).catch(trouble);
    }
  })();

  return {
    held() {
      beating ??= beat()
        .catch(trouble)
        .finally(() => (beating = null));
    },
    active() {
      activeAt = { wall: clock.now(), monotonic: clock.monotonic() };
      published = false;
    },
    async stop() {
      stopped.abort(new Error('the watcher ends'));
      await Promise.all([loop, beating]);
    },
  };
}
