import path from 'node:path';
import { isSession } from '../daw/match.ts';
import type { DawProfile } from '../daw/profile.ts';
import type { Config } from '../model/config.ts';
import { asFailure, Failure } from '../model/failures.ts';
import { listed } from '../model/words.ts';
import type { Captured, Committed, FileStat, PendingSave, Save } from '../model/save.ts';
import type { Clock } from '../system/clock.ts';
import { exists } from '../system/disk.ts';
import { networkDrive } from '../system/network-drive.ts';
import { statAll, unreadableAmong } from '../system/stat.ts';
import { captureAhead } from './ahead.ts';
import { makeBell } from './bell.ts';
import { aboutToSettle, inQuestion, nextLook } from './due.ts';
import type { Room, Version } from './known.ts';
import { type Difference, lookAt, openNow, stagedTakes, temporaryBeside, worthFollowing } from './look.ts';
import { firstScan, nextScan } from './scans.ts';
import { type Action, begin, type Event, isIdle, type State, step } from './settle.ts';
import { teller, type WatchEvent } from './tell.ts';
import { timesOf } from './times.ts';
import { overwritten, toOutlive } from './version.ts';
import { startWake } from './wake.ts';

/** What the watch stage needs from the others. */
export interface WatchPorts {
  root: string;
  settings: Config['watch'];
  profile: DawProfile;
  clock: Clock;
  /** Ends the watch: what has settled is committed, then it returns, within 5 s. */
  signal: AbortSignal;
  /** What differs from HEAD. */
  changes: () => Promise<Difference[]>;
  /** Stores a file's bytes the moment it has settled. */
  capture: (path: string, stat: FileStat) => Promise<Captured | 'moved'>;
  /** The captured saves that are no versions yet, on the disk, should this process be killed. */
  pending: { read: () => Promise<PendingSave[]>; note: (saves: PendingSave[]) => Promise<void> };
  /** How much may still be stored. */
  room: () => Promise<Room>;
  /** Makes the version. The signal is aborted when there is no time left for its takes. */
  commit: (save: Save, noTimeLeft: AbortSignal) => Promise<Committed>;
  tell: (event: WatchEvent) => void;
  /** For how long nothing had happened before, ms: then nothing is expected to happen now. */
  quietMs?: number;
  /** Which kind of network drive the project lies on, or null; the system is asked, unless said. */
  drive?: typeof networkDrive;
  /** Who tells that something was written; the system, unless said. */
  wake?: typeof startWake;
}

/**
 * Watches a project until the signal is aborted; each save of the DAW is handed to `commit`, once, when it is finished.
 * Starts with a look, so that saves made while nobody watched are caught up. Throws `folder-vanished` when the project is gone.
 */
