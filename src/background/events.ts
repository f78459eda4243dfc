import { localTime } from '../model/failures.ts';
import { counted, listed } from '../model/words.ts';
import type { WatchEvent } from '../watch/tell.ts';
import type { KeeperEvent } from './keeper.ts';
import type { LeftOutEvent } from './large-files.ts';
import type { NameEvent } from './names.ts';
import type { NewsEvent } from './news.ts';
import type { PublisherEvent } from './publisher.ts';
import type { DiskEvent } from './room.ts';
import type { TidyEvent } from './tidy.ts';

/** What is told on a save's way, and how it is said. */
export type PipelineEvent =
  | WatchEvent
  | PublisherEvent
  | Exclude<NewsEvent, { event: 'let-in' }>
  | LeftOutEvent
  | DiskEvent
  | NameEvent
  | TidyEvent
  | Exclude<KeeperEvent, { event: 'opened' }>
  | { event: 'watching'; project: string; daw: string }
  | { event: 'version'; commit: string; message: string }
  /** Until that time; null: until told. */
  | { event: 'paused'; until: string | null }
  | { event: 'resumed' }
  | { event: 'stopped' };

/**
 * Gives on what is news: who has the lock is told once, be it seen on the remote or met when work began, and so is what the
 * remote turns down, and a trouble that several of those at work meet. What is told of the versions that wait is news of its own.
 */
export function newsOnly(tell: (event: PipelineEvent) => void): (event: PipelineEvent) => void {
  let holder: string | null = null;
  let turnedDown: string | null = null;
  let trouble: string | null = null;
  return (event) => {
    if (event.event === 'lock-elsewhere' && event.failure.message === holder) return;
    if (event.event === 'trouble' && [turnedDown, trouble].includes(event.failure.message)) return;
    if (event.event === 'trouble') trouble = event.failure.message;
    // It is over: what comes after that is news.
    if (event.event === 'version' || event.event === 'published') trouble = null;
    if (event.event === 'lock-elsewhere' || event.event === 'waiting') holder = event.failure.message;
    if (event.event === 'lock-free' || event.event === 'locked') holder = null;
    if (event.event === 'not-published') turnedDown = event.failure.message;
    if (event.event === 'published') turnedDown = null;
    tell(event);
  };
}

/** One line for people, or null where nothing is worth saying. */
export function describeEvent(event: PipelineEvent): string | null {
  switch (event.event) {
    case 'watching':
      return `Watching ${event.project} (${event.daw}).`;
    case 'trouble':
      // Whoever watches it says so.
      if (event.failure.row === 'folder-vanished') return null;
      if (event.failure.row === 'config-invalid')
        return `⚠ ${event.failure.message} The former settings stay in force. ${event.failure.hint}`;
      return `⚠ ${event.failure.message} It is tried again by itself.`;
    case 'version':
      return `✓ ${event.message}  (${event.commit.slice(0, 8)})`;
    case 'locked':
      return event.outcome === 'taken-over'
        ? '🔒 You took over a lock that nobody used any more.'
        : '🔒 You have the lock.';
    case 'published':
      if (event.rescue === null) return `↑ ${counted(event.versions, 'version')} published.`;
      return event.waits
        ? `↑ ${counted(event.versions, 'version')} kept on the remote as ${event.rescue} meanwhile, and here.`
        : `⚠ The team went on without this: ${counted(event.versions, 'version')} kept on the remote as ${event.rescue}, and here. Speak with the others, and see \`oxenvcs conflict list\`.`;
    case 'waiting':
      return event.versions === 0
        ? `${event.failure.message} What you save is kept here until it is free.`
        : `${event.failure.message} ${counted(event.versions, 'version')} kept here until it is free.`;
    case 'not-published': {
      const next = event.retryMs === null ? event.failure.hint : 'It is tried again by itself.';
      const isSaid = event.versions === 0 || next.startsWith('Your versions are ');
      const kept = isSaid ? '' : `${counted(event.versions, 'version')} kept here. `;
      return `⚠ ${event.failure.message} ${kept}${next}`;
    }
    case 'state':
      return event.state === 'held' && !event.again ? `Waiting: ${event.detail}.` : null;
    case 'scanning':
      return `⚠ File events cannot be relied on here (${event.reason}); the folder is looked at from time to time instead.`;
    case 'paused':
      return `Paused: no versions, nothing sent, until ${event.until === null ? '`oxenvcs resume`' : localTime(event.until)}.`;
    case 'resumed':
      return 'It goes on.';
    case 'stopped':
      return 'Stopped.';
    case 'lock-lost':
    case 'left-out':
    case 'disk':
    case 'odd-name':
      return `⚠ ${event.failure.message} ${event.failure.hint}`;
    case 'lock-moved':
      return `🔒 The lock went to where you work now, another folder of this project on ${event.host}.`;
    case 'lock-released':
      return 'The lock was given back: all is published, and nobody works here.';
    case 'lock-idle':
      return 'Nobody has worked here for hours: the lock is left to run out, so that the others are not locked out.';
    case 'team-published':
      return `${listed(event.authors) || 'The team'} published ${event.versions === 1 ? 'a new version' : `${event.versions} new versions`}.`;
    case 'brought-in':
      return `↓ ${counted(event.versions, 'version')} of the team brought in.`;
    case 'not-brought-in':
      return event.failure.row === 'daw-runs'
        ? `Not brought in yet: ${event.failure.message} That is done by itself when it is closed.`
        : `Not brought in yet: ${event.failure.message} ${event.failure.hint}`;
    case 'rescued-elsewhere':
      return `⚠ ${event.author}’s versions could not go onto the team’s branch; they are kept on the remote as ${event.branch}. See \`oxenvcs conflict list\`.`;
    case 'lock-elsewhere':
      return event.failure.message;
    case 'lock-free':
      return 'The lock is free again.';
    case 'tidied':
    case 'transfer':
    case 'recording':
    case 'changed':
      return null;
  }
}
