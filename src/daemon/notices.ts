import path from 'node:path';
import { describeEvent, type PipelineEvent } from '../background/events.ts';
import type { Clock } from '../system/clock.ts';
import type { Notice } from '../system/notify.ts';

/**
 * What of all that happens a person is told who is making music: what they must know before they go on, once each. A lock that
 * comes and goes within `settleMs` (somebody's push by hand) is nothing; and never more than `most` in a minute.
 */

const settleMs = 20_000;
const most = 5;
const minuteMs = 60_000;
/** So many are known as shown. */
const remembered = 1000;
/** Whoever publishes at every save is told once in so long (ms): who has the lock is known, and the log has each. */
const teamMs = 30 * minuteMs;

interface Words {
  /** The same again is no news. */
  key: string;
  /** It is news again after so long, ms; not given: never. */
  forMs?: number;
  body: string;
}

/** What is worth a notice of its own; null: nothing. Pure. */
export function wordsFor(event: PipelineEvent): Words | null {
  const said = (describeEvent(event) ?? '').replace(/^[^\p{L}\p{N}]+/u, '');
  switch (event.event) {
    case 'waiting':
      return { key: `waits ${holding(event.failure.details)}`, body: said };
    case 'lock-elsewhere':
      return { key: `taken ${holding(event.failure.details)}`, body: said };
    case 'lock-free':
      return { key: 'free', body: said };
    case 'lock-lost':
      return { key: `lost ${event.failure.message}`, body: said };
    case 'team-published':
      return { key: `team ${event.authors.join()}`, forMs: teamMs, body: said };
    case 'rescued-elsewhere':
      return { key: `rescued ${event.id}`, body: said };
    case 'published':
      return event.rescue === null || event.waits ? null : { key: `rescue ${event.rescue}`, body: said };
    case 'not-published':
      return event.retryMs === null ? { key: `halted ${event.failure.message}`, body: said } : null;
    case 'disk':
      return { key: `disk ${event.failure.row}`, body: said };
    case 'left-out':
      return { key: `large ${event.path}`, body: said };
    // It goes by itself, or it is what the person has just done.
    case 'brought-in':
    case 'changed':
    case 'lock-idle':
    case 'lock-moved':
    case 'lock-released':
    case 'locked':
    case 'not-brought-in':
    case 'odd-name':
    case 'paused':
    case 'recording':
    case 'resumed':
    case 'scanning':
    case 'state':
    case 'stopped':
    case 'tidied':
    case 'transfer':
    case 'trouble':
    case 'version':
    case 'watching':
      return null;
  }
}

const holding = (details: { [name: string]: unknown }): string =>
  `${String(details['name'])} ${String(details['since'])}`;

export interface Notices {
  take: (root: string, event: PipelineEvent) => void;
  /** Ends the waits; what waits is not shown. */
  stop: () => void;
}

export function makeNotices(clock: Clock, show: (notice: Notice) => void): Notices {
  const stopped = new AbortController();
  /** When (monotonic, ms). */
  const shown = new Map<string, number>();
  /** By project: that somebody has taken the lock, not shown yet. */
  const taken = new Map<string, AbortController>();
  /** Projects whose person knows that somebody else has the lock: they want to know that it is free again. */
  const waiting = new Set<string>();
  let recent: number[] = [];

  const put = (root: string, { key, forMs = Infinity, body }: Words): void => {
    const id = `${root}\0${key}`;
    const now = clock.monotonic();
    if (now - (shown.get(id) ?? -Infinity) < forMs) return;
    shown.delete(id); // the newest is the last
    shown.set(id, now);
    // It runs for months.
    for (const oldest of shown.keys()) if (shown.size > remembered) shown.delete(oldest);
    recent = recent.filter((at) => now - at < minuteMs);
    recent.push(now);
    if (recent.length < most) show({ title: path.basename(root), body });
    if (recent.length === most) show({ title: 'oxenvcs', body: 'More has happened: see `oxenvcs daemon logs`.' });
  };
  /** Somebody who gives it back at once was never there. */
  const putLater = (root: string, words: Words): void => {
    const wait = new AbortController();
    taken.get(root)?.abort();
    taken.set(root, wait);
    clock.sleep(settleMs, AbortSignal.any([wait.signal, stopped.signal])).then(
      () => {
        taken.delete(root);
        waiting.add(root);
        put(root, words);
      },
      () => undefined, // given back, or ended
    );
  };

  return {
    take(root, event) {
      // The next time that it is turned down is another time.
      if (event.event === 'published')
        for (const id of shown.keys()) if (id.startsWith(`${root}\0halted `)) shown.delete(id);
      const words = wordsFor(event);
      if (words === null) return;
      if (event.event === 'lock-elsewhere') return putLater(root, words);
      if (event.event === 'lock-free') {
        taken.get(root)?.abort();
        taken.delete(root);
        if (!waiting.delete(root)) return;
        // It may be taken, and be free, many times.
        shown.delete(`${root}\0${words.key}`);
        return put(root, words);
      }
      if (event.event === 'waiting') {
        // Who has it and since when is said by this one, too.
        taken.get(root)?.abort();
        taken.delete(root);
        waiting.add(root);
      }
      put(root, words);
    },
    stop: () => stopped.abort(),
  };
}
