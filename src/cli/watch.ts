import { findDaw } from '../setup/find-daw.ts';
import { describeEvent, type PipelineEvent } from '../background/events.ts';
import { watchAndPublish } from '../pipeline.ts';
import { findProject } from '../project/project.ts';
import { command } from './command.ts';
import { describeTransfer } from './transfer.ts';

export const watch = command({
  words: 'watch [dir]',
  describe: 'Watch a project: every save is versioned, locked, queued and published',
  options: (argv) =>
    argv.positional('dir', { type: 'string', describe: 'The project (default: searched upwards from here)' }),
  async run({ dir }, context) {
    const project = await findProject(context.folder(dir));
    const profile = await findDaw(project.root, project.config.daw);
    await watchAndPublish(project, profile, {
      clock: context.clock,
      signal: context.signal,
      tell: (event) => {
        if (event.event === 'transfer') return context.output.progress(describeTransfer(event), plainEvent(event));
        const line = describeEvent(event);
        // An event that is no news for people is one for programs all the same.
        if (line !== null || context.output.streams)
          context.output.tell(`${clockTime(context.clock.now())}  ${line}`, plainEvent(event));
      },
    });
    return { data: { project: project.root, outcome: 'stopped' }, lines: [] };
  },
});

const plainEvent = (event: PipelineEvent): { event: string; [key: string]: unknown } =>
  'failure' in event ? { ...event, failure: event.failure.toJSON() } : { ...event };

const clockTime = (ms: number): string => new Date(ms).toLocaleTimeString('sv-SE');
