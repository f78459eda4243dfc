import { spawnSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import * as fs from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { expect, test } from 'vitest';
import { underGcLock } from '../../src/git/gc-lock.ts';
import { git, gitLine, tryGit } from '../../src/git/run.ts';
import { tidyRepository } from '../../src/git/tidy.ts';
import { repository, sandbox, write } from '../support/sandbox.ts';

const never = new AbortController().signal;
const tidy = async (root: string) => await tidyRepository({ cwd: root, args: [] }, never);

/** A repository with enough loose objects for tidying to be worth it. */
async function untidy(): Promise<string> {
  const root = await repository(await sandbox());
  await write(root, Object.fromEntries(Array.from({ length: 320 }, (_, n) => [`presets/${n}.fxp`, `preset ${n}`])));
  await git(root, ['add', '--all']);
  await git(root, ['commit', '--quiet', '-m', 'presets']);
  return root;
}
const store = async (root: string, text: string) =>
  (await git(root, ['hash-object', '-w', '--stdin'], { input: text })).trim();
const isThere = async (root: string, oid: string) => (await tryGit(root, ['cat-file', '-e', oid])).exitCode === 0;
const packsOf = async (root: string) =>
  (await fs.readdir(path.join(root, '.git/objects/pack'))).filter((name) => name.endsWith('.pack'));
const looseFile = (root: string, oid: string) => path.join(root, '.git/objects', oid.slice(0, 2), oid.slice(2));

test('what a ref of ours keeps alive stays, and so does what was captured for a version that is still to come', async () => {
  const root = await untidy();
  const queued = await gitLine(root, ['commit-tree', 'HEAD^{tree}', '-p', 'HEAD', '-m', 'queued, then reset away']);
  await git(root, ['update-ref', `refs/oxenvcs/queue/${queued}`, queued]);
  const captured = await store(root, 'a session that waits for its take');
  const forgotten = await store(root, 'captured in vain, long ago');
  await fs.utimes(looseFile(root, forgotten), 1, 1);
  expect(await tidy(root)).toBe('tidied');
  expect([await isThere(root, queued), await isThere(root, captured)]).toEqual([true, true]);
  expect(await isThere(root, forgotten)).toBe(false);
});

test('packs of media are left alone; takes do not become deltas of each other, and all else does not wait for them', async () => {
  const root = await untidy();
  await write(root, { '.gitattributes': '*.wav -delta -text\n', 'Take.wav': randomBytes(70 * 1024 * 1024) });
  await git(root, ['add', '.gitattributes']);
  await git(root, ['-c', 'core.bigFileThreshold=1m', '-c', 'core.compression=0', 'add', 'Take.wav']);
  await git(root, ['commit', '--quiet', '-m', 'a take']);
  const [media = ''] = await packsOf(root);
  const before = await fs.stat(path.join(root, '.git/objects/pack', media));
  expect(await tidy(root)).toBe('tidied');
  expect(await packsOf(root)).toHaveLength(2);
  expect((await fs.stat(path.join(root, '.git/objects/pack', media))).ino).toBe(before.ino);
});

test('beside somebody else’s gc nothing is tidied, and no gc begins beside us; the lock of a dead one does not count', async () => {
  const root = await untidy();
  const lock = path.join(root, '.git/gc.pid');
  await fs.writeFile(lock, `${process.ppid} ${os.hostname()}`);
  expect(await tidy(root)).toBe('taken');
  expect(await fs.readFile(lock, 'utf8')).toBe(`${process.ppid} ${os.hostname()}`);
  const { pid } = spawnSync('true');
  await fs.writeFile(lock, `${pid} ${os.hostname()}`);
  expect(await tidy(root)).toBe('tidied');
  await expect(fs.stat(lock)).rejects.toThrow('ENOENT');
  const during = await underGcLock(path.join(root, '.git'), async () => await tryGit(root, ['gc', '--quiet']));
  expect(during).toMatchObject({ exitCode: 128, stderr: expect.stringMatching(/gc is already running/) });
  // From another computer, over a share: only its age tells.
  await fs.writeFile(lock, '1 elsewhere');
  expect(await underGcLock(path.join(root, '.git'), async () => 'worked')).toBe('taken');
  await fs.utimes(lock, 1, 1);
  expect(await underGcLock(path.join(root, '.git'), async () => 'worked')).toBe('worked');
});

test('what a killed git left behind is removed once it is old, what is being written is not', async () => {
  const root = await untidy();
  const objects = path.join(root, '.git/objects');
  const old = [
    'pack/tmp_pack_abc',
    'pack/.tmp-12-pack-abc.pack',
    'ab/tmp_obj_abc',
    'tmp_objdir-incoming-old/pack/tmp_pack_x',
  ];
  const fresh = ['pack/tmp_pack_new', 'tmp_objdir-incoming-new/pack/tmp_pack_x'];
  await write(objects, Object.fromEntries([...old, ...fresh].map((name) => [name, 'half a pack'])));
  for (const name of old) await fs.utimes(path.join(objects, name), 1, 1);
  for (const name of ['tmp_objdir-incoming-old/pack', 'tmp_objdir-incoming-old'])
    await fs.utimes(path.join(objects, name), 1, 1);
  const hoursAgo = Date.now() / 1000 - 7200;
  await fs.utimes(path.join(objects, 'tmp_objdir-incoming-new'), hoursAgo, hoursAgo);
  await tidy(root);
  const left = await fs.readdir(objects, { recursive: true });
  expect(left.filter((name) => name.includes('tmp')).toSorted()).toEqual(
    [...fresh, 'tmp_objdir-incoming-new', 'tmp_objdir-incoming-new/pack'].toSorted(),
  );
});

test('a linked work tree shares its objects with the others: all of theirs stays', async () => {
  const root = await untidy();
  const linked = path.join(await sandbox(), 'linked');
  await git(root, ['worktree', 'add', '--quiet', '-b', 'other', linked]);
  await write(linked, { 'Song.als': 'of the other branch' });
  await git(linked, ['commit', '--quiet', '-am', 'other']);
  const staged = await store(linked, 'staged there');
  await git(linked, ['update-index', '--add', '--cacheinfo', `100644,${staged},New.als`]);
  await fs.utimes(looseFile(root, staged), 1, 1);
  expect(await tidyRepository({ cwd: linked, args: [] }, never)).toBe('tidied');
  expect((await tryGit(linked, ['fsck', '--full'])).exitCode).toBe(0);
  expect(await isThere(linked, staged)).toBe(true);
});
