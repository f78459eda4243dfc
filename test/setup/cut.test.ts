import * as fs from 'node:fs/promises';
import path from 'node:path';
import { expect, it } from 'vitest';
import { git, gitLine } from '../../src/git/run.ts';
import { background } from '../support/cli.ts';
import { filesIn, ours, setUp, song, status } from './helpers.ts';

const files = { 'Song.als': 'one', 'Samples/Take 1.wav': 'RIFF', 'Samples/Take 2.wav': 'RIFF' };

/** What the steps of `init` leave: it is killed as soon as one of these is there, and at once. */
const moments = [
  '.oxenvcs/state',
  '.git/HEAD',
  '.gitattributes',
  '.oxenvcs/config.json',
  '.git/oxenvcs',
  '.git/oxenvcs/setup-index',
  '.git/refs/heads/main',
  '.git/index',
  '.git/hooks/pre-commit',
];

it.each(moments)('an `init` that is killed when %s appears is made whole by the next one', async (name) => {
  const root = await song(files);
  const cut = background(['init', root], { cwd: root });
  let over = false;
  void cut.ended.then(() => (over = true));
  while (!over && !(await fs.lstat(path.join(root, name)).catch(() => null))) await new Promise(setImmediate);
  await cut.kill('SIGKILL');
  const { project } = await setUp(root);
  expect(await status(root)).toEqual([]);
  expect(await filesIn(root)).toEqual([...ours, ...Object.keys(files)].toSorted());
  expect(await gitLine(root, ['rev-list', '--count', 'HEAD'])).toBe('1');
  expect(await git(root, ['fsck', '--strict', '--no-dangling'])).toBe('');
  expect(await setUp(root)).toMatchObject({ created: [], warnings: [], commit: null });
  expect(await fs.readdir(path.join(project.gitDir, 'oxenvcs')).catch(() => [])).toEqual([]);
});
