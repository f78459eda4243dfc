import { pastVersions } from '../commit/history.ts';
import { remoteKind } from '../setup/remote.ts';
import { command } from './command.ts';
import { howMany, localTime } from './format.ts';

export const log = command({
  words: 'log',
  describe: 'Show the versions',
  options: (argv) =>
    argv.option('limit', { type: 'number', default: 50, describe: 'How many at the most', requiresArg: true }),
  async run({ limit: most }, context) {
    const limit = howMany(most, 'limit', 'log');
    const project = await context.project();
    const versions = await pastVersions(project, { limit, vault: (await remoteKind(project)) === 'vault' });
    return {
      data: { versions },
      lines: versions.map(({ commit, at, author, message, published, incomplete }) => {
        const where = published ? '' : '  (only here)';
        return `${commit.slice(0, 8)}  ${localTime(at)}  ${author}  ${message}${incomplete ? '  (incomplete)' : ''}${where}`;
      }),
    };
  },
});
