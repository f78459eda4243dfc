import { watch } from 'node:fs';
import path from 'node:path';
import type { ProjectState } from '../control/protocol.ts';
import { describeEvent, type PipelineEvent } from '../background/events.ts';
import { asFailure, type Failure } from '../model/failures.ts';
import { RetryPolicy } from '../network/retry.ts';
import { hearByHand } from '../project/by-hand.ts';
import type { Clock } from '../system/clock.ts';
import { exists } from '../system/disk.ts';

/** Watches a project until the signal is aborted. Throws the failure that ended it otherwise. */
export type WatchProject = (
  root: string,
  ports: { signal: AbortSignal; tell: (event: PipelineEvent) => void },
) => Promise<void>;

export type TendEvent =
  | PipelineEvent
  /** The folder is not there: an unplugged disk, perhaps. It is waited for. */
  | { event: 'absent' }
  /** The folder has another place now, and is watched there. */
  | { event: 'moved'; to: string }
  /** It could not be watched any more; it is begun anew after so many ms. */
  | { event: 'failing'; failure: Failure; retryMs: number };

export interface TendPorts {
  clock: Clock;
  signal: AbortSignal;
  watchProject: WatchProject;
  /** The project is not there: finds where it was moved to, and sees to it that it is tended there; null: nobody knows. */
  seek: (root: string) => Promise<string | null>;
  tell: (event: TendEvent) => void;
  become: (state: Pick<ProjectState, 'state' | 'detail'>) => void;
  /** Gives what breaks the watch that begins off, should it throw something that nobody catches. */
  onBegin: (breakOff: (error: unknown) => void) => void;
}

/** The wait before a project that failed is begun anew: from 2 s, doubled, up to this, ms. */
const longestMs = 900_000;
/** One that went well for so long begins with the shortest wait again, ms. */
const wellMs = 60_000;
/** An unplugged disk is looked for so often, ms: where a disk is mounted over a folder that is there the system tells nothing. */
const absentMs = 30_000;

/** What fails while a project is being deleted is no news: so long it is waited whether it is, ms. */
const goingMs = 2000;

const absent =
  'it is not there: a disk that is not plugged in, perhaps; if it was moved to another disk: oxenvcs init in its new place; if it was deleted: oxenvcs remove with its old one';

/** One project's life in the background: watched while its folder is there, begun anew after a failure. Never throws. */
export async function tend(root: string, ports: TendPorts): Promise<void> {
  const { clock, signal, watchProject, seek, tell, become, onBegin } = ports;
  const backoff = new RetryPolicy({ initialMs: 2000, maxMs: longestMs });
  let failures = 0;
  let telling = Promise.resolve();
  const heard = (event: PipelineEvent): void => {
    if (event.event === 'paused') become({ state: 'paused', detail: describeEvent(event) ?? '' });
    if (event.event === 'resumed') become({ state: 'watched', detail: '' });
    const isTrouble = event.event === 'trouble' || event.event === 'not-published';
    const at = clock.monotonic();
    telling = telling.then(async () => {
      if (isTrouble) await sleep(clock, at + goingMs - clock.monotonic(), signal);
      if (!isTrouble || (await isThere(root))) tell(event);
    });
  };
  while (!signal.aborted) {
    if (!(await isThere(root))) {
      let isTold = false;
      do {
        const to = await seek(root).catch(() => null); // it is sought again
        if (to !== null) {
          become({ state: 'absent', detail: `it is ${to} now` });
          return tell({ event: 'moved', to });
        }
        if (!isTold) tell({ event: 'absent' });
        isTold = true;
        become({ state: 'absent', detail: absent });
        await untilStirred(root, clock, signal);
      } while (!signal.aborted && !(await isThere(root)));
      continue;
    }
    become({ state: 'watched', detail: '' });
    const start = clock.monotonic();
    const broken = new AbortController();
    onBegin((error) => broken.abort(error));
    const ends = AbortSignal.any([signal, broken.signal]);
    const failure = await watchProject(root, { signal: ends, tell: heard }).then(
      () => asFailure(broken.signal.reason ?? new Error('the watch ended by itself')),
      (error: unknown) => asFailure(error),
    );
    await telling;
    if (signal.aborted || !(await isThere(root))) continue;
    failures = clock.monotonic() - start > wellMs ? 1 : failures + 1;
    // Somebody watches it in the foreground: that ends in its own time.
    const retryMs = failure.row === 'already-watched' ? 5000 : backoff.delay(failures);
    become({ state: 'failing', detail: `${failure.message} ${failure.hint}` });
    tell({ event: 'failing', failure, retryMs });
    await untilMended(root, failure, retryMs, clock, signal);
  }
}

/** Not for so long, where what was wrong are settings and a person has just written them. */
async function untilMended(root: string, { row }: Failure, retryMs: number, clock: Clock, signal: AbortSignal) {
  if (row !== 'config-invalid') return await sleep(clock, retryMs, signal);
  const written = new AbortController();
  const deafen = hearByHand({ root }, (what) => what === 'settings' && written.abort());
  await sleep(clock, retryMs, AbortSignal.any([signal, written.signal]));
  deafen();
  // The editor may still be at it.
  if (written.signal.aborted) await sleep(clock, 1000, signal);
}

/** Without its disk an empty mount point is left: what tells is inside. Rights that are missing are told by the watch. */
const isThere = async (root: string): Promise<boolean> => await exists(path.join(root, '.git')).catch(() => true);

/** Until something happens in the nearest folder that is there; not for long. */
async function untilStirred(root: string, clock: Clock, signal: AbortSignal): Promise<void> {
  const stirred = new AbortController();
  const watcher = await watchAbove(root, () => stirred.abort());
  // It may have come while nobody watched.
  if (!(await isThere(root))) await sleep(clock, absentMs, AbortSignal.any([signal, stirred.signal]));
  watcher?.close();
  // A disk that is plugged in makes several folders; and a folder where much happens is not looked at each time.
  if (stirred.signal.aborted) await sleep(clock, 1000, signal);
}

async function watchAbove(root: string, stirred: () => void): Promise<{ close: () => void } | null> {
  let folder = path.dirname(root);
  while (!(await exists(folder).catch(() => false)) && path.dirname(folder) !== folder) folder = path.dirname(folder);
  try {
    return watch(folder, { persistent: false }, stirred).on('error', () => undefined);
  } catch {
    return null; // out of watches, no rights: looking from time to time is left
  }
}

async function sleep(clock: Clock, ms: number, signal: AbortSignal): Promise<void> {
  await clock.sleep(ms, signal).catch((error: unknown) => {
    if (!signal.aborted) throw error;
  });
}
