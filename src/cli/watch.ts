import { findDaw } from '../setup/find-daw.ts';
import { describeEvent, type PipelineEvent } from '../background/events.ts';
import { type Connection, reachDaemon } from '../control/client.ts';
import { letGoMs } from '../control/protocol.ts';
import { keepWatched } from '../pipeline.ts';
import { openProject } from '../project/project.ts';
import { command } from './command.ts';
import { describeTransfer } from './transfer.ts';

export const watch = command({
  words: 'watch [dir]',
  describe: 'Watch a project: every save is versioned, locked, queued and published',
  options: (argv) =>
    argv.positional('dir', { type: 'string', describe: 'The project (default: searched upwards from here)' }),
  async run({ dir }, context) {
    const { clock, signal, output } = context;
    const { root } = await context.project(dir);
    const tell = (line: string | null, event: { event: string; [key: string]: unknown }) => {
      // An event that is no news for people is one for programs all the same.
      if (line !== null || output.streams) output.tell(`${clockTime(clock.now())}  ${line}`, event);
    };
    const lent = await borrow(root);
    if (lent !== null) tell('The background process leaves this project to you until this ends.', { event: 'lent' });
    const open = async () => {
      const project = await openProject(root);
      return { project, profile: await findDaw(root, project.config.daw) };
    };
    try {
      await keepWatched(open, {
        clock,
        signal,
        tell: (event) => {
          if (event.event === 'transfer') return output.progress(describeTransfer(event), plainEvent(event));
          const hint = event.event === 'watching' ? ' Ctrl-C ends it.' : '';
          const line = describeEvent(event);
          tell(line && line + hint, plainEvent(event));
        },
      });
    } finally {
      lent?.close();
    }
    return { data: { project: root, outcome: 'stopped' }, lines: [] };
  },
});

/** While the connection stands the background process leaves the project alone. Null: there is none that answers. */
async function borrow(root: string): Promise<Connection | null> {
  const reached = await reachDaemon();
  if (reached.outcome !== 'connected') return null;
  const { connection } = reached;
  try {
    await connection.ask({ do: 'borrow', root }, letGoMs);
    return connection;
  } catch (error) {
    connection.close();
    throw error;
  }
}

const plainEvent = (event: PipelineEvent): { event: string; [key: string]: unknown } =>
  'failure' in event ? { ...event, failure: event.failure.toJSON() } : { ...event };

const clockTime = (ms: number): string => new Date(ms).toLocaleTimeString('sv-SE');
