import type { Captured, Committed, FileStat, Save } from '../model/save.ts';

/**
 * When is a save finished? A pure state machine over looks at the disk: no clock, no files, no events counted. All
 * times are ms on a clock that never goes back.
 */

export interface Times {
  /** A session that has not moved for so long is saved. */
  quietMs: number;
  /** The same for media: a recording is flushed in gaps of up to 6 s. */
  mediaQuietMs: number;
  /** Between commits that hold no session. */
  minCommitGapMs: number;
  /** New takes without a save of the session become a version after so long. */
  mediaOnlyMs: number;
  /** A save waits so long at the most for a take that still grows. */
  growingTakeHoldMs: number;
}

/** A file that is open for writing but has not moved for so long counts as settled: DAWs keep idle descriptors. A guess. */
export const idleOpenMs = 60_000;
/** The waits after "not now" (a merge, a foreign index.lock). */
const laterMs = [1000, 2000, 4000, 8000, 16_000, 30_000];

/** What a changed file is: a save shows in sessions; media may be takes that still grow. */
export type Kind = 'session' | 'media' | 'other';

/** One changed file, as a look found it. */
export interface Looked {
  path: string;
  kind: Kind;
  /** The unit that settles as one: the package the file lies in, or the file itself. */
  unit: string;
  /** null: it is gone. */
  stat: FileStat | null;
  /** Somebody has it open for writing. */
  open: boolean;
  /** A database is never taken while somebody has it open. */
  database: boolean;
  /** A temporary file beside it has just been written. */
  busySibling: boolean;
}

interface Tracked extends Looked {
  /** Since when it has looked as it does. */
  since: number;
}

/** A session whose bytes are in the object store. */
interface Taken {
  captured: Captured | 'deleted';
  stat: FileStat | null;
  at: number;
}

export interface Settle {
  files: ReadonlyMap<string, Tracked>;
  /** Saves that wait for their takes. */
  taken: ReadonlyMap<string, Taken>;
  /** Files that are as in the last version, though git still lists them (its index follows later). */
  same: ReadonlyMap<string, FileStat | null>;
  /** Since when there are changes without a save. */
  unsavedSince: number | null;
  lastCommitAt: number;
  /** No commit is tried before this. */
  notBefore: number;
  /** How often it was put off, and why. */
  refused: number;
  reason: string;
  /** The save that was handed over and not answered yet. */
  committing: Save | null;
}

export type SettleEvent =
  | { event: 'looked'; files: readonly Looked[] }
  | { event: 'captured'; path: string; stat: FileStat; result: Captured | 'moved' }
  | { event: 'committed'; result: Committed }
  /** We are about to end: what has settled becomes a version now. */
  | { event: 'ending' };

export type Action = { action: 'capture'; path: string; stat: FileStat } | { action: 'commit'; save: Save };

export interface Stepped {
  state: Settle;
  actions: Action[];
}

export const atRest: Settle = {
  files: new Map(),
  taken: new Map(),
  same: new Map(),
  unsavedSince: null,
  lastCommitAt: -Infinity,
  notBefore: -Infinity,
  refused: 0,
  reason: '',
  committing: null,
};

/** The next state, and what is to be done now. Captures and commits are answered by events of their own. */
export function step(state: Settle, event: SettleEvent, now: number, times: Times): Stepped {
  switch (event.event) {
    case 'looked':
      return decide(looked(state, event.files, now), now, times);
    case 'captured':
      return decide(captured(state, event, now), now, times);
    case 'committed':
      return { state: committed(state, event.result, now), actions: [] };
    case 'ending':
      return state.taken.size > 0 && state.committing === null ? handOver(state, now, times) : { state, actions: [] };
  }
}

function looked(state: Settle, found: readonly Looked[], now: number): Settle {
  const files = new Map<string, Tracked>();
  const same = new Map<string, FileStat | null>();
  for (const file of found) {
    const known = state.same.get(file.path);
    if (known !== undefined && equal(known, file.stat)) {
      same.set(file.path, known);
      continue;
    }
    const before = state.files.get(file.path);
    const unmoved = before !== undefined && equal(before.stat, file.stat);
    files.set(file.path, { ...file, since: unmoved ? before.since : now });
  }
  const unsavedSince = files.size === 0 ? null : (state.unsavedSince ?? now);
  return { ...state, files, same, unsavedSince };
}

type CapturedEvent = Extract<SettleEvent, { event: 'captured' }>;

function captured(state: Settle, { path, stat, result }: CapturedEvent, now: number): Settle {
  if (result === 'moved') return restart(state, [path], now);
  return { ...state, taken: new Map(state.taken).set(path, { captured: result, stat, at: now }) };
}

function committed(state: Settle, result: Committed, now: number): Settle {
  const save = state.committing;
  const answered = { ...state, committing: null };
  if (save === null) return answered;
  if (result.outcome === 'moved') return restart(answered, result.paths, now);
  if (result.outcome === 'later') {
    const wait = laterMs[Math.min(state.refused, laterMs.length - 1)] ?? 0;
    return { ...answered, notBefore: now + wait, refused: state.refused + 1, reason: result.reason };
  }
  const files = new Map(state.files);
  const same = new Map(state.same);
  for (const path of pathsOf(save)) {
    const settled = save.settled.find((one) => one.path === path)?.stat ?? null;
    const stat = state.taken.has(path) ? (state.taken.get(path)?.stat ?? null) : settled;
    const file = files.get(path);
    if (file !== undefined && equal(file.stat, stat)) files.delete(path);
    same.set(path, stat);
  }
  const unsavedSince = files.size === 0 ? null : now;
  return { ...answered, files, same, taken: new Map(), unsavedSince, lastCommitAt: now, refused: 0, reason: '' };
}

