import type { Settled } from '../model/save.ts';
import { sameStat } from '../system/stat.ts';
import { isHeldOpen, isQuiet, type Known, type Look, type Named, type Rules, sortRest } from './known.ts';
import { thatFit } from './version.ts';

/** What is worth asking, and when. Pure. */

/** When settled media, without a save of the session, become a version of their own. */
export function mediaOnlyDue({ times }: Rules, known: Known, ready: readonly Named[]): number {
  if (known.ending !== null) return Number.NEGATIVE_INFINITY;
  const oldest = ready.reduce((least, { file }) => Math.min(least, file.since), Number.POSITIVE_INFINITY);
  return Math.max(oldest + times.mediaOnly, known.mediaOnlyAt + times.mediaGap);
}

/** The files of which it matters whether they are open for writing: those that lie still. */
export function inQuestion(known: Known, files: Look['files'], now: number): string[] {
  return [...known.files].flatMap(([path, file]) => {
    const stat = files.get(path) ?? null;
    return stat !== null && sameStat(stat, file.stat) && isQuiet(file, now) ? [path] : [];
  });
}

/** Sessions that will have settled in a moment, unless they change. */
export function aboutToSettle({ times }: Rules, known: Known): Settled[] {
  const now = known.lookedAt;
  const soon = [...known.files].flatMap(([path, file]) => {
    if (file.kind !== 'session' || file.stat === null || file.database) return [];
    return now - file.since >= file.quiet - times.ahead && !isQuiet(file, now) ? [{ path, stat: file.stat }] : [];
  });
  return thatFit(known, soon);
}

interface Waited {
  slug: string;
  why?: string;
  known: Known;
}

/**
 * When the next look can tell something new; null: not before something stirs. Counted from the last look, not from when
 * this is asked: what became quiet between the two was not seen to be so, and is due at once.
 */
export function nextLook(rules: Rules, { slug, why, known }: Waited): number | null {
  const { times } = rules;
  const now = known.lookedAt;
  let next = Number.POSITIVE_INFINITY;
  const due = (at: number) => {
    if (at > now && at < next) next = at;
  };
  for (const [path, file] of known.files) {
    due(file.since + file.quiet);
    if (file.kind === 'session') due(file.since + file.quiet - times.ahead);
    if (!isQuiet(file, now)) due(now + times.look);
    if (!isHeldOpen(rules, known, path, file, now)) continue;
    due(file.since + times.openPatience);
    due(now + times.quiet);
  }
  for (const { since } of known.temporary.values()) due(since + times.mediaQuiet);
  const [version] = known.versions;
  if (version !== undefined) {
    due(version.since + times.mediaQuiet);
    due(version.since + times.takeHold);
  }
  if (known.making !== null) due(known.making.since + times.moment);
  if (known.retry !== null) due(known.retry.at);
  due(mediaOnlyDue(rules, known, sortRest(rules, known, now).ready));
  if (slug === 'dirty') due(now + times.look);
  // Nobody tells when there is room again.
  if (why === 'no-room') due(now + times.lastRetry);
  return next === Number.POSITIVE_INFINITY ? null : next;
}
