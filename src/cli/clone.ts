import { loadConfig } from '../project/project.ts';
import { Failure, type FailureName } from '../model/failures.ts';
import { redact } from '../git/redact.ts';
import { clone as cloneInto, nameFrom } from '../setup/clone.ts';
import { addressOf } from '../setup/remote.ts';
import { command } from './command.ts';
import { setUpFolder } from './init.ts';
import { withRetries } from './retries.ts';

export const clone = command({
  words: 'clone <url> [dir]',
  describe: 'Get a team’s project onto this computer, ready to work',
  options: (argv) =>
    argv
      .positional('url', { type: 'string', demandOption: true, describe: 'The address of the team’s Git repository' })
      .positional('dir', { type: 'string', describe: 'The folder for it (default: the name in the address)' }),
  async run({ url, dir }, context) {
    const root = context.folder(dir ?? nameFrom(url));
    const address = await addressOf(url, context.cwd, root);
    const config = await loadConfig(root);
    context.output.tell(`Getting ${redact(address)}…`, { event: 'cloning', url: redact(address), project: root });
    let told = 0;
    const onProgress = (line: string) => {
      const [, percent = '', bytes = ''] = /^Receiving objects:\s+(\d+)% \(.*?\)(?:, ([\d.]+ \w+))?/.exec(line) ?? [];
      // Now and then is enough: it may take an hour.
      if (percent === '' || Number(percent) < told + 10) return;
      told = Number(percent);
      context.output.tell(`  ${percent} %${bytes === '' ? '' : `, ${bytes}`}`, { event: 'received', percent: told });
    };
    const get = withRetries({ config }, context, 'clone', async () => {
      told = 0;
      await cloneInto(address, root, { signal: context.signal, onProgress, idleMs: 10 * config.network.timeoutMs });
    });
    await get.catch((error: unknown) => {
      throw whenCloning(error);
    });
    return await setUpFolder(root, { hooks: true }, context);
  },
});

/** What is said of a project's remote speaks of versions that are here, and of commands for a project: there is none yet. */
const instead: Partial<Record<FailureName, FailureName>> = {
  offline: 'not-cloned',
  'too-many-requests': 'not-cloned',
  'not-the-remote': 'not-cloned',
  'remote-unclear': 'not-cloned',
  auth: 'not-cloned-auth',
  'remote-not-found': 'not-cloned-address',
  'remote-misconfigured': 'not-cloned-address',
};

function whenCloning(error: unknown): unknown {
  const row = error instanceof Failure ? instead[error.row] : undefined;
  return error instanceof Failure && row !== undefined
    ? new Failure(row, { ...error.details, said: error.message }, error.cause)
    : error;
}