/** These moved: their quiet time begins anew. */
function restart(state: Settle, paths: readonly string[], now: number): Settle {
  const files = new Map(state.files);
  for (const path of paths) {
    const file = files.get(path);
    if (file !== undefined) files.set(path, { ...file, since: now });
  }
  return { ...state, files };
}

function decide(state: Settle, now: number, times: Times): Stepped {
  if (state.committing !== null) return nothing(state);
  const putOff = now < state.notBefore;
  const files = [...state.files.values()];
  const saving = files.filter(({ kind, path, stat }) => kind === 'session' && !isTaken(state, path, stat));
  // A newer save begins while an older one waits for its takes: the older one becomes its version first.
  const overtaken = saving.some(({ path }) => state.taken.has(path));
  if (overtaken && !putOff) return handOver(state, now, times);

  const settled = saving.filter((file) => unitIsQuiet(state, file, now, times));
  if (settled.length > 0) return take(state, settled, now, times);
  if (putOff) return nothing(state);
  if (state.taken.size === 0) return saving.length > 0 ? nothing(state) : mediaOnly(state, now, times);

  const waitedMs = now - Math.min(...[...state.taken.values()].map(({ at }) => at));
  // Small files that the DAW writes along with the session get one more quiet time, takes much more.
  const awaited = files.some(({ kind, ...file }) => {
    if (kind === 'session' || isQuiet({ kind, ...file }, now, times)) return false;
    return waitedMs < (kind === 'media' ? times.growingTakeHoldMs : times.quietMs);
  });
  const otherSession = saving.length > 0 && waitedMs < times.growingTakeHoldMs;
  return awaited || otherSession ? nothing(state) : handOver(state, now, times);
}

/** These sessions are saved: their bytes are captured at once, whatever is waited for afterwards. */
function take(state: Settle, settled: Tracked[], now: number, times: Times): Stepped {
  const taken = new Map(state.taken);
  for (const { path, stat } of settled) if (stat === null) taken.set(path, { captured: 'deleted', stat, at: now });
  const actions = settled.flatMap(({ path, stat }) =>
    stat === null ? [] : [{ action: 'capture' as const, path, stat }],
  );
  return actions.length > 0 ? { state: { ...state, taken }, actions } : decide({ ...state, taken }, now, times);
}

/** New takes without a save: they wait for the next save, but not for ever. */
function mediaOnly(state: Settle, now: number, times: Times): Stepped {
  const due = state.unsavedSince !== null && now - state.unsavedSince >= times.mediaOnlyMs;
  const gap = now - state.lastCommitAt >= times.minCommitGapMs;
  const some = [...state.files.values()].some((file) => isQuiet(file, now, times));
  return due && gap && some ? handOver(state, now, times) : nothing(state);
}

/** One version of all that has settled. */
function handOver(state: Settle, now: number, times: Times): Stepped {
  const others = [...state.files.values()].filter(({ kind }) => kind !== 'session');
  const quiet = others.filter((file) => isQuiet(file, now, times));
  const growing = others.filter((file) => file.kind === 'media' && file.stat !== null && !quiet.includes(file));
  const taken = [...state.taken];
  const gone = taken.flatMap(([path, { captured: one }]) => (one === 'deleted' ? [path] : []));
  const save: Save = {
    captured: taken.flatMap(([, { captured: one }]) => (one === 'deleted' ? [] : [one])),
    settled: quiet.flatMap(({ path, stat }) => (stat === null ? [] : [{ path, stat }])),
    deleted: [...gone, ...quiet.flatMap(({ path, stat }) => (stat === null ? [path] : []))],
    incomplete: taken.length > 0 ? growing.map(({ path }) => path) : [],
  };
  return { state: { ...state, committing: save }, actions: [{ action: 'commit', save }] };
}

/** A package is one document: it is quiet when all of it is. */
function unitIsQuiet(state: Settle, { unit }: Tracked, now: number, times: Times): boolean {
  const parts = [...state.files.values()].filter((file) => file.unit === unit && file.kind !== 'media');
  return parts.every((file) => isQuiet(file, now, times));
}

function isQuiet(file: Tracked, now: number, times: Times): boolean {
  const unmovedMs = now - file.since;
  if (file.busySibling || unmovedMs < (file.kind === 'media' ? times.mediaQuietMs : times.quietMs)) return false;
  return !file.open || (!file.database && unmovedMs >= idleOpenMs);
}

function isTaken(state: Settle, path: string, stat: FileStat | null): boolean {
  const taken = state.taken.get(path);
  return taken !== undefined && equal(taken.stat, stat);
}

const nothing = (state: Settle): Stepped => ({ state, actions: [] });

const pathsOf = (save: Save): string[] => [
  ...[...save.captured, ...save.settled].map(({ path }) => path),
  ...save.deleted,
];

const equal = (a: FileStat | null, b: FileStat | null): boolean =>
  a === null || b === null ? a === b : a.size === b.size && a.mtimeNs === b.mtimeNs && a.ino === b.ino;

export type WatcherState = 'clean' | 'dirty' | 'settling' | 'committing' | 'held';

/** For people and for `status`: what the watcher is doing. */
export function stateName(state: Settle, now: number): { state: WatcherState; detail: string } {
  if (state.committing !== null) return { state: 'committing', detail: 'making a version' };
  if (now < state.notBefore) return { state: 'held', detail: state.reason };
  if (state.taken.size > 0) return { state: 'settling', detail: 'a save waits for its takes' };
  const saving = [...state.files.values()].some(({ kind }) => kind === 'session');
  if (saving) return { state: 'settling', detail: 'a save is being written' };
  return state.files.size > 0 ? { state: 'dirty', detail: 'changes without a save' } : { state: 'clean', detail: '' };
}
