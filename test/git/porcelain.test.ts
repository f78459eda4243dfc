import fc from 'fast-check';
import { expect, it } from 'vitest';
import { sortPush } from '../../src/git/failures.ts';
import { parsePush, type PushedRef, whyRejected } from '../../src/git/porcelain.ts';

/** As git 2.39 printed it. */
const captured = `To http://127.0.0.1:40189/song.git
 \tHEAD:refs/heads/main\tb3a1f2c..9d8e7f6
+\tHEAD:refs/heads/forced\tb3a1f2c...9d8e7f6 (forced update)
*\t1f0e:refs/oxenvcs/locks/main\t[new reference]
=\tHEAD:refs/heads/same\t[up to date]
-\t:refs/oxenvcs/staging/1\t[deleted]
!\tHEAD:refs/heads/no\t[remote rejected] (hook declined)
Done
`;

it('reads every line that git prints about a ref, and nothing else', () => {
  const refs = parsePush(captured);
  expect(refs.map(({ flag, to }) => flag + to)).toEqual([
    ' refs/heads/main',
    '+refs/heads/forced',
    '*refs/oxenvcs/locks/main',
    '=refs/heads/same',
    '-refs/oxenvcs/staging/1',
    '!refs/heads/no',
  ]);
  expect(refs.map(({ from }) => from)).toEqual(['HEAD', 'HEAD', '1f0e', 'HEAD', '', 'HEAD']);
  expect(refs.at(-1)?.summary).toBe('[remote rejected] (hook declined)');
  expect(parsePush('')).toEqual([]);
  expect(parsePush('Everything up-to-date\n')).toEqual([]);
});

it('is not led astray by any text of a line that is not about a ref', () => {
  fc.assert(
    fc.property(
      fc.string().filter((text) => !/^[ +\-*=!]\t/m.test(text)),
      (text) => {
        expect(parsePush(text)).toEqual([]);
      },
    ),
  );
});

it.each([
  ['[rejected] (stale info)', 'lost'],
  ['[rejected] (fetch first)', 'lost'],
  ['[rejected] (non-fast-forward)', 'lost'],
  ['[rejected] (already exists)', 'lost'],
  ['[rejected] (remote ref updated since checkout)', 'lost'],
  ['[remote rejected] (failed to update ref)', 'lost'],
  ['[remote rejected] (reference already exists)', 'lost'],
  ['[remote rejected] (incorrect old value provided)', 'lost'],
  ['[remote rejected] (cannot lock ref)', 'lost'],
  ['[rejected] (atomic push failed)', 'with-others'],
  ['[remote rejected] (atomic push failure)', 'with-others'],
  ['[remote rejected] (atomic transaction failed)', 'with-others'],
  ['[remote failure] (remote failed to report status)', 'unclear'],
  ['[remote rejected] (transaction failed to start)', 'unclear'],
  ['[remote rejected] (non-fast-forward)', 'refused'],
  ['[remote rejected] (deletion prohibited)', 'refused'],
  ['[remote rejected] (deny updating a hidden ref)', 'refused'],
  ['[remote rejected] (pre-receive hook declined)', 'refused'],
  ['[remote rejected] (hook declined)', 'refused'],
  ['[remote rejected] (branch is currently checked out)', 'refused'],
  ['[remote rejected] (protected branch (stale info))', 'refused'],
])('%s: %s', (summary, why) => {
  const [ref] = parsePush(`!\tHEAD:refs/heads/main\t${summary}\n`) as [PushedRef];
  expect(whyRejected(ref)).toBe(why);
});

const answer = (stdout: string, stderr = '') => ({
  exitCode: 1,
  signal: null,
  killed: null,
  stdout: Buffer.from(stdout),
  stderr,
});
const line = (to: string, reason: string) => `!\tHEAD:${to}\t${reason}\n`;

it('says unclear for a server that hung up without telling what became of the ref', () => {
  const result = answer(line('refs/heads/main', '[remote failure] (remote failed to report status)'));
  expect(sortPush(result)).toMatchObject({ kind: 'ambiguous', row: 'remote-unclear' });
});

it('says unclear for a transaction that failed for a reason nobody told', () => {
  const result = answer(line('refs/heads/main', '[remote rejected] (atomic transaction failed)'));
  expect(sortPush(result)).toMatchObject({ kind: 'ambiguous', row: 'remote-unclear' });
});

it('tells of the ref that was the reason, not of those that fell with it', () => {
  const result = answer(
    line('refs/heads/main', '[rejected] (atomic push failed)') +
      line('refs/oxenvcs/locks/main', '[rejected] (stale info)'),
  );
  expect(sortPush(result)).toMatchObject({ kind: 'lost-race', ref: 'refs/oxenvcs/locks/main' });
});

it('gives the server’s own words, not its progress', () => {
  const stderr =
    'remote: Resolving deltas:  50% (1/2)\rremote: Resolving deltas: 100% (2/2)\nremote: error: GH006: Protected branch\n';
  const result = answer(line('refs/heads/main', '[remote rejected] (protected branch hook declined)'), stderr);
  expect(sortPush(result).detail).toBe('GH006: Protected branch (protected branch hook declined)');
  const silent = answer(
    line('refs/heads/main', '[remote rejected] (hook declined)'),
    'remote: Resolving deltas: 100% (2/2)\n',
  );
  expect(sortPush(silent).detail).toBe('(hook declined)');
});

it('says unclear for a push that git itself found nothing to do in, and yet failed', () => {
  expect(sortPush(answer('', 'Everything up-to-date\n'))).toMatchObject({ kind: 'ambiguous' });
});
