import * as fs from 'node:fs/promises';
import path from 'node:path';
import { expect, test } from 'vitest';
import { followTo, startFinder } from '../../src/setup/moved.ts';
import { register, registered, unregister } from '../../src/control/registry.ts';
import { git } from '../../src/git/run.ts';
import { openProject } from '../../src/project/project.ts';
import { oxenvcs } from '../support/cli.ts';
import { repository, sandbox } from '../support/sandbox.ts';

/** A project in the list that was watched once, in a folder with others. */
async function watched(): Promise<{ dir: string; song: string; seek: (root: string) => Promise<string | null> }> {
  process.env['XDG_DATA_HOME'] = await sandbox();
  const dir = await sandbox();
  const song = await project(path.join(dir, 'Songs', 'My Söng 🎸'));
  return { dir, song, seek: async (root) => await startFinder().seek(root) };
}

async function project(root: string): Promise<string> {
  await repository(root, { 'Song.als': 'one', '.oxenvcs/config.json': '{"v":1}' });
  await register(root);
  await startFinder().note(await openProject(root));
  return root;
}

const roots = async () => (await registered()).roots;

test('one that was renamed, or moved to where others lie, is found by what it is, and the list follows', async () => {
  const { dir, song, seek } = await watched();
  const other = await project(path.join(dir, 'Other Disk', 'Albums', 'Other'));
  expect(await seek(song)).toBeNull();
  const renamed = path.join(dir, 'Songs', 'Renamed');
  await fs.rename(song, renamed);
  expect(await seek(song)).toBe(renamed);
  expect(await roots()).toEqual([other, renamed]);
  const moved = path.join(path.dirname(other), 'Moved');
  await fs.rename(renamed, moved);
  expect(await seek(renamed)).toBe(moved);
  expect(await roots()).toEqual([moved, other]);
  // A folder above it was renamed.
  await fs.rename(path.join(dir, 'Other Disk'), path.join(dir, 'Disk'));
  const now = path.join(dir, 'Disk', 'Albums', 'Moved');
  expect(await seek(moved)).toBe(now);
  // Something else lies in its old place.
  const last = path.join(path.dirname(now), 'Last');
  await fs.rename(now, last);
  await fs.mkdir(now);
  expect(await seek(now)).toBe(last);
});

test('one finder sees what comes later, too', async () => {
  const { dir, song } = await watched();
  const finder = startFinder();
  await fs.rename(song, path.join(dir, 'away'));
  expect(await finder.seek(song)).toBeNull();
  await fs.rename(path.join(dir, 'away'), path.join(dir, 'Songs', 'Back'));
  expect(await finder.seek(song)).toBe(path.join(dir, 'Songs', 'Back'));
});

test('a copy is never taken for it, nor what only points to its Git folder', async () => {
  const { dir, song, seek } = await watched();
  await fs.cp(song, `${song} copy`, { recursive: true, preserveTimestamps: true });
  await fs.rename(song, path.join(dir, 'deleted'));
  expect(await seek(song)).toBeNull();
  await followTo(await openProject(`${song} copy`));
  expect(await roots()).toEqual([song]);

  const [gitDir, linked] = [path.join(dir, 'Git data'), path.join(dir, 'Songs', 'Linked')];
  await repository(linked, { 'Song.als': 'one', '.oxenvcs/config.json': '{"v":1}' });
  await fs.rename(path.join(linked, '.git'), gitDir);
  await fs.symlink(gitDir, path.join(linked, '.git'));
  await register(linked);
  await startFinder().note(await openProject(linked));
  await fs.cp(linked, `${linked} copy`, { recursive: true });
  await fs.rm(linked, { recursive: true });
  expect(await seek(linked)).toBeNull();
  expect(await roots()).toEqual([linked, song]);
});

test('moved anywhere, any command or hook in the new place brings the list up to date, and the hooks that Git knows by their path', async () => {
  const { dir, song } = await watched();
  const hooks = path.join('.git', 'oxenvcs', 'hooks');
  await git(song, ['config', 'hook.oxenvcs-pre-push.command', path.join(song, hooks, 'pre-push')]);
  const moved = path.join(dir, 'far', 'away', 'Song');
  await fs.mkdir(path.dirname(moved), { recursive: true });
  await fs.rename(song, moved);
  await followTo(await openProject(moved));
  expect(await roots()).toEqual([moved]);
  expect(await git(moved, ['config', 'hook.oxenvcs-pre-push.command'])).toBe(
    `'${path.join(moved, hooks, 'pre-push')}'\n`,
  );
  // A folder that nobody has registered is not registered by this.
  const clone = await project(path.join(dir, 'Clone'));
  process.env['XDG_DATA_HOME'] = await sandbox();
  await followTo(await openProject(clone));
  expect(await roots()).toEqual([]);
});

test('init in the new place leaves nobody missing the old one; what nobody watches is told how it will be', async () => {
  const { dir, song } = await watched();
  const moved = path.join(dir, 'far', 'away', 'Song');
  await fs.mkdir(path.dirname(moved), { recursive: true });
  await fs.rename(song, moved);
  expect((await oxenvcs(['init', moved, '--no-hooks'], { cwd: dir })).code).toBe(0);
  expect(await roots()).toEqual([moved]);
  const watchedBy = async () => (await oxenvcs(['status'], { cwd: moved })).stdout;
  expect(await watchedBy()).toContain('Nobody watches it: oxenvcs daemon start');
  await unregister(moved);
  expect(await watchedBy()).toContain('Nobody watches it: oxenvcs init');
});
