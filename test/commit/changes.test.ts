import * as fs from 'node:fs/promises';
import path from 'node:path';
import { expect, test } from 'vitest';
import { changes, parseStatus } from '../../src/commit/changes.ts';
import { git } from '../../src/git/run.ts';
import { Failure } from '../../src/model/failures.ts';
import { repository, sandbox, write } from '../support/sandbox.ts';

const changed = async (dir: string) =>
  Object.fromEntries((await changes(dir)).map(({ path, status }) => [path, status]));

test('odd names are told as they are', async () => {
  const dir = await repository(await sandbox());
  const names = [
    '-dash.wav',
    'a b\tc.wav',
    'new\nline.wav',
    '🎸 Ünï.wav',
    '*.wav',
    '? x.wav',
    '1 .M x.wav',
    'a/b c/d.wav',
  ];
  await write(dir, Object.fromEntries(names.map((name) => [name, 'x'])));
  expect(await changed(dir)).toEqual(Object.fromEntries(names.map((name) => [name, 'added'])));
  await git(dir, ['add', '--all']);
  await git(dir, ['commit', '--quiet', '-m', 'second']);
  await write(dir, Object.fromEntries(names.map((name) => [name, 'longer'])));
  expect(await changed(dir)).toEqual(Object.fromEntries(names.map((name) => [name, 'modified'])));
});

test('a file monitor of the user’s that has stopped hides no save', async () => {
  const dir = await repository(await sandbox());
  const monitor = path.join(dir, '.git', 'monitor');
  await fs.writeFile(monitor, "#!/bin/sh\nprintf 'token\\0'\n", { mode: 0o755 });
  await git(dir, ['config', 'core.fsmonitor', monitor]);
  // Git by hand takes the monitor's word for it.
  const byHand = ['-c', `core.fsmonitor=${monitor}`, 'update-index', '--fsmonitor', '--fsmonitor-valid'];
  await git(dir, [...byHand, 'Song.als']);
  await write(dir, { 'Song.als': 'longer' });
  expect(await changed(dir)).toEqual({ 'Song.als': 'modified' });
});

test('what was staged by hand still differs from the version before', async () => {
  const dir = await repository(await sandbox(), { a: '1', b: '1', c: '1', d: '1', e: '1', f: '1' });
  await write(dir, { a: 'staged', new: 'staged', gone: 'staged', meant: 'x' });
  await git(dir, ['add', 'a', 'new', 'gone']);
  await git(dir, ['add', '--intent-to-add', 'meant']);
  await write(dir, { a: 'and changed again' });
  await fs.rm(path.join(dir, 'gone'));
  await fs.rm(path.join(dir, 'b'));
  await git(dir, ['rm', '--quiet', 'c']);
  await git(dir, ['rm', '--quiet', '--cached', 'd']);
  await write(dir, { e: 'staged' });
  await git(dir, ['add', 'e']);
  await fs.rm(path.join(dir, 'f'));
  await fs.symlink('a', path.join(dir, 'f'));
  expect(await changed(dir)).toEqual({
    a: 'modified',
    new: 'added',
    meant: 'added',
    b: 'deleted',
    c: 'deleted',
    d: 'modified', // untracked by hand, and still there
    e: 'modified',
    f: 'modified',
  });
});

test('our own state, what is ignored, nested repositories and submodules are left alone', async () => {
  const dir = await repository(await sandbox(), { '.gitignore': '*.tmp\n' });
  await repository(path.join(dir, 'nested'));
  await repository(path.join(dir, 'sub'));
  await git(dir, ['-c', 'protocol.file.allow=always', 'submodule', '--quiet', 'add', './sub', 'sub']);
  await git(dir, ['commit', '--quiet', '-m', 'a submodule']);
  await write(path.join(dir, 'sub'), { 'Song.als': 'other' });
  await git(path.join(dir, 'sub'), ['commit', '--quiet', '-am', 'moved on']);
  await write(dir, { '.oxenvcs/state/x.json': '1', '.oxenvcs/config.json': '{}', 'Song.tmp': 'x' });
  expect(await changed(dir)).toEqual({ '.oxenvcs/config.json': 'added' });
});

test('a moved file is a deletion and an addition, whatever the user has set', async () => {
  const dir = await repository(await sandbox(), { 'Song.als': 'x'.repeat(1000) });
  await git(dir, ['config', 'status.renames', 'copies']);
  await git(dir, ['mv', 'Song.als', 'Renamed.als']);
  expect(await changed(dir)).toEqual({ 'Song.als': 'deleted', 'Renamed.als': 'added' });
});

test('files in conflict count as changed', async () => {
  const dir = await repository(await sandbox());
  await git(dir, ['checkout', '--quiet', '-b', 'other']);
  await write(dir, { 'Song.als': 'theirs' });
  await git(dir, ['commit', '--quiet', '-am', 'theirs']);
  await git(dir, ['checkout', '--quiet', 'main']);
  await write(dir, { 'Song.als': 'mine' });
  await git(dir, ['commit', '--quiet', '-am', 'mine']);
  await expect(git(dir, ['merge', '--quiet', 'other'])).rejects.toThrow(Failure);
  expect(await changed(dir)).toEqual({ 'Song.als': 'modified' });
});

test('everything in a repository without a commit is new', async () => {
  const dir = await sandbox();
  await git(dir, ['init', '--quiet']);
  await write(dir, { 'Song.als': 'one' });
  await git(dir, ['add', 'Song.als']);
  expect(await changed(dir)).toEqual({ 'Song.als': 'added' });
});

test('a folder that vanished is said to be gone', async () => {
  await expect(changes(path.join(await sandbox(), 'gone'))).rejects.toMatchObject({ row: 'folder-vanished' });
});

test('nothing and nonsense give no changes', () => {
  expect(parseStatus('')).toEqual([]);
  expect(parseStatus('# branch.oid (initial)\0! ignored\0rubbish\0')).toEqual([]);
});
