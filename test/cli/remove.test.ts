import * as fs from 'node:fs/promises';
import path from 'node:path';
import { expect, it } from 'vitest';
import { pendingSaves } from '../../src/commit/pending.ts';
import { git, gitLine } from '../../src/git/run.ts';
import { byHand, setUp, snapshot, song, status } from '../setup/helpers.ts';
import { background, oxenvcs } from '../support/cli.ts';
import { fileRemote } from '../support/remotes.ts';
import { sandbox, write } from '../support/sandbox.ts';

it('a project is left cleanly: all is published, the lock is free, and what stays is an ordinary repository', async () => {
  const remote = await fileRemote();
  const root = await song({ 'Song.als': 'one', '.gitignore': 'mine\n' });
  const { project } = await setUp(root, { remote: remote.url });
  const settings = await fs.readFile(path.join(root, '.oxenvcs/config.json'), 'utf8');
  await write(root, { 'Song.als': 'two' });
  await byHand(root, ['commit', '-qam', 'by hand']);
  const head = await gitLine(root, ['rev-parse', 'HEAD']);

  const watch = background(['watch'], { cwd: root });
  await watch.waitForLine(/Watching/);
  expect(await oxenvcs(['remove'], { cwd: root })).toMatchObject({
    code: 1,
    stderr: expect.stringContaining('watched'),
  });
  await watch.kill();

  const left = await oxenvcs(['remove', '--json'], { cwd: root });
  expect(left.json()).toMatchObject({ project: root, exported: null, historyDeleted: false, published: true });
  expect(await gitLine(remote.dir, ['rev-parse', 'main'])).toBe(head);
  const other = path.join(await sandbox(), 'other');
  expect((await oxenvcs(['clone', remote.url, other], { cwd: '/' })).code).toBe(0);
  expect((await oxenvcs(['lock', 'status', '--json'], { cwd: other })).json()).toMatchObject({ held: false });
  expect(await fs.readdir(root)).toEqual(expect.not.arrayContaining(['.oxenvcs']));
  expect(await git(root, ['for-each-ref', 'refs/oxenvcs'])).toBe('');
  expect((await fs.readdir(path.join(project.gitDir, 'hooks'))).filter((name) => !name.endsWith('.sample'))).toEqual(
    [],
  );
  expect(await byHand(root, ['config', '--local', '--get', 'gc.auto'])).toMatchObject({ code: 1 });
  expect((await oxenvcs(['status'], { cwd: root })).code).toBe(7);
  // The next commit does not take the settings away from the team.
  expect(await status(root)).toEqual([]);
  await write(root, { 'Song.als': 'three' });
  expect(await byHand(root, ['commit', '-qam', 'plain'])).toMatchObject({ code: 0, stderr: '' });
  expect(await git(root, ['show', 'HEAD:.oxenvcs/config.json'])).toBe(settings);
  // And they are there again for one who comes back.
  await setUp(root);
  expect(await fs.readFile(path.join(root, '.oxenvcs/config.json'), 'utf8')).toBe(settings);
  expect(await status(root)).toEqual([]);
});

it('what a watcher that was killed had captured, and the DAW has saved over, is a version before the project is left', async () => {
  const remote = await fileRemote();
  const root = await song({ 'Song.als': 'one' });
  const { project } = await setUp(root, { remote: remote.url });
  const oid = await gitLine(root, ['hash-object', '-w', '--stdin'], { input: 'two' });
  const stat = { size: 3n, mtimeNs: 1n, ino: 1n };
  const captured = [{ file: { path: 'Song.als', mode: '100644' as const, oid }, stat }];
  await pendingSaves(project).note([{ captured, deleted: [] }]);
  await write(root, { 'Song.als': 'three' });
  expect((await oxenvcs(['remove'], { cwd: root })).code).toBe(0);
  expect(await git(remote.dir, ['show', 'main:Song.als'])).toBe('two');
  expect(await fs.readFile(path.join(root, 'Song.als'), 'utf8')).toBe('three');
});

it('with --delete-history the folder is as it was before; what is nowhere else is exported, and comes back with git clone', async () => {
  const remote = await fileRemote();
  const root = await song({ 'Song.als': 'one', 'Take.wav': 'RIFF', '.gitignore': 'mine\n\n' });
  const before = await snapshot(root);
  await setUp(root, { remote: remote.url });
  await oxenvcs(['push'], { cwd: root });
  await write(root, { 'Song.als': 'two' });
  await byHand(root, ['commit', '-qam', 'only here']);
  await byHand(root, ['commit', '-q', '--amend', '-m', 'only here, better']);
  const head = await gitLine(root, ['rev-parse', 'HEAD']);
  await write(root, { 'Song.als': 'one' });
  await fs.rename(remote.dir, `${remote.dir}.unplugged`);

  const left = await oxenvcs(['remove', root, '--delete-history', '--no-retry', '--json'], { cwd: '/' });
  const { exported } = left.json() as { exported: string };
  const clone = path.join(await sandbox(), 'back');
  await git('/', ['clone', '--quiet', exported, clone]);
  expect(await gitLine(clone, ['rev-parse', 'HEAD'])).toBe(head);
  expect(await git(clone, ['show', 'HEAD:Song.als'])).toBe('two');
  await fs.rm(exported);
  expect(await snapshot(root)).toEqual(before);
});

it('with --delete-history a linked worktree is left alone, and the vault of a project without a remote stays', async () => {
  const root = await song();
  const { project } = await setUp(root);
  const linked = path.join(path.dirname(root), 'linked');
  await git(root, ['worktree', 'add', '--quiet', '-b', 'idea', linked]);
  expect(await oxenvcs(['remove', '--delete-history'], { cwd: linked })).toMatchObject({ code: 2 });
  expect(await oxenvcs(['remove', '--delete-history'], { cwd: root })).toMatchObject({ code: 2 });
  await git(root, ['worktree', 'remove', '--force', linked]);
  await git(root, ['branch', '-D', 'idea']);
  const head = await gitLine(root, ['rev-parse', 'HEAD']);
  const left = (await oxenvcs(['remove', '--delete-history', '--json'], { cwd: root })).json() as Record<
    string,
    string
  >;
  expect(left).toMatchObject({ exported: null, historyDeleted: true });
  expect(await gitLine(left['vault'] ?? '', ['rev-parse', 'main'])).toBe(head);
  await expect(fs.access(project.gitDir)).rejects.toThrow('ENOENT');
  expect(await fs.readdir(root)).toEqual(['Song.als']);
});
