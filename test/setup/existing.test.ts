import * as fs from 'node:fs/promises';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { git, gitLine } from '../../src/git/run.ts';
import { repository, sandbox, write } from '../support/sandbox.ts';
import { filesIn, ours, setUp, snapshot, status } from './helpers.ts';

const read = async (root: string, name: string): Promise<string> => await fs.readFile(path.join(root, name), 'utf8');
const inVersion = async (root: string, name: string): Promise<string> => await git(root, ['show', `HEAD:${name}`]);
const staged = async (root: string, name: string): Promise<string> => await git(root, ['show', `:${name}`]);

async function used(files?: Record<string, string>): Promise<string> {
  return await repository(path.join(await sandbox(), 'song'), files);
}

describe('a repository with a history of its own', () => {
  it('gets one commit more, with our files alone', async () => {
    const root = await used({ 'Song.als': 'one', 'notes.txt': 'la' });
    const before = await gitLine(root, ['rev-parse', 'HEAD']);
    const { commit, created } = await setUp(root);
    expect(await gitLine(root, ['rev-parse', 'HEAD^'])).toBe(before);
    expect(await git(root, ['diff', '--name-only', 'HEAD^', 'HEAD'])).toBe(`${ours.join('\n')}\n`);
    expect(created).toContain(ours.join(', '));
    expect(await gitLine(root, ['rev-parse', 'HEAD'])).toBe(commit);
    expect(await status(root)).toEqual([]);
    const after = await snapshot(root);
    expect(await setUp(root)).toMatchObject({ created: [], commit: null, warnings: [] });
    expect(await snapshot(root)).toEqual(after);
  });

  it('keeps what is staged staged and what is changed changed', async () => {
    const root = await used({ 'Song.als': 'one', 'b.txt': 'b', 'c.txt': 'c', 'd.txt': 'd' });
    await write(root, { 'Song.als': 'two', 'b.txt': 'staged', 'new.txt': 'staged', 'loose.txt': 'loose' });
    await git(root, ['add', 'b.txt', 'new.txt']);
    await write(root, { 'b.txt': 'staged, then changed' });
    await git(root, ['rm', '--quiet', '--cached', 'c.txt']);
    await fs.rm(path.join(root, 'd.txt'));
    const before = await status(root);
    await setUp(root);
    expect(await status(root)).toEqual(before);
    expect(await filesIn(root)).toEqual([...ours, 'Song.als', 'b.txt', 'c.txt', 'd.txt'].toSorted());
    expect(await staged(root, 'b.txt')).toBe('staged');
    expect(await inVersion(root, 'Song.als')).toBe('one');
  });

  it('keeps changes of the user to the very files that we add to: committed, staged and loose, each its own', async () => {
    const root = await used({ 'Song.als': 'one', '.gitignore': 'committed\n', '.gitattributes': '*.md text\n' });
    await write(root, { '.gitignore': 'committed\nstaged\n' });
    await git(root, ['add', '.gitignore']);
    await write(root, { '.gitignore': 'committed\nstaged\nloose\n' });
    await setUp(root);
    const mine = (text: string) => text.split('# oxenvcs')[0]?.trimEnd().split('\n');
    expect(mine(await inVersion(root, '.gitignore'))).toEqual(['committed']);
    expect(mine(await staged(root, '.gitignore'))).toEqual(['committed', 'staged']);
    expect(mine(await read(root, '.gitignore'))).toEqual(['committed', 'staged', 'loose']);
    expect(await status(root)).toEqual(['MM .gitignore']);
    // What they commit next is their line, and nothing of ours goes.
    await git(root, ['commit', '--quiet', '-m', 'mine']);
    const diff = await git(root, ['diff', '--numstat', 'HEAD^', 'HEAD']);
    expect(diff).toBe('1\t0\t.gitignore\n');
  });

  it('does not take in an ignore file that the user has not added yet', async () => {
    const root = await used();
    await write(root, { '.gitignore': 'mine\n' });
    await setUp(root);
    expect(await inVersion(root, '.gitignore')).not.toContain('mine');
    expect(await read(root, '.gitignore')).toMatch(/^mine\n/);
  });

  it('keeps bytes that are no UTF-8, and CRLF, in the user’s lines', async () => {
    const root = await used();
    const mine = Buffer.from('# caf\xe9\r\n*.bak\r\n', 'latin1');
    await write(root, { '.gitignore': mine });
    await git(root, ['add', '.gitignore']);
    await git(root, ['commit', '--quiet', '-m', 'mine']);
    await setUp(root);
    const after = await fs.readFile(path.join(root, '.gitignore'));
    expect(after.subarray(0, mine.length).equals(mine)).toBe(true);
    expect(after.toString('latin1')).not.toMatch(/[^\r]\n/);
    expect(await status(root)).toEqual([]);
  });

  it('gets our lines replaced where they are out of date, and only they', async () => {
    const root = await used();
    await setUp(root);
    const file = path.join(root, '.gitignore');
    const now = await fs.readFile(file, 'utf8');
    await fs.writeFile(file, `mine\n${now.replace('.DS_Store\n', 'Outdated\n')}yours\n`);
    await git(root, ['commit', '--quiet', '-am', 'an older oxenvcs']);
    const { commit, created } = await setUp(root);
    expect(created).toEqual(['.gitignore']);
    expect(commit).not.toBeNull();
    expect(await read(root, '.gitignore')).toBe(`mine\n${now}yours\n`);
    expect(await status(root)).toEqual([]);
  });

  it('keeps settings that are there, and the values that the user gave Git', async () => {
    const settings = '{"v":1,  "lock": {"leaseHours": 8}}';
    const root = await used({ 'Song.als': 'one', '.oxenvcs/config.json': settings });
    await git(root, ['config', '--local', 'gc.auto', '500']);
    await setUp(root);
    expect(await read(root, '.oxenvcs/config.json')).toBe(settings);
    const other = await used();
    await write(other, { '.oxenvcs/config.json': settings });
    await setUp(other);
    expect(await inVersion(other, '.oxenvcs/config.json')).toBe(settings);
    expect(await status(other)).toEqual([]);
    expect(await gitLine(root, ['config', '--local', '--get-all', 'gc.auto'])).toBe('500');
    // In a repository with files a change of core.autocrlf could make them all look changed.
    expect(await git(root, ['config', '--local', '--list'])).not.toContain('autocrlf');
  });

  it('is refused with the reason where the settings are not JSON, and stays as it is', async () => {
    const root = await used({ '.oxenvcs/config.json': '{"v":1,' });
    const before = await snapshot(root);
    await expect(setUp(root)).rejects.toMatchObject({ row: 'config-invalid', exitCode: 2 });
    expect(await snapshot(root)).toEqual(before);
  });

  it('publishes the branch that is checked out', async () => {
    const root = await used();
    await git(root, ['checkout', '--quiet', '-b', 'takes/"quoted"']);
    const { project } = await setUp(root);
    expect(project.config.branch).toBe('takes/"quoted"');
    const moved = await setUp(root, { branch: 'main' });
    expect(moved.project.config.branch).toBe('main');
    expect(moved.warnings).toEqual([expect.stringContaining('is not checked out')]);
  });

  it.each([
    ['a merge', ['merge', 'other'], 'a merge is under way'],
    ['a rebase', ['rebase', 'other'], 'a rebase is under way'],
    ['a cherry-pick', ['cherry-pick', 'other'], 'a cherry-pick is under way'],
  ])('is not touched in the middle of %s', async (_, command, reason) => {
    const root = await used();
    await git(root, ['checkout', '--quiet', '-b', 'other']);
    await write(root, { 'Song.als': 'theirs' });
    await git(root, ['commit', '--quiet', '-am', 'theirs']);
    await git(root, ['checkout', '--quiet', 'main']);
    await write(root, { 'Song.als': 'mine' });
    await git(root, ['commit', '--quiet', '-am', 'mine']);
    await git(root, command).catch(() => undefined); // it stops at the conflict
    const before = await snapshot(root);
    await expect(setUp(root)).rejects.toThrow(reason);
    expect(await snapshot(root)).toEqual(before);
  });

  it('is not touched while an older version is checked out', async () => {
    const root = await used();
    await git(root, ['checkout', '--quiet', '--detach']);
    await expect(setUp(root)).rejects.toMatchObject({ row: 'git-work-under-way' });
    expect(await status(root)).toEqual([]);
  });

  it('with things staged but no commit yet: they stay staged', async () => {
    const root = path.join(await sandbox(), 'song');
    await write(root, { 'Song.als': 'one', 'mine.txt': 'mine' });
    await git(root, ['init', '--quiet', '-b', 'main']);
    await git(root, ['add', 'mine.txt']);
    await setUp(root);
    expect(await filesIn(root)).toEqual(ours);
    expect(await status(root)).toEqual(['A  mine.txt', '?? Song.als']);
  });

  it('runs no hook of the user and signs nothing while it is set up', async () => {
    const root = await used();
    await fs.writeFile(path.join(root, '.git/hooks/pre-commit'), '#!/bin/sh\nexit 1\n', { mode: 0o755 });
    await fs.writeFile(path.join(root, '.git/hooks/post-commit'), '#!/bin/sh\ntouch ran\n', { mode: 0o755 });
    await git(root, ['config', 'commit.gpgSign', 'true']);
    expect((await setUp(root)).commit).not.toBeNull();
    expect(await status(root)).toEqual([]);
  });
});

