import { subjectsOf } from '../commit/history.ts';
import { Failure } from '../model/failures.ts';
import { readAttempts, showQueue, type ShownEntry } from '../queue/attempts.ts';
import { dropEntry, takeBack } from '../queue/drop.ts';
import { lookAtQueue } from '../queue/rebuild.ts';
import { command } from './command.ts';
import { counted, localTime } from './format.ts';
import { pushAll, pushNow } from './push.ts';

const list = command({
  words: 'list',
  describe: 'What is still to be published',
  options: (argv) => argv,
  async run(_, context) {
    const project = await context.project();
    const { entries, dropped, damaged } = await lookAtQueue(project);
    for (const { file, reason } of damaged)
      context.output.warn(`A queue entry was damaged (${reason}) and set aside as ${file}.`);
    const published = project.config.branch;
    const shown = showQueue(entries, await readAttempts(project), published);
    const out = dropped.map(({ id, seq, commit }) => ({ id, seq, commit }));
    const commits = [...shown, ...out].map(({ commit }) => commit);
    const subjects = await subjectsOf(project.root, commits);
    const named = (commit: string) => `${commit.slice(0, 8)}  ${subjects.get(commit) ?? ''}`.trimEnd();
    return {
      data: { entries: shown, dropped: out },
      lines: [
        ...(shown.length === 0 ? [out.length === 0 ? 'Everything is published.' : 'Nothing waits.'] : []),
        ...shown.map(
          (entry) => `${named(entry.commit)}  (${localTime(entry.createdAt)}) ${standing(entry, published)}`,
        ),
        ...new Set(shown.flatMap(reason)),
        ...out.map(
          ({ commit }) =>
            `${named(commit)}  taken out of the queue; to put it back: oxenvcs queue retry ${commit.slice(0, 8)}`,
        ),
      ],
    };
  },
});

/** Where an entry stands, for somebody who makes music: the words of `--json` are for scripts. */
function standing({ kind, state, branch }: ShownEntry, published: string): string {
  if (kind === 'intent') return 'was begun on while nobody could be asked for the lock';
  const to = kind === 'rescue' ? `, to go to ${branch}` : '';
  if (kind === 'publish' && branch !== published)
    return `stays here: it is of ${branch}, and ${published} is published`;
  switch (state) {
    case 'pending':
    case 'waiting':
      return `waits to be published${to}`;
    case 'working':
      return `is being published${to}`;
    case 'failed':
      return `could not be published yet${to}`;
    case 'halted':
      return `is not published${to}`;
  }
}

/** Most entries have failed for the same reason: it is said once. */
function reason({ state, nextAttemptAt, lastError }: ShownEntry): string[] {
  if (lastError === null) return [];
  const next =
    state === 'halted'
      ? ' When that is mended: oxenvcs queue retry'
      : nextAttemptAt
        ? ` It is tried again by itself: ${localTime(nextAttemptAt)}.`
        : '';
  return [`⚠ ${lastError.message}${next}`];
}

const sync = command({
  words: 'sync',
  describe: 'Publish what waits, now',
  options: (argv) => argv,
  run: async (_, context) => (await pushAll(await context.project(), context)).answer,
});

const retry = command({
  words: 'retry [id]',
  describe: 'Try again now what has failed or was halted: one entry, with what goes out together with it, or all',
  options: (argv) => argv.positional('id', { type: 'string', describe: 'As `queue list` shows it (default: all)' }),
  async run({ id }, context) {
    const project = await context.project();
    if (id === undefined) return await pushNow(project, context);
    const { kind, branch, ...entry } = await takeBack(project, id);
    const published = project.config.branch;
    if (kind === 'publish' && branch !== published)
      throw new Failure('usage', {
        detail: `${id} is a version of ${branch}, and the settings publish ${published}`,
        command: 'queue list',
      });
    return await pushNow(project, context, kind === 'intent' ? undefined : entry.id);
  },
});

const drop = command({
  words: 'drop <id>',
  describe: 'Take one entry out of the queue; its version stays in the history here',
  options: (argv) =>
    argv
      .positional('id', { type: 'string', demandOption: true, describe: 'As `queue list` shows it' })
      .option('force', { type: 'boolean', default: false, describe: 'Yes, it shall not be published by itself' }),
  async run({ id, force }, context) {
    if (!force)
      throw new Failure('usage', {
        detail: 'It would not be published by itself any more; if that is what you want, add --force',
        command: 'queue drop',
      });
    const { entry, later } = await dropEntry(await context.project(), id, context.clock.now(), 10_000);
    const name = entry.commit.slice(0, 8);
    return {
      data: { outcome: 'dropped', id: entry.id, commit: entry.commit, kind: entry.kind, branch: entry.branch, later },
      lines: [`✓ ${name} is out of the queue.`, ...meaning(entry.kind, name, later)],
    };
  },
});

function meaning(kind: ShownEntry['kind'], name: string, later: number): string[] {
  if (kind === 'intent') return ['It only noted that work began while the remote could not be asked for the lock.'];
  const kept = 'Nothing is deleted: the version stays here.';
  if (later > 0)
    return [
      `${kept} ${counted(later, 'later version')} that ${later === 1 ? 'waits' : 'wait'} build on it and will take it along.`,
    ];
  return [`${kept} It is published only with a later one that builds on it, or after \`oxenvcs queue retry ${name}\`.`];
}

export const queue = {
  words: 'queue',
  describe: 'What is still to be published',
  commands: [list, sync, retry, drop],
};