export async function watchProject(ports: WatchPorts): Promise<void> {
  const { root, profile, clock, tell, signal } = ports;
  const times = timesOf(ports.settings);
  const rules = { times, profile };
  const bell = makeBell(clock);
  const ahead = captureAhead(ports.capture);
  const noTimeForTakes = new AbortController();
  const noTimeLeft = new AbortController();
  const over = new AbortController();
  let state = begin(await leftBefore(ports));
  let differences: Difference[] = [];
  let staged: string[] = [];
  const scans = firstScan(times, ports.quietMs ?? 0);
  let lastTrouble = '';

  const tellChange = teller(rules, tell);
  const become = (next: State) => {
    tellChange(state, next);
    if (!isIdle(next)) scans.idle = 0;
    state = next;
  };

  const stirred = (name: string | null) => {
    const now = clock.monotonic();
    // That something may have happened somewhere is looked into once, and is no sign of work yet.
    if (name !== null) scans.idle = 0;
    // Of a file that differs anyway every look sees the rest.
    if (name === null || !state.known.files.has(name)) scans.heardAt = now;
    // Sessions are looked at promptly: two saves that follow each other must both be seen.
    if (name === null || state.slug === 'clean' || isSession(profile, name)) bell.ring();
    become(step(rules, state, { type: 'stirred' }, now).state);
  };

  /** One event, at the time `at`, with all that follows from it. */
  const advance = async (event: Event, at = clock.monotonic()) => {
    let now = at;
    for (let next: Event | null = event; next !== null; now = clock.monotonic()) {
      const { state: after, action } = step(rules, state, next, now);
      become(after);
      next = action === null ? null : await perform(action);
    }
    await notePending();
  };

  const notePending = async () =>
    await ports.pending.note(toOutlive(rules, state.known, clock.monotonic())).catch(trouble);

  const perform = async (action: Action): Promise<Event | null> => {
    if (action.do === 'commit') {
      // What is a version by now must not become one again, after the next.
      await notePending();
      making = make(action.save);
      return null;
    }
    const captured: Captured[] = [];
    const moved: string[] = [];
    for (const file of action.files) {
      const result = await ahead.take(file).catch(async (thrown: unknown) => {
        await trouble(thrown);
        return 'moved' as const;
      });
      if (result === 'moved') moved.push(file.path);
      else captured.push(result);
    }
    return { type: 'captured', captured, moved };
  };

  /**
   * The version that is being made. Nothing waits for it: minutes may pass, in which the next save must be seen and captured.
   * What has become of it is taken in between two looks.
   */
  let making: Promise<void> = Promise.resolve();
  let made: { result: Committed } | { thrown: unknown } | null = null;
  const make = async (save: Save): Promise<void> => {
    made = await commit(save).then(
      (result) => ({ result }),
      (thrown: unknown) => ({ thrown }),
    );
    bell.ring();
  };
  const takeInMade = async () => {
    const done = made;
    if (done === null) return;
    made = null;
    if ('thrown' in done) throw done.thrown;
    await advance({ type: 'committed', result: done.result });
  };

  const commit = async (save: Save): Promise<Committed> => {
    if (noTimeLeft.signal.aborted) return { outcome: 'later', reason: 'no time was left for it' };
    // The one that is then made without its takes is not broken off for them.
    const limit = save.settled.length > 0 && !noTimeForTakes.signal.aborted ? noTimeForTakes : noTimeLeft;
    const result = await ports.commit({ ...save, leftOut: staged }, limit.signal).catch(async (thrown: unknown) => {
      const { message } = await trouble(thrown);
      return { outcome: 'later', reason: message.replace(/\.$/, '') } as const;
    });
    // What differs from HEAD is another question now.
    scans.at = Number.NEGATIVE_INFINITY;
    if (result.outcome === 'committed') lastTrouble = '';
    if (result.outcome === 'lost') await trouble(new Failure('stored-gone', { files: listed(result.paths) }));
    if (result.outcome !== 'moved') return result;
    const unreadable = await unreadableAmong(root, result.paths);
    for (const name of unreadable) await trouble(new Failure('no-rights', { detail: `${name} may not be read` }));
    return { ...result, unreadable };
  };

  /** What can pass by itself is told, once; anything else ends the watch. */
  const trouble = async (thrown: unknown): Promise<Failure> => {
    if (!(await exists(path.join(root, '.git')))) throw new Failure('folder-vanished', { dir: root }, thrown);
    const failure = asFailure(thrown);
    if (failure.row === 'internal' || failure.row === 'no-git') throw thrown;
    if (failure.message !== lastTrouble && !noTimeForTakes.signal.aborted) tell({ event: 'trouble', failure });
    lastTrouble = failure.message;
    return failure;
  };

  /** One look at how things lie, and all that follows from it. */
  const pass = async () => {
    const start = clock.monotonic();
    if (start >= nextScan(times, scans)) {
      scans.at = start;
      const all = await ports.changes();
      differences = worthFollowing(profile, all);
      staged = stagedTakes(profile, all);
      scans.took = clock.monotonic() - start;
      if (state.slug === 'clean') scans.idle += 1;
    }
    const files = await lookAt(root, differences);
    // Judged as of one moment: what becomes quiet after it was not asked whether it is open.
    const at = clock.monotonic();
    const open = await openNow(root, inQuestion(state.known, files, at));
    const temporary = await temporaryBeside(root, profile, files.keys());
    const unreadable = new Set(await unreadableAmong(root, [...state.known.unreadable]));
    const room = await ports.room();
    await advance({ type: 'look', files, temporary, open, unreadable, room }, at);
    ahead.begin(aboutToSettle(rules, state.known));
  };

  const nap = async () => {
    const now = clock.monotonic();
    const at = Math.min(nextScan(times, scans), nextLook(rules, state) ?? Number.POSITIVE_INFINITY);
    // A burst is let pass; many bursts are not looked at one by one.
    if ((await bell.wait(at - now)) && made === null && !signal.aborted)
      await clock.sleep(Math.max(times.burst, now + times.look / 4 - clock.monotonic()));
  };

  const onEnd = () => {
    bell.ring();
    const giveUp = async () => {
      await clock.sleep(times.endTakes, over.signal);
      noTimeForTakes.abort();
      await clock.sleep(times.end - times.endTakes, over.signal);
      noTimeLeft.abort();
    };
    giveUp().catch(() => undefined); // only aborted
  };

  signal.addEventListener('abort', onEnd, { signal: over.signal });
  if (signal.aborted) onEnd();
  const wake = (ports.wake ?? startWake)({
    root,
    profile,
    stirred,
    failed: (reason, isBlind) => {
      if (isBlind) scans.blind = true;
      if (reason !== lastTrouble) tell({ event: 'scanning', reason });
      lastTrouble = reason;
      stirred(null);
    },
  });
  try {
    const drive = await (ports.drive ?? networkDrive)(root).catch(() => null); // it cannot be told
    // What another computer writes there is not told here.
    if (drive !== null) {
      scans.blind = true;
      tell({ event: 'scanning', reason: `the project lies on a network drive, ${drive}` });
    }
    while (!signal.aborted) {
      await pass().catch(trouble);
      await nap();
      await takeInMade();
    }
    await advance({ type: 'end' });
    while (state.known.making !== null) {
      await making;
      await takeInMade();
    }
  } finally {
    over.abort();
    noTimeForTakes.abort();
    noTimeLeft.abort();
    await making;
    await wake.close();
  }
}

async function leftBefore({ root, pending }: WatchPorts): Promise<Version[]> {
  const saves = await pending.read();
  const paths = saves.flatMap(({ captured, deleted }) => [...captured.map(({ file }) => file.path), ...deleted]);
  return overwritten(saves, await statAll(root, paths));
}
