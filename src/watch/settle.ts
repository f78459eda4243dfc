import type { Captured, Committed, Save, Settled } from '../model/save.ts';
import { mediaOnlyDue } from './due.ts';
import {
  completeVersions,
  isCaptured,
  isHeldOpen,
  isTake,
  type Known,
  type Look,
  nothingKnown,
  type Rules,
  settledUnits,
  sortRest,
  track,
  type Version,
} from './known.ts';
import { done, fitsAny, nextSave, takeIn, thatFit, unsettle, withDeletions } from './version.ts';

/**
 * Decides when the DAW has finished a save. Pure: it is fed looks at the files that differ from HEAD, not events, and
 * answers with what to do next.
 *
 *     clean → dirty → settling (capture) → held → committing → clean
 *
 * A session that has settled is captured at once; what is waited for afterwards (a growing take, a file still open) delays
 * only the version. A save that comes meanwhile seals the waiting version, which is then made first, without the take.
 * While a version is made, which takes minutes where there are gigabytes, saves are captured as ever.
 */
export type State = { known: Known } & Slug;

type Slug = Waiting | { slug: 'committing' };

type Waiting =
  | { slug: 'clean' }
  /** Something stirred; what it was is not known yet. */
  | { slug: 'dirty' }
  /** These files are not quiet yet, or have just become so. */
  | { slug: 'settling'; paths: string[] }
  /** What could be captured is; the version waits for these. */
  | { slug: 'held'; why: Why; paths: string[] };

export type Why =
  | 'take-grows'
  | 'file-open'
  /** Media wait for the next save of the session. */
  | 'media-only'
  /** What is left of the disk is kept free for recordings. */
  | 'no-room'
  | 'no-rights'
  /** No version can be made now (a merge, a foreign index.lock): `known.retry`. */
  | 'later';

/** Nothing differs from HEAD, as far as is known. */
export const isIdle = ({ slug }: State): boolean => slug === 'clean' || slug === 'dirty';

export type Event =
  | { type: 'stirred' }
  | ({ type: 'look' } & Look)
  /** The answer to `capture`: what was stored, and what moved. */
  | { type: 'captured'; captured: readonly Captured[]; moved: readonly string[] }
  /** The answer to `commit`. */
  | { type: 'committed'; result: Committed }
  /** We are told to end: what has settled becomes a version now. */
  | { type: 'end' };

export type Action = { do: 'capture'; files: Settled[] } | { do: 'commit'; save: Save };

export interface Step {
  state: State;
  /** To be done now. A capture is answered by its event before the next one; looks go on while a commit is made. */
  action: Action | null;
}

/** With what was captured before this process, and cannot be captured anew. */
export const begin = (overwritten: readonly Version[] = []): State => ({
  slug: 'clean',
  known: { ...nothingKnown, versions: overwritten },
});

/** `now`: ms on a clock that never goes back. */
export function step(rules: Rules, state: State, event: Event, now: number): Step {
  const { known } = state;
  if (event.type === 'stirred') return { state: stirred(state, now), action: null };
  if (event.type === 'look') return decide(rules, track(rules, known, event, now));
  if (event.type === 'captured') return decide(rules, takeIn(known, event.captured, event.moved, now));
  if (event.type === 'end') return decide(rules, { ...known, retry: null, ending: { bytes: rules.times.endBytes } });
  if (known.making === null) throw new Error(`told of a commit while ${state.slug}`);
  return decide(rules, conclude(rules, known, known.making, event.result, now));
}

function stirred(state: State, now: number): State {
  const known = { ...state.known, stirredAt: now };
  return state.slug === 'clean' ? { slug: 'dirty', known } : { ...state, known };
}

function conclude(
  rules: Rules,
  known: Known,
  made: NonNullable<Known['making']>,
  result: Committed,
  now: number,
): Known {
  // What still lies as it was captured is captured anew.
  if (result.outcome === 'lost')
    return later(rules, { ...known, versions: known.versions.slice(1) }, 'what was stored is gone', now);
  if (result.outcome === 'later') return later(rules, known, result.reason, now);
  if (result.outcome === 'moved') {
    const unreadable = new Set([...known.unreadable, ...(result.unreadable ?? [])]);
    const seen = { ...known, unreadable };
    return unsettle(seen, result.paths, now) ?? later(rules, seen, 'files moved', now);
  }
  return done(known, made, now);
}

/**
 * Backs off: 1, 2, 4 … 30 s. In the end there is no later: without its takes it may succeed at once, else what is captured
 * is kept for the next start.
 */
function later({ times }: Rules, known: Known, reason: string, now: number): Known {
  const isWithMore = (known.making?.save.settled ?? []).length > 0;
  if (known.ending !== null && known.ending.bytes > 0 && isWithMore)
    return { ...known, making: null, ending: { bytes: 0 } };
  const tries = (known.retry?.tries ?? 0) + 1;
  const wait = known.ending ? Number.POSITIVE_INFINITY : Math.min(times.lastRetry, times.firstRetry * 2 ** (tries - 1));
  return { ...known, making: null, retry: { tries, at: now + wait, reason } };
}

