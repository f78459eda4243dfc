import * as fs from 'node:fs/promises';
import path from 'node:path';
import { expect, test } from 'vitest';
import { objectId, writeObject } from '../../src/git/loose.ts';
import { refTips } from '../../src/git/refs.ts';
import { git, gitLine } from '../../src/git/run.ts';
import { repository, sandbox } from '../support/sandbox.ts';

const who = 'Ann <ann@band.example> 1790000000 +0000';
const commitOn = (tree: string) => `tree ${tree}\nauthor ${who}\ncommitter ${who}\n\nTüröffner 🎹\n`;

test.each(['sha1', 'sha256'])(
  'an object that we write is what git would have written, byte for byte (%s)',
  async (hash) => {
    const dir = path.join(await sandbox(), 'a\nsong');
    await fs.mkdir(dir);
    await git(dir, ['init', '--quiet', `--object-format=${hash}`]);
    const tree = await writeObject(dir, 'tree', '');
    expect(tree).toBe(await gitLine(dir, ['hash-object', '-t', 'tree', '--stdin'], { input: '' }));
    const text = commitOn(tree);
    const commit = await writeObject(dir, 'commit', text);
    expect(commit).toBe(await gitLine(dir, ['hash-object', '-t', 'commit', '--stdin'], { input: text }));
    expect(commit).toBe(await objectId(dir, 'commit', text));
    expect(await writeObject(dir, 'commit', text)).toBe(commit);
    expect(await git(dir, ['cat-file', 'commit', commit])).toBe(text);
    await git(dir, ['update-ref', 'refs/heads/main', commit]);
    expect(await git(dir, ['fsck', '--strict', '--no-dangling'])).toBe('');
  },
);

test('in a linked work tree it lies where its refs find it, and others who share the repository can write beside it', async () => {
  const dir = await repository(path.join(await sandbox(), 'song'));
  await git(dir, ['worktree', 'add', '--quiet', '../mix']);
  const mix = path.join(path.dirname(dir), 'mix');
  const objects = path.join(dir, '.git', 'objects');
  await fs.chmod(objects, 0o2775);
  const commit = await writeObject(mix, 'commit', commitOn(await writeObject(mix, 'tree', '')));
  expect(await gitLine(dir, ['cat-file', '-t', commit])).toBe('commit');
  expect((await fs.stat(path.join(objects, commit.slice(0, 2)))).mode & 0o777).toBe(0o775);
});

test('refs are read as git reads them: loose, packed, symbolic, absent, a folder of that name', async () => {
  const dir = await repository(path.join(await sandbox(), 'song'));
  const head = await gitLine(dir, ['rev-parse', 'HEAD']);
  await git(dir, ['update-ref', 'refs/heads/packed', head]);
  await git(dir, ['pack-refs', '--all']);
  const next = await gitLine(dir, ['commit-tree', '-m', 'x', `${head}^{tree}`]);
  await git(dir, ['update-ref', 'refs/heads/loose', next]);
  await git(dir, ['update-ref', 'refs/heads/alt/mix', head]);
  await git(dir, ['symbolic-ref', 'refs/heads/symbolic', 'refs/heads/loose']);
  const names = ['loose', 'packed', 'symbolic', 'absent', 'alt'].map((name) => `refs/heads/${name}`);
  expect(await refTips(dir, names)).toEqual([next, head, next, null, null]);
  // Symbolic now, and still in the list of packed ones as it was.
  await git(dir, ['update-ref', 'refs/heads/was', head]);
  await git(dir, ['pack-refs', '--all', '--prune']);
  await git(dir, ['symbolic-ref', 'refs/heads/was', 'refs/heads/loose']);
  await git(dir, ['update-ref', 'refs/heads/loose', head]);
  await git(dir, ['update-ref', 'refs/heads/loose', next]);
  expect(await refTips(dir, ['refs/heads/was', 'refs/heads/loose'])).toEqual([next, next]);
  // A packed ref that was moved since is both: the file counts.
  await git(dir, ['update-ref', 'refs/heads/packed', next]);
  expect(await refTips(dir, ['refs/heads/packed'])).toEqual([next]);
});
