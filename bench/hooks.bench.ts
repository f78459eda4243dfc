import * as fs from 'node:fs/promises';
import path from 'node:path';
import { expect, test } from 'vitest';
import { git } from '../src/git/run.ts';
import { installHooks } from '../src/setup/hooks.ts';
import { run } from '../src/system/process.ts';
import { fileRemote } from '../test/support/remotes.ts';
import { write } from '../test/support/sandbox.ts';
import { team } from '../test/support/team.ts';
import { medians, ratio, rounds } from './support/measure.ts';

/**
 * What hooks add to a `git commit` of one small file: ours, while the lock is ours (the usual case), and lefthook's with
 * two empty jobs, pre-commit and post-commit. To hold: ≤ 25 ms, and ≤ half of lefthook's.
 */
const lefthook = path.resolve(
  import.meta.dirname,
  `../test/support/tools/node_modules/lefthook-${process.platform}-${process.arch}/bin/lefthook`,
);

async function clone(name: string): Promise<string> {
  const [member] = await team((await fileRemote()).url, [name]);
  if (!member) throw new Error('one was asked for');
  const { root } = member.project;
  await fs.rm(path.join(root, '.git/hooks'), { recursive: true });
  if (name === 'ours') await installHooks(member.project);
  if (name === 'lefthook') {
    const jobs = ['pre-commit', 'post-commit'].map((hook) => `${hook}:\n  jobs:\n    - run: "true"\n`);
    await write(root, { 'lefthook.yml': jobs.join('') });
    await run(lefthook, ['install'], { cwd: root, env: process.env });
    await git(root, ['add', '.']);
  }
  return root;
}

test('a commit by hand', async () => {
  const env = { ...process.env, LEFTHOOK_BIN: lefthook };
  const commit = (root: string) => async (n: number) => {
    await fs.writeFile(path.join(root, 'Song.als'), `save ${n}`);
    const { exitCode } = await run('git', ['commit', '-qam', 'a save'], { cwd: root, env });
    expect(exitCode).toBe(0);
  };
  const [plain, ours, other] = [await clone('plain'), await clone('ours'), await clone('lefthook')];
  await commit(ours)(-1); // takes the lock
  const row = await medians(rounds(41), {
    'no hooks': commit(plain),
    ours: commit(ours),
    lefthook: commit(other),
  });
  const added = (row['ours'] ?? 0) - (row['no hooks'] ?? 0);
  const theirs = (row['lefthook'] ?? 0) - (row['no hooks'] ?? 0);
  // oxlint-disable-next-line no-console -- what it is for
  console.table({
    commit: { ...row, 'ours adds': added, 'lefthook adds': theirs, 'ours ÷ lefthook': ratio(added, theirs) },
  });
});