describe('worktrees and submodules', () => {
  it('a linked worktree is a project of its own, with its own branch', async () => {
    const main = await used();
    await setUp(main);
    const alt = path.join(path.dirname(main), 'alt');
    await git(main, ['worktree', 'add', '--quiet', '-b', 'alt', alt]);
    const before = await snapshot(path.join(main, '.oxenvcs'));
    const { project } = await setUp(alt, { branch: 'alt' });
    expect(project.config.branch).toBe('alt');
    expect(await status(alt)).toEqual([]);
    expect(await status(main)).toEqual([]);
    expect(await snapshot(path.join(main, '.oxenvcs'))).toEqual(before);
    expect((await setUp(alt)).created).toEqual([]);
    expect((await setUp(main)).created).toEqual([]);
  });

  it('a submodule with a branch checked out is a project; the repository around it is not touched', async () => {
    const song = await used();
    const outer = await repository(path.join(path.dirname(song), 'album'), { 'list.txt': '1' });
    await git(outer, ['-c', 'protocol.file.allow=always', 'submodule', '--quiet', 'add', song, 'one']);
    await git(outer, ['commit', '--quiet', '-m', 'song one']);
    const inner = path.join(outer, 'one');
    const { project, remoteKind } = await setUp(inner);
    expect(project.gitDir).toBe(path.join(outer, '.git/modules/one'));
    expect(remoteKind).toBe('remote');
    expect(await status(inner)).toEqual([]);
    expect(await status(outer)).toEqual([' M one']);
  });
});