function decide(rules: Rules, seen: Known): Step {
  const now = seen.lookedAt;
  const before = seen.ending === null ? seen : { ...seen, versions: completeVersions(rules, seen, now) };
  const settled = settledUnits(rules, before, now);
  const wanted = toCapture(before, settled);
  const files = thatFit(before, wanted);
  if (files.length > 0) {
    const during: Slug = before.making ? { slug: 'committing' } : { slug: 'settling', paths: pathsOf(files) };
    return { state: { known: before, ...during }, action: { do: 'capture', files } };
  }
  const known = withDeletions(before, settled, now);
  if (known.making !== null) return { state: { known, slug: 'committing' }, action: null };
  const [version] = known.versions;
  const waiting = version ? whatItWaitsFor(rules, known, version, now) : withoutVersion(rules, known, wanted, now);
  if (waiting !== null) return { state: { known, ...waiting }, action: null };
  const save = nextSave(rules, known, now);
  const paths = [...pathsOf(save.captured), ...pathsOf(save.settled), ...save.deleted];
  if (known.retry !== null && now < known.retry.at)
    return { state: { known, slug: 'held', why: 'later', paths }, action: null };
  const making = { save, of: version ? 'the oldest' : 'media only', since: now } as const;
  return { state: { known: { ...known, making }, slug: 'committing' }, action: { do: 'commit', save } };
}

/** Session files that have settled and are in no version yet. */
function toCapture(known: Known, settled: readonly string[]): Settled[] {
  return settled.flatMap((path) => {
    const file = known.files.get(path);
    return file !== undefined && file.stat !== null && !isCaptured(known, path, file)
      ? [{ path, stat: file.stat }]
      : [];
  });
}

/** What a captured save still waits for; null: nothing. Nothing makes it wait for ever. */
function whatItWaitsFor(rules: Rules, known: Known, version: Version, now: number): Waiting | null {
  if (version.sealed || known.ending !== null) return null;
  const { times } = rules;
  const waited = now - version.since;
  const open = [...version.captured].flatMap(([path, { writing }]) => {
    const file = known.files.get(path);
    return writing && file !== undefined && isHeldOpen(rules, known, path, file, now) ? [path] : [];
  });
  if (open.length > 0) return { slug: 'held', why: 'file-open', paths: open };
  const { moving } = sortRest(rules, known, now);
  const small = [...pathsOf(moving.filter((one) => !isTake(one))), ...uncaptured(known)];
  if (small.length > 0 && waited < times.mediaQuiet) return { slug: 'settling', paths: small };
  const takes = pathsOf(moving.filter(isTake));
  return takes.length > 0 && waited < times.takeHold ? { slug: 'held', why: 'take-grows', paths: takes } : null;
}

/**
 * Without a captured save: is there a session that has yet to settle, or for which there is no room (`settled`), or are
 * there media, and is it time for them?
 */
function withoutVersion(rules: Rules, known: Known, settled: readonly Settled[], now: number): Waiting | null {
  if (settled.length > 0) return { slug: 'held', why: 'no-room', paths: pathsOf(settled) };
  const sessions = uncaptured(known);
  const open = sessions.filter((path) => known.files.get(path)?.database === true && known.open.has(path));
  if (open.length > 0 && open.length === sessions.length) return { slug: 'held', why: 'file-open', paths: open };
  if (sessions.length > 0) return { slug: 'settling', paths: sessions };
  const { ready, moving } = sortRest(rules, known, now);
  const takes = moving.filter(isTake);
  // While a take grows nothing disturbs the disk.
  if (takes.length > 0) return { slug: 'held', why: 'take-grows', paths: pathsOf(takes) };
  // In the end it is time that is short: what is left waits for the next start.
  if (ready.length > 0 && !fitsAny(known, ready))
    return { slug: 'held', why: known.ending === null ? 'no-room' : 'media-only', paths: pathsOf(ready) };
  if (ready.length > 0 && now >= mediaOnlyDue(rules, known, ready)) return null;
  if (moving.length > 0) return { slug: 'settling', paths: pathsOf(moving) };
  if (ready.length > 0) return { slug: 'held', why: 'media-only', paths: pathsOf(ready) };
  if (known.unreadable.size > 0) return { slug: 'held', why: 'no-rights', paths: [...known.unreadable] };
  return { slug: now - known.stirredAt < rules.times.quiet ? 'dirty' : 'clean' };
}

/** Session files that are in no version yet. */
function uncaptured(known: Known): string[] {
  return [...known.files].flatMap(([path, file]) =>
    file.kind === 'session' && !isCaptured(known, path, file) ? [path] : [],
  );
}

const pathsOf = (files: readonly { path: string }[]): string[] => files.map(({ path }) => path);
