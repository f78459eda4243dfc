import { finishCheckout } from './checkout/checkout.ts';
import { capture } from './commit/capture.ts';
import { type Change, changes } from './commit/changes.ts';
import { commitSave } from './commit/commit.ts';
import { pendingSaves } from './commit/pending.ts';
import { parentOf } from './commit/made-on.ts';
import { bringIndexUp, removeLeftovers } from './commit/user-index.ts';
import type { DawProfile } from './daw/profile.ts';
import { asFailure, Failure } from './model/failures.ts';
import { alone, alreadyWatched, untilKnownMs } from './project/guard.ts';
import { configPath, loadConfig, type Project } from './project/project.ts';
import { hearByHand } from './project/by-hand.ts';
import { pauseOf } from './project/pause.ts';
import { noteWatcher, quietFor } from './project/watcher.ts';
import { newsOnly, type PipelineEvent } from './background/events.ts';
import { closedFolders } from './background/closed-folders.ts';
import { startKeeper } from './background/keeper.ts';
import { startIndexUp } from './background/index-up.ts';
import { largeFiles } from './background/large-files.ts';
import { watchNames } from './background/names.ts';
import { startNews } from './background/news.ts';
import { hearOrders } from './background/orders.ts';
import { startPublisher } from './background/publisher.ts';
import { noRoomInVault, watchDisk } from './background/room.ts';
import { startTidier } from './background/tidy.ts';
import { enqueue } from './queue/entries.ts';
import { whenWoken } from './system/awake.ts';
import { type Clock, isoTime } from './system/clock.ts';
import { exists } from './system/disk.ts';
import { stayLean } from './system/memory.ts';
import { makeBell } from './watch/bell.ts';
import { startWake } from './watch/wake.ts';
import { watchProject } from './watch/watch.ts';

export interface PipelinePorts {
  clock: Clock;
  /** Aborted: what has settled becomes a version, then it ends; nothing is left half done. */
  signal: AbortSignal;
  tell: (event: PipelineEvent) => void;
}

/**
 * A save's way, on one page:
 *
 *   settle   watch/        the DAW has finished writing; the session's bytes are captured
 *   lock     lock/         wanted at the first sign of a change, taken when it is free
 *   commit   commit/       one version, made in an index of our own, on the disk when it is told
 *   queue    queue/        one entry, in the order of history
 *   push     background/   when lock and network allow: one atomic push, then the entry's end
 *
 * Up to the queue it goes at once, whatever the lock and the network say. Returns when the signal is aborted, or when it has
 * to begin anew: paused, or with other settings. Throws `already-watched`, `watched-elsewhere`, `folder-vanished`.
 */
