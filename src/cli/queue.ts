import { readAttempt, showQueue } from '../queue/attempts.ts';
import { rebuildQueue } from '../queue/rebuild.ts';
import { isoTime } from '../system/clock.ts';
import { command } from './command.ts';
import { pushNow } from './push.ts';

const list = command({
  words: 'list',
  describe: 'What is still to be published',
  options: (argv) => argv,
  async run(_, context) {
    const project = await context.project();
    const { entries, damaged } = await rebuildQueue(project, isoTime(context.clock.now()));
    for (const { file, reason } of damaged)
      context.output.warn(`A queue entry was damaged (${reason}) and set aside as ${file}.`);
    const shown = showQueue(entries, await readAttempt(project));
    return {
      data: { entries: shown },
      lines:
        shown.length === 0
          ? ['Everything is published.']
          : shown.map(({ id, state, createdAt, lastError }) =>
              `${id}  ${state}  ${createdAt}  ${lastError?.message ?? ''}`.trimEnd(),
            ),
    };
  },
});

const sync = command({
  words: 'sync',
  describe: 'Publish what waits, now',
  options: (argv) => argv,
  run: async (_, context) => await pushNow(await context.project(), context),
});

export const queue = { words: 'queue', describe: 'What is still to be published', commands: [list, sync] };
