import type { State, Why } from './settle.ts';

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
export function waitOf(state: State): string | null {
  if (state.slug !== 'held') return null;
  return state.why === 'take-grows' ? state.why : detailOf(state);
}

/** One name stands for all, so that a long import is not told file by file. */
function named([first, ...more]: string[]): string {
  const name = first === undefined ? 'files' : first.slice(first.lastIndexOf('/') + 1).replace(/\p{Cc}+/gu, ' ');
  return more.length === 0 ? name : `${name} and ${more.length} more`;
}