export async function watchAndPublish(
  project: Project,
  profile: DawProfile,
  { clock, signal, ...ports }: PipelinePorts,
): Promise<void> {
  const { root, config } = project;
  const tell = newsOnly(ports.tell);
  const patience = { ms: 0, withUnknownMs: untilKnownMs };
  const guarded = await alone(project, 'watch', patience, async (lost) => {
    const quiet = await quietFor(project, clock.now());
    const quietMs = quiet ?? 0;
    let workedAt = clock.uptime() - quietMs;
    const keeper = startKeeper(
      project,
      profile,
      clock,
      (event) => {
        if (event.event === 'opened') publisher.wantLock([]);
        else tell(event);
        if (event.event === 'lock-idle') publisher.setAside();
      },
      // To make a project, or to get one, is no work on it yet.
      quiet ?? Number.POSITIVE_INFINITY,
    );
    const publisher = startPublisher(
      project,
      clock,
      (event) => {
        if (event.event === 'locked') keeper.held();
        // The same lock as before is no news.
        if (event.event !== 'locked' || event.outcome !== 'already-mine') tell(event);
      },
      async () => await noRoomInVault(project),
      quietMs,
    );
    tell({ event: 'watching', project: root, daw: profile.title });
    await removeLeftovers(project, clock.now());
    await bringIndexUp(project);
    const index = startIndexUp(project, clock, tell);
    index.look();
    const tidier = startTidier(project, profile, clock, tell, quietMs);
    const large = largeFiles(project, tell);
    const closed = closedFolders(tell);
    const disk = watchDisk(project, tell);
    const named = watchNames(project, tell);
    const news = startNews(
      project,
      profile,
      clock,
      (event) => {
        if (event.event === 'let-in') publisher.letIn();
        else tell(event);
      },
      quietMs,
    );
    let lookAround = () => undefined as void;
    const orders = hearOrders(project, {
      clock,
      signal: AbortSignal.any([signal, lost]),
      files: () => {
        lookAround();
        publisher.wake();
      },
      lock: () => keeper.look(),
      trouble: (failure) => tell({ event: 'trouble', failure }),
    });
    const ended = AbortSignal.any([signal, lost, orders.anew]);
    // While it slept others worked, files came and went, and no timer ran.
    const asleep = whenWoken(clock, () => {
      lookAround();
      publisher.look();
      news.look();
      keeper.look();
    });
    // What is sent while the last saves become versions would only hold them up; it goes on at the next start.
    const endOthers = async () =>
      await Promise.all([tidier, publisher, keeper, news].map(async (one) => await one.stop()));
    // What they throw is met below.
    ended.addEventListener('abort', () => void endOthers().catch(() => undefined), { once: true });
    try {
      await watchProject({
        root,
        settings: config.watch,
        profile,
        clock,
        signal: ended,
        quietMs,
        wake: (ports) => {
          lookAround = () => ports.stirred(null);
          return startWake(ports);
        },
        // What another process is just bringing in is no save of anybody. A move that was broken off is ended first.
        changes: async () =>
          (await finishCheckout(project))
            ? await large.leaveOut(await named(await withSoundSettings(root, await changes(root, closed))))
            : [],
        room: async () => await disk.room(),
        capture: async (path, stat) => await capture(root, path, stat),
        pending: pendingSaves(project),
        // The version is on the disk before it is told, and so is its entry in the queue, where there is room for it.
        commit: async (save, noTimeLeft) =>
          await index.making(
            async () =>
              await commitSave(
                project,
                { ...save, leftOut: [...(save.leftOut ?? []), ...large.names()] },
                async ({ commit, branch, subject }) => {
                  // Versions of another branch stay here: only the team's branch is published by itself.
                  if (branch === `refs/heads/${config.branch}`)
                    await enqueue(project, commit, config.branch, isoTime(clock.now())).catch((error: unknown) => {
                      // The version is on the disk and gets its entry from the history, at the next try to publish.
                      tell({ event: 'trouble', failure: asFailure(error) });
                    });
                  tell({ event: 'version', commit, message: subject });
                  publisher.wake();
                  tidier.stored();
                },
                async (head) => await parentOf(project, profile, save.captured, head),
                noTimeLeft,
              ),
          ),
        tell: (event) => {
          if (event.event === 'changed') publisher.wantLock(event.paths);
          // What is being recorded is left in peace.
          if (event.event === 'recording') {
            publisher.hold(event.takes.length > 0 ? 'recording goes on' : null);
            news.recording(event.takes.length > 0);
          }
          if (event.event === 'state') {
            keeper.stirred();
            const isAtRest = event.state === 'clean' || event.why === 'media-only' || event.why === 'no-rights';
            tidier.stir(isAtRest || event.why === 'no-room');
            // That something was heard is no work yet.
            if (event.state !== 'clean' && event.state !== 'dirty') {
              workedAt = clock.uptime();
              keeper.active();
              news.active();
            }
            news.calm(isAtRest);
            noteWatcher(project, event, clock.uptime() - workedAt);
          }
          tell(event);
        },
      });
    } finally {
      orders.stop();
      asleep();
      await index.stop();
      await endOthers();
      tell({ event: 'stopped' });
    }
    // Nobody asked for this end: whoever started it must see that nothing is watched by it any more.
    if (lost.aborted && !signal.aborted) throw await whyLost(project);
  });
  if (guarded.outcome === 'taken') throw await alreadyWatched(project);
}

/** What has to be found out each time a watch begins: the project with its settings, and its DAW. */
export interface Opened {
  project: Project;
  profile: DawProfile;
}

/**
 * Watches a project until the signal is aborted: not while it is paused, and anew when its settings have changed. Throws
 * what `open` throws, and what `watchAndPublish` throws.
 */
export async function keepWatched(open: () => Promise<Opened>, ports: PipelinePorts): Promise<void> {
  const { clock, signal, tell } = ports;
  stayLean();
  while (!signal.aborted) {
    const { project, profile } = await open();
    const paused = await pauseOf(project, clock.now());
    if (paused === null) {
      await watchAndPublish(project, profile, ports);
      continue;
    }
    tell({ event: 'paused', until: paused.until });
    await untilResumed(project, clock, signal);
    if (!signal.aborted) tell({ event: 'resumed' });
  }
}

/** The wall clock may be set, and the folder may go: it is looked at once a minute, too. */
async function untilResumed(project: Project, clock: Clock, signal: AbortSignal): Promise<void> {
  const bell = makeBell(clock);
  const deafen = hearByHand(project, bell.ring);
  signal.addEventListener('abort', bell.ring);
  try {
    for (let paused = await pauseOf(project, clock.now()); paused !== null && !signal.aborted; ) {
      const left = paused.until === null ? Infinity : Date.parse(paused.until) - clock.now();
      await bell.wait(Math.min(left, 60_000));
      paused = await pauseOf(project, clock.now());
    }
  } finally {
    signal.removeEventListener('abort', bell.ring);
    deafen();
  }
}

/** Settings that do not hold become no version: once published, they would stop every oxenvcs of the team. */
async function withSoundSettings(root: string, found: Change[]): Promise<Change[]> {
  if (!found.some(({ path }) => path === configPath)) return found;
  const isSound = await loadConfig(root).then(
    () => true,
    () => false, // every command says by itself what is wrong with them
  );
  return isSound ? found : found.filter(({ path }) => path !== configPath);
}

/** Why this process may not watch any more: the project is gone, or another process has taken it over. */
async function whyLost(project: Project): Promise<Failure> {
  const { root } = project;
  if (!(await exists(root))) return new Failure('folder-vanished', { dir: root });
  return await alreadyWatched(project);
}
