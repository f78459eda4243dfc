import * as fs from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import { git } from '../../src/git/run.ts';
import { findPlace } from '../../src/setup/place.ts';
import { repository, sandbox, write } from '../support/sandbox.ts';
import { setUp, snapshot, song } from './helpers.ts';

describe('a place where a project would do harm is refused, and nothing is left there', () => {
  it('the home folder, and a folder that holds it', async () => {
    await expect(findPlace(os.homedir())).rejects.toMatchObject({ row: 'home-folder' });
    const above = await sandbox();
    const home = path.join(above, 'ann');
    await fs.mkdir(home);
    await expect(findPlace(above, home)).rejects.toThrow(`${above} contains your home folder`);
  });

  it('the home folder under another name', async () => {
    const link = path.join(await sandbox(), 'link');
    await fs.symlink(os.homedir(), link);
    await expect(findPlace(link)).rejects.toMatchObject({ row: 'home-folder' });
  });

  it('the home folder that is itself a repository', async () => {
    const home = await repository(path.join(await sandbox(), 'ann'));
    await expect(findPlace(home, home)).rejects.toMatchObject({ row: 'home-folder' });
  });

  it('the root of a disk', async () => {
    await expect(findPlace('/')).rejects.toMatchObject({ row: 'root-folder' });
    // A disk of another kind is mounted there on every system.
    const mount = process.platform === 'darwin' ? '/System/Volumes/VM' : '/proc';
    await expect(findPlace(mount)).rejects.toMatchObject({ row: 'root-folder' });
  });

  it('a folder inside a repository, and inside the Git folder of one', async () => {
    const outer = await repository(await sandbox(), { 'songs/one/Song.als': 'one' });
    const failure = await findPlace(path.join(outer, 'songs/one')).catch((error: unknown) => error);
    expect(failure).toMatchObject({ row: 'inside-repository', details: { outer } });
    await expect(setUp(path.join(outer, '.git'))).rejects.toMatchObject({ row: 'inside-repository' });
    expect(await git(outer, ['status', '--porcelain', '--ignored'])).toBe('');
  });

  it('a bare repository', async () => {
    const bare = await sandbox();
    await git(bare, ['init', '--quiet', '--bare']);
    const before = await snapshot(bare);
    await expect(setUp(bare)).rejects.toMatchObject({ row: 'bare-repository' });
    expect(await snapshot(bare)).toEqual(before);
  });

  it('a folder that is not there, and a file', async () => {
    const dir = await sandbox();
    await expect(setUp(path.join(dir, 'nowhere'))).rejects.toMatchObject({ row: 'folder-missing' });
    await write(dir, { 'Song.als': 'one' });
    await expect(setUp(path.join(dir, 'Song.als'))).rejects.toMatchObject({ row: 'not-a-folder' });
    expect(await fs.readdir(dir)).toEqual(['Song.als']);
  });

  it('a folder that cannot be written to', async () => {
    await expect(setUp(await readOnlyFolder())).rejects.toMatchObject({ row: 'folder-read-only', exitCode: 2 });
  });

  it('a folder whose .git file leads nowhere', async () => {
    const root = await song({ '.git': 'gitdir: /gone/with/the/disk\n', 'Song.als': 'one' });
    const failure = await setUp(root).catch((error: unknown) => error);
    expect(failure).toMatchObject({ row: 'git-folder-gone', details: { target: '/gone/with/the/disk' } });
    expect((await fs.readdir(root)).toSorted()).toEqual(['.git', 'Song.als']);
  });

  it('a repository of another user', async () => {
    const root = await repository(await sandbox());
    process.env['GIT_TEST_ASSUME_DIFFERENT_OWNER'] = '1';
    onTestFinished(() => void delete process.env['GIT_TEST_ASSUME_DIFFERENT_OWNER']);
    await expect(setUp(root)).rejects.toMatchObject({ row: 'foreign-owner' });
  });
});

describe('the folder that is meant is found', () => {
  it('around a package, from inside it, from a file in it', async () => {
    const root = await song({ 'Song.logicx/Alternatives/000/ProjectData': 'one' });
    for (const below of ['Song.logicx', 'Song.logicx/Alternatives', 'Song.logicx/Alternatives/000/ProjectData'])
      expect(await findPlace(path.join(root, below))).toEqual({ root, isRepository: false });
  });

  it('but not around a package that is a repository itself: its history would be out of reach', async () => {
    const root = await song();
    const inner = await repository(path.join(root, 'Song.logicx'), { ProjectData: 'one' });
    expect(await findPlace(inner)).toEqual({ root: inner, isRepository: true });
  });

  it('not around a package in the home folder', async () => {
    const home = await sandbox();
    await write(home, { 'Song.logicx/ProjectData': 'one' });
    await expect(findPlace(path.join(home, 'Song.logicx'), home)).rejects.toMatchObject({ row: 'home-folder' });
  });

  it('through links', async () => {
    const root = await song();
    const link = path.join(await sandbox(), 'link');
    await fs.symlink(root, link);
    expect((await setUp(link)).project.root).toBe(root);
  });

  it('in a linked worktree and in a submodule', async () => {
    const dir = await sandbox();
    const main = await repository(path.join(dir, 'main'));
    await git(main, ['worktree', 'add', '--quiet', '-b', 'alt', path.join(dir, 'alt')]);
    const outer = await repository(path.join(dir, 'outer'));
    await git(outer, ['-c', 'protocol.file.allow=always', 'submodule', '--quiet', 'add', main, 'song']);
    for (const root of [path.join(dir, 'alt'), path.join(outer, 'song')])
      expect(await findPlace(root)).toEqual({ root, isRepository: true });
  });
});

/** The rights of a folder do not hold root back; the kernel's own folder does. */
async function readOnlyFolder(): Promise<string> {
  if (process.getuid?.() === 0 && process.platform === 'linux') return '/sys/kernel';
  const dir = await sandbox();
  await fs.chmod(dir, 0o555);
  onTestFinished(async () => await fs.chmod(dir, 0o755));
  return dir;
}
