import * as fs from 'node:fs/promises';
import path from 'node:path';
import fc from 'fast-check';
import { expect, it } from 'vitest';
import { sortFailure, sortPush } from '../../src/git/failures.ts';
import { git, gitLine, tryGit } from '../../src/git/run.ts';
import { push, songRepository } from '../support/pushing.ts';
import { fileRemote, serverHook } from '../support/remotes.ts';
import { sandbox } from '../support/sandbox.ts';

/** What git, ssh and servers say when they fail, in pieces. */
const pieces = [
  'fatal: ',
  'error: ',
  'remote: ',
  '\n',
  '\r',
  "'",
  '": ',
  ' ',
  'x',
  'No space left on device',
  'unable to write: ',
  'open',
  'Permission denied',
  '.lock',
  "unable to access 'http://x/': ",
  'The requested URL returned error: 403',
  'Connection refused',
  'Authentication failed for ',
  'Host key verification failed.',
  'RPC failed; HTTP 500',
  "' does not appear to be a git repository",
  'the remote end hung up unexpectedly',
  'Unable to create ',
  'File exists.',
  'not a git repository',
  'index file corrupt',
  '!\tHEAD:refs/heads/main\t[remote rejected] (hook declined)',
];
const names = fc
  .array(fc.constantFrom(...pieces), { minLength: 1, maxLength: 7 })
  .map((parts) => parts.join('').slice(0, 200))
  // Names that no file can have, and what git would take for an option or for magic.
  .filter((name) => !/^[-:.~!^@]/.test(name) && !name.includes('/') && name.trim() === name);

it('no name of a file, a branch or a folder is read as a failure, whatever it says', async () => {
  const song = await songRepository();
  const { url, ...remote } = await fileRemote();
  await push(song, [url, 'HEAD:main']);
  const head = await gitLine(song, ['rev-parse', 'HEAD']);
  const dir = await sandbox();
  const sortedBy = async (cwd: string, args: string[]) => {
    const result = await tryGit(cwd, args);
    const { kind, row } = args.includes('push') ? sortPush(result) : sortFailure(result);
    return { args, sorted: result.exitCode === 0 ? 'done' : `${kind} ${row}`, stderr: result.stderr };
  };
  await fc.assert(
    fc.asyncProperty(names, async (name) => {
      const absent = `absent ${name}`;
      for (const args of [
        ['add', '--', absent],
        ['hash-object', '--', absent],
        ['cat-file', '-e', `HEAD:${absent}`],
        ['diff-tree', absent],
        ['update-ref', 'refs/heads/x', absent],
        ['read-tree', absent],
        // Git lets no ref have a line break in its name.
        ['push', '--porcelain', url, `${absent.replaceAll(/[\n\r]/g, ' ')}:main`],
      ])
        expect(await sortedBy(song, args)).toMatchObject({ args, sorted: 'permanent git-failed' });
      const there = path.join(dir, name);
      await fs.mkdir(there, { recursive: true });
      for (const args of [
        ['ls-remote', path.join(dir, absent)],
        ['push', '--porcelain', there, 'HEAD:main'],
      ])
        expect(await sortedBy(song, args)).toMatchObject({ args, sorted: 'configuration remote-not-found' });
      expect(await sortedBy(there, ['status'])).toMatchObject({ sorted: 'configuration not-a-project' });
      // What a hook on the server prints comes with "remote: " before each line.
      await fs.writeFile(path.join(remote.dir, 'said'), name);
      await serverHook(remote, 'pre-receive', 'cat said; cat said >&2; exit 1');
      await git(song, ['commit', '--quiet', '--allow-empty', '--cleanup=verbatim', '-m', name]);
      expect(await sortedBy(song, ['push', '--porcelain', url, 'HEAD:main'])).toMatchObject({
        sorted: 'policy remote-refused',
      });
      await git(song, ['reset', '--quiet', '--soft', head]);
    }),
    { numRuns: 10 },
  );
});
