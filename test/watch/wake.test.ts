import * as fs from 'node:fs/promises';
import path from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { profileNamed } from '../../src/daw/match.ts';
import type { DawProfile } from '../../src/daw/profile.ts';
import { outOfWatches, startWake } from '../../src/watch/wake.ts';
import { fileWatches } from '../support/file-watches.ts';
import { sandbox, write } from '../support/sandbox.ts';

/** What was heard of a folder since it is watched. */
async function listening(root: string, daw = 'live') {
  const heard: (string | null)[] = [];
  const failures: string[] = [];
  const wake = startWake({
    root,
    profile: profileNamed(daw) as DawProfile,
    stirred: (name) => heard.push(name),
    failed: (reason) => failures.push(reason),
  });
  onTestFinished(wake.close);
  const hears = async (name: string | null) => {
    for (const limit = Date.now() + 20_000; !heard.includes(name); await new Promise((done) => setTimeout(done, 10)))
      if (Date.now() > limit) throw new Error(`${name} was not heard of; heard: ${JSON.stringify(heard)}`);
  };
  await hears(null);
  return { heard, hears, failures, wake };
}

test('sessions and media are heard of, wherever they lie, also in folders made later', async () => {
  const root = await sandbox();
  await write(root, { 'Song.als': 'one', 'Samples/Recorded/Take 1.wav': 'x' });
  const { hears } = await listening(root);
  await fs.appendFile(path.join(root, 'Samples/Recorded/Take 1.wav'), 'more');
  await hears('Samples/Recorded/Take 1.wav');
  await write(root, { 'Song.als': 'two' });
  await hears('Song.als');
  await write(root, { 'New 🎸/b/Other.als': 'x' });
  await hears('New 🎸');
  // Written before its folder was watched.
  await hears('New 🎸/b/Other.als');
  await fs.rename(path.join(root, 'Song.als'), path.join(root, '-renamed\n.als'));
  await hears('-renamed\n.als');
});

test('what is generated, Git’s folder and our own state are not heard of', async () => {
  const root = await sandbox();
  await write(root, {
    'Song.als': 'one',
    'Backup/Song [1].als': 'x',
    '.git/objects/x': 'x',
    '.oxenvcs/state/x.json': 'x',
    'nested/.git/HEAD': 'x',
  });
  const { heard, hears } = await listening(root);
  await write(root, {
    'Backup/Song [2].als': 'x',
    'Song.als.tmp': 'x',
    '.DS_Store': 'x',
    '.git/index': 'x',
    '.git/objects/y': 'x',
    '.oxenvcs/state/y.json': 'x',
    'nested/.git/index': 'x',
  });
  await write(root, { 'Song.als': 'last' });
  await hears('Song.als');
  expect(heard.filter((name) => name !== null && name !== 'Song.als')).toEqual([]);
});

test('only folders and sessions are watched, nothing generated, and nothing is left afterwards', async () => {
  const root = await sandbox();
  const takes = Object.fromEntries(Array.from({ length: 30 }, (_, n) => [`Samples/Take ${n}.wav`, 'x']));
  const others = { 'notes.txt': 'x', 'Backup/old/Song [1].als': 'x', 'Song.als.tmp': 'x', '.git/objects/x': 'x' };
  await write(root, { 'Song.als': 'one', 'b/Other.als': 'x', ...takes, ...others });
  const watches = fileWatches();
  const { hears, wake } = await listening(root);
  await fs.appendFile(path.join(root, 'Samples/Take 7.wav'), 'more');
  await hears('Samples/Take 7.wav');
  // The project, two folders, two sessions.
  expect(watches.size).toBe(5);
  await wake.close();
  await expect.poll(() => watches.size).toBe(0);
});

test('out of watches or descriptors the system tells of nothing any more; any other trouble is one of many folders', () => {
  expect(['ENOSPC', 'EMFILE', 'ENFILE'].map(outOfWatches)).toEqual([true, true, true]);
  expect(['EACCES', undefined].map(outOfWatches)).toEqual([false, false]);
});

test('a project below a folder that is called like a generated one is heard of', async () => {
  const root = path.join(await sandbox(), 'Backup', 'Bounces', '.git stuff', 'Song');
  await write(root, { 'Song.als': 'one' });
  const { hears } = await listening(root);
  await write(root, { 'Song.als': 'two' });
  await hears('Song.als');
});

test('a link is not followed out of the project', async () => {
  const dir = await sandbox();
  await write(dir, { 'outside/Song.als': 'one', 'song/Song.als': 'one' });
  await fs.symlink(path.join(dir, 'outside'), path.join(dir, 'song', 'link'));
  const { heard, hears } = await listening(path.join(dir, 'song'));
  await write(dir, { 'outside/Song.als': 'two' });
  await write(dir, { 'song/Song.als': 'two' });
  await hears('Song.als');
  expect(heard.filter((name) => name?.startsWith('link'))).toEqual([]);
});

test('after the end nothing is heard of any more, and it can be ended twice', async () => {
  const root = await sandbox();
  await write(root, { 'Song.als': 'one' });
  const { heard, wake } = await listening(root);
  const other = await listening(root);
  await wake.close();
  heard.length = 0;
  await write(root, { 'Song.als': 'two' });
  await other.hears('Song.als');
  await wake.close();
  expect(heard).toEqual([]);
});
