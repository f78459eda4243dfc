import * as fs from 'node:fs/promises';
import path from 'node:path';
import { expect, it } from 'vitest';
import { parseIndex } from '../../src/commit/media-times.ts';
import { commitSave } from '../../src/commit/commit.ts';
import { git } from '../../src/git/run.ts';
import { byHand, setUp, song, status } from '../setup/helpers.ts';
import { saveOf } from '../support/project.ts';
import { write } from '../support/sandbox.ts';

const odd = 'Takes/an "odd" näme\nof 🎸.wav';

/** The time of a file's last write, in whole seconds. */
const written = async (root: string, name: string) => Math.floor((await fs.stat(path.join(root, name))).mtimeMs / 1000);

async function setTime(root: string, name: string, seconds: number): Promise<void> {
  await fs.utimes(path.join(root, name), seconds, seconds);
}

it('from main to idea and back a take keeps the time that it was written at, and so does what was only on idea', async () => {
  const { project } = await setUp(await song({ 'Song.als': 'one', 'Take.wav': 'RIFF' }));
  const { root } = project;
  const checkout = async (...args: string[]) =>
    expect(await byHand(root, ['checkout', '-q', ...args])).toMatchObject({ code: 0, stderr: '' });
  // A version of the watcher's, as of long ago.
  await write(root, { 'Take.wav': 'RIFF 2', [odd]: 'RIFF odd' });
  await setTime(root, 'Take.wav', 1_500_000_000);
  await setTime(root, odd, 1_500_000_001);
  await commitSave(project, await saveOf(project, { settled: ['Take.wav', odd] }));
  await checkout('-b', 'idea');
  await write(root, { 'Take.wav': 'RIFF 3', 'Idea.wav': 'RIFF idea' });
  await byHand(root, ['rm', '-q', odd]);
  await setTime(root, 'Idea.wav', 1_500_000_002);
  await byHand(root, ['add', '.']);
  await byHand(root, ['commit', '-qm', 'idea']);

  await checkout('main');
  expect(await written(root, 'Take.wav')).toBe(1_500_000_000);
  expect(await written(root, odd)).toBe(1_500_000_001);
  // A session's time is its own affair: what was not there a moment ago is to be loaded anew.
  expect(await status(root)).toEqual([]);
  await checkout('idea');
  expect(await written(root, 'Idea.wav')).toBe(1_500_000_002);
  await checkout('main');
  expect(await written(root, 'Take.wav')).toBe(1_500_000_000);

  // A take that was overwritten by mistake, and fetched back.
  await write(root, { 'Take.wav': 'noise' });
  await checkout('--', 'Take.wav');
  expect(await written(root, 'Take.wav')).toBe(1_500_000_000);
  // Git need not read the files again: it has them as they are.
  const debug = parseIndex(await git(root, ['ls-files', '--stage', '-z', '--debug']));
  expect(debug.find((one) => one.path === 'Take.wav')?.time).toMatch(/^1500000000\./);
});

it('after a merge, a take that is as it once was has its time of then', async () => {
  const { project } = await setUp(await song({ 'Take.wav': 'RIFF' }));
  const { root } = project;
  await setTime(root, 'Take.wav', 1_500_000_000);
  await byHand(root, ['add', '--refresh', '.']);
  await byHand(root, ['checkout', '-q', '-b', 'idea']);
  await byHand(root, ['checkout', '-q', '--', '.']);
  await write(root, { 'Take.wav': 'RIFF 2' });
  await byHand(root, ['commit', '-qam', 'louder']);
  await byHand(root, ['checkout', '-q', 'main']);
  await byHand(root, ['branch', 'back', 'idea']);
  await byHand(root, ['merge', '-q', 'idea']);
  await git(root, ['update-ref', 'refs/heads/back', await revertOf(root)]);
  await byHand(root, ['merge', '-q', 'back']);
  expect(await fs.readFile(path.join(root, 'Take.wav'), 'utf8')).toBe('RIFF');
  expect(await written(root, 'Take.wav')).toBe(1_500_000_000);
});

/** A commit on top of HEAD with the tree of its parent, as a teammate would have made it. */
async function revertOf(root: string): Promise<string> {
  return (await git(root, ['commit-tree', '-p', 'HEAD', '-m', 'as it was', 'HEAD~1^{tree}'])).trim();
}
