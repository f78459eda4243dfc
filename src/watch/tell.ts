import type { Failure } from '../model/failures.ts';
import { growingTakes, type Rules } from './known.ts';
import { isIdle, type State, type Why } from './settle.ts';

/** What is told on the way. */
export type WatchEvent =
  /** The first sign of a change since all was clean: somebody works here. */
  | { event: 'changed'; paths: string[] }
  /** For people and for `status`: the contract's word for the watcher's state, and what it waits for; `again`: as was told before. */
  | { event: 'state'; state: State['slug']; why: Why | null; detail: string; again: boolean }
  /** Takes that grow, to be left in peace; none: it is over. */
  | { event: 'recording'; takes: string[] }
  /** File events cannot be relied on; the folder is looked at from time to time. */
  | { event: 'scanning'; reason: string }
  /** Something failed; it is tried again. */
  | { event: 'trouble'; failure: Failure };

/** Tells what a change of the state means, in the order in which it happens. */
export function teller(rules: Rules, tell: (event: WatchEvent) => void): (before: State, after: State) => void {
  let isRecording = false;
  let waited: string | null = null;
  return (before, after) => {
    if (isIdle(before) && !isIdle(after)) tell({ event: 'changed', paths: [...after.known.files.keys()] });
    const takes = growingTakes(rules, after.known).map(({ path }) => path);
    if (takes.length > 0 !== isRecording) tell({ event: 'recording', takes });
    isRecording = takes.length > 0;
    // A save that comes while something is waited for interrupts the wait, but ends it no more than the version does.
    const wait = waitOf(after);
    const again = wait !== null && wait === waited;
    waited = after.slug === 'clean' ? null : (wait ?? waited);
    if (before.slug === after.slug && detailOf(before) === detailOf(after)) return;
    const why = after.slug === 'held' ? after.why : null;
    tell({ event: 'state', state: after.slug, why, detail: detailOf(after), again });
  };
}

/** What is waited for, for people. */
const waits: Record<Exclude<Why, 'later'>, string> = {
  // Meanwhile the publisher and the tidying are held.
  'take-grows': 'audio is being written, nothing is sent meanwhile',
  'file-open': 'still open in another program',
  'media-only': 'for the next save',
  'no-room': 'for room on the disk',
  'no-rights': 'for the right to read',
};

/** What the watcher does, in words that fit behind "Waiting:"; empty where there is nothing to say. */
export function detailOf(state: State): string {
  if (state.slug === 'settling') return `being written: ${named(state.paths)}`;
  if (state.slug === 'committing') return 'making a version';
  if (state.slug !== 'held') return '';
  return state.why === 'later' ? (state.known.retry?.reason ?? '') : `${waits[state.why]}: ${named(state.paths)}`;
}

/** What is waited for, where each new wait is told once: a recording is one, however many of its takes grow just now. Null: nothing. */
function waitOf(state: State): string | null {
  if (state.slug !== 'held') return null;
  return state.why === 'take-grows' ? state.why : detailOf(state);
}

/** One name stands for all, so that a long import is not told file by file. */
function named([first, ...more]: string[]): string {
  const name = first === undefined ? 'files' : first.slice(first.lastIndexOf('/') + 1).replace(/\p{Cc}+/gu, ' ');
  return more.length === 0 ? name : `${name} and ${more.length} more`;
}
