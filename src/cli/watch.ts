import path from 'node:path';
import { findDaw } from '../setup/find-daw.ts';
import { type PipelineEvent, watchAndPublish } from '../pipeline.ts';
import { findProject } from '../project/project.ts';
import { command } from './command.ts';
import { counted } from './format.ts';

export const watch = command({
  words: 'watch [dir]',
  describe: 'Watch a project: every save is versioned, locked, queued and published',
  options: (argv) =>
    argv.positional('dir', { type: 'string', describe: 'The project (default: searched upwards from here)' }),
  async run({ dir }, context) {
    const project = await findProject(path.resolve(context.cwd, dir ?? context.start));
    const profile = await findDaw(project.root, project.config.daw);
    await watchAndPublish(project, profile, {
      clock: context.clock,
      signal: context.signal,
      tell: (event) => {
        const line = describeEvent(event);
        // An event that is no news for people is one for programs all the same.
        if (line !== null || context.output.streams)
          context.output.tell(`${clockTime(context.clock.now())}  ${line}`, plainEvent(event));
      },
    });
    return { data: { project: project.root, outcome: 'stopped' }, lines: [] };
  },
});

/** One line for people, or null where nothing is worth saying. */
export function describeEvent(event: PipelineEvent): string | null {
  switch (event.event) {
    case 'watching':
      return `Watching ${event.project} (${event.daw}). Ctrl-C ends it.`;
    case 'trouble':
      return `⚠ ${event.failure.message} It is tried again by itself.`;
    case 'version':
      return `✓ ${event.message}  (${event.commit.slice(0, 8)})`;
    case 'locked':
      return event.outcome === 'taken-over' ? '🔒 You took over a lock that had run out.' : '🔒 You have the lock.';
    case 'published':
      return event.rescue === null
        ? `↑ ${counted(event.versions, 'version')} published.`
        : `⚠ The team went on without this: ${counted(event.versions, 'version')} kept on the remote as ${event.rescue}, and here. Speak with the others, then join the two.`;
    case 'waiting':
      return event.versions === 0
        ? event.failure.message
        : `${event.failure.message} ${counted(event.versions, 'version')} kept here until it is free.`;
    case 'not-published': {
      const kept = `${counted(event.versions, 'version')} kept here`;
      const next = event.retryMs === null ? event.failure.hint : 'It is tried again by itself.';
      return `⚠ ${event.failure.message} ${kept}. ${next}`;
    }
    case 'state':
      return event.state === 'held' ? `Waiting: ${event.detail}.` : null;
    case 'scanning':
      return `⚠ File events cannot be relied on here (${event.reason}); the folder is looked at from time to time instead.`;
    case 'stopped':
      return 'Stopped.';
    case 'lock-lost':
    case 'left-out':
      return `⚠ ${event.failure.message} ${event.failure.hint}`;
    case 'lock-released':
      return 'The lock was given back: nobody has worked here for a while, and all is published.';
    case 'lock-idle':
      return 'Nobody has worked here for hours: the lock is left to run out, so that the others are not locked out.';
    case 'team-published':
      return 'The team published a new version. Bring it in with `oxenvcs pull` when your DAW is closed.';
    case 'rescued-elsewhere':
      return `Somebody’s versions could not go onto the team’s branch; they are kept on the remote as ${event.branch}. Speak with them before you go on.`;
    case 'changed':
      return null;
  }
}

const plainEvent = (event: PipelineEvent): { event: string; [key: string]: unknown } =>
  'failure' in event ? { ...event, failure: event.failure.toJSON() } : { ...event };

const clockTime = (ms: number): string => new Date(ms).toLocaleTimeString('sv-SE');
