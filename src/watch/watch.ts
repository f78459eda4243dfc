import type { DawProfile } from '../daw/profile.ts';
import type { Config } from '../model/config.ts';
import { Failure } from '../model/failures.ts';
import type { Captured, Committed, FileStat, Save } from '../model/save.ts';
import type { Clock } from '../system/clock.ts';
import { exists } from '../system/disk.ts';
import { type Changed, look } from './look.ts';
import {
  type Action,
  atRest,
  type Settle,
  type SettleEvent,
  stateName,
  step,
  type Times,
  type WatcherState,
} from './settle.ts';
import { watchEvents } from './wake.ts';

export type WatchEvent =
  /** The first sign of a change since all was clean. */
  | { event: 'changed' }
  | { event: 'state'; state: WatcherState; detail: string }
  /** File events cannot be relied on; the regular scan alone serves. */
  | { event: 'scanning'; reason: string };

export interface WatchPorts {
  root: string;
  settings: Config['watch'];
  profile: DawProfile;
  clock: Clock;
  /** Aborted: what has settled becomes a version, then the watch ends. */
  signal: AbortSignal;
  /** The files that differ from the last version. */
  changes: () => Promise<Changed[]>;
  capture: (path: string, stat: FileStat) => Promise<Captured | 'moved'>;
  commit: (save: Save) => Promise<Committed>;
  tell: (event: WatchEvent) => void;
}

/**
 * Watches a project until the signal: wakes by events or by time, looks, and lets the settle machine decide. Starts with a
 * look, so that saves made while nobody watched are caught up. Throws `folder-vanished` when the project is gone.
 */
export async function watchProject(ports: WatchPorts): Promise<void> {
  const { root, settings, profile, clock, signal, tell } = ports;
  const times = timesOf(settings);
  const wake = await watchEvents(root, profile, (error) => tell({ event: 'scanning', reason: error.message }));
  let state = atRest;
  let shown = 'clean ';
  let changed: Changed[] = [];
  let scannedAt = -Infinity;
  let why: 'event' | 'time' = 'event';

  const show = (): void => {
    const { state: name, detail } = stateName(state, clock.monotonic());
    if (`${name} ${detail}` === shown) return;
    if (shown === 'clean ') tell({ event: 'changed' });
    shown = `${name} ${detail}`;
    tell({ event: 'state', state: name, detail });
  };
  const feed = async (event: SettleEvent): Promise<void> => {
    const stepped = step(state, event, clock.monotonic(), times);
    state = stepped.state;
    show();
    for (const action of stepped.actions) await feed(await perform(action, ports));
  };

  try {
    while (!signal.aborted) {
      // git is asked when an event came, and from time to time; in between the stats of what has changed are enough.
      const due = clock.monotonic() - scannedAt >= settings.scanSeconds * 1000;
      if (why === 'event' || due) {
        changed = await changesOf(ports);
        scannedAt = clock.monotonic();
      }
      const files = await look(root, profile, changed, times.quietMs);
      const before = state;
      await feed({ event: 'looked', files });
      // After a commit git is asked again: what it still lists was left out, or has moved since.
      why =
        state.lastCommitAt !== before.lastCommitAt ? 'event' : await wake.next(pauseMs(state, times, settings), signal);
    }
    await feed({ event: 'ending' });
  } finally {
    await wake.close();
  }
}

async function perform(action: Action, ports: WatchPorts): Promise<SettleEvent> {
  if (action.action === 'commit') return { event: 'committed', result: await ports.commit(action.save) };
  const { path, stat } = action;
  return { event: 'captured', path, stat, result: await ports.capture(path, stat) };
}

async function changesOf({ root, changes }: WatchPorts): Promise<Changed[]> {
  try {
    return await changes();
  } catch (cause) {
    if (!(await exists(root))) throw new Failure('folder-vanished', { dir: root }, cause);
    throw cause;
  }
}

/** While something has changed: often enough for the quiet time, at most once a second. */
function pauseMs(state: Settle, times: Times, settings: Config['watch']): number {
  if (state.files.size === 0 && state.taken.size === 0) return settings.scanSeconds * 1000;
  return Math.min(1000, Math.max(50, times.quietMs / 3));
}

const timesOf = (settings: Config['watch']): Times => ({
  quietMs: settings.quietSeconds * 1000,
  mediaQuietMs: settings.mediaQuietSeconds * 1000,
  minCommitGapMs: settings.minCommitGapSeconds * 1000,
  mediaOnlyMs: settings.mediaOnlyCommitMinutes * 60_000,
  growingTakeHoldMs: settings.growingTakeHoldSeconds * 1000,
});
