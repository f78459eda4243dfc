import type { Conflict } from '../conflict/open.ts';
import { Failure } from '../model/failures.ts';
import { findDaw } from '../setup/find-daw.ts';
import { conflictsOf, resolveConflict } from '../sync/conflicts.ts';
import { askTeam } from '../sync/team.ts';
import { command } from './command.ts';
import { localTime } from './format.ts';
import { withRetries } from './retries.ts';

const list = command({
  words: 'list',
  describe: 'Work that two people did at once, and that waits for a decision',
  options: (argv) => argv,
  async run(_, context) {
    const project = await context.project();
    // What is known from before is told as well while the remote is away.
    await askTeam(project, context.signal).catch((error: unknown) => {
      if (!(error instanceof Failure && error.code === 'OFFLINE')) throw error;
      context.output.warn(`${error.message} This is what is known from before.`);
    });
    const conflicts = await conflictsOf(project);
    const { branch } = project.config;
    return {
      data: { conflicts: conflicts.map((one) => shownConflict(one, branch)) },
      lines: conflicts.length === 0 ? ['There is no conflict.'] : conflicts.flatMap(describe),
    };
  },
});

/** As `conflict list --json` gives it. */
const shownConflict = ({ id, rescue, files, mine, theirs }: Conflict, branch: string) => ({
  id,
  branch,
  rescue,
  files,
  mine,
  theirs,
});

/** As a problem, in one sentence and with what to do. */
export const conflictFailure = ({ id, files, mine, theirs }: Conflict): Failure =>
  new Failure('conflict', {
    id,
    mine: mine.author,
    theirs: theirs.author,
    files: files.length > 3 ? `${files.length} files` : files.join(', '),
  });

function describe({ id, isOurs, files, mine, theirs }: Conflict): string[] {
  const others = isOurs
    ? 'it is what the team went on with'
    : 'it could not go onto the team’s branch, and is kept aside';
  const yours = isOurs ? 'it is in this folder, and kept aside on the remote' : 'it is what the team went on with';
  const shown = files.map((name) => name.replace(/\p{Cc}+/gu, ' '));
  return [
    `${id}  ${mine.author} and ${theirs.author} have both worked on:`,
    ...shown.map((name) => `    ${name}`),
    `  mine    ${mine.author}, ${localTime(mine.at)} (${mine.commit.slice(0, 8)}): ${yours}`,
    `  theirs  ${theirs.author}, ${localTime(theirs.at)} (${theirs.commit.slice(0, 8)}): ${others}`,
    '  Keep one, or both side by side:',
    `    oxenvcs conflict resolve ${id} --keep mine|theirs|both`,
  ];
}

const resolve = command({
  words: 'resolve <id>',
  describe: 'End a conflict: keep one of the two versions, or both side by side',
  options: (argv) =>
    argv
      .positional('id', { type: 'string', demandOption: true, describe: 'As `conflict list` shows it' })
      .option('keep', {
        choices: ['mine', 'theirs', 'both'] as const,
        demandOption: true,
        describe: 'mine: as it is here. theirs: the other one. both: the other one as a copy beside mine',
      }),
  async run({ id, keep }, context) {
    const { clock, signal } = context;
    const project = await context.project();
    const profile = await findDaw(project.root, project.config.daw);
    const { value, attempts } = await withRetries(
      project,
      context,
      'conflict resolve',
      async () => await resolveConflict(project, id, keep, { clock, signal, profile, retry: context.retry }),
    );
    const { conflict, commit, notBroughtIn } = value;
    const kept =
      keep === 'both'
        ? 'both are kept, side by side.'
        : `${conflict[keep].author}’s is kept; the other one stays in the history.`;
    if (notBroughtIn !== null)
      context.output.warn(`It is not in this folder yet: ${notBroughtIn.message} ${notBroughtIn.hint}`);
    return {
      data: { outcome: 'resolved', id, keep, commit, broughtIn: notBroughtIn === null, attempts },
      lines: [`✓ Resolved: ${kept}`],
    };
  },
});

export const conflict = {
  words: 'conflict',
  describe: 'Work that two people did at once',
  commands: [list, resolve],
};
