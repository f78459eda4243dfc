import { randomBytes } from 'node:crypto';
import * as fs from 'node:fs/promises';
import path from 'node:path';
import { expect, test } from 'vitest';
import { git, gitLine } from '../../src/git/run.ts';
import { missing, missingBytes } from '../../src/push/plan.ts';
import { repository, sandbox, write } from '../support/sandbox.ts';

const head = async (root: string) => await gitLine(root, ['rev-parse', 'HEAD']);

async function commit(root: string, files: Record<string, string | Uint8Array>): Promise<string> {
  await write(root, files);
  await git(root, ['add', '--all']);
  await git(root, ['commit', '--quiet', '-m', 'more']);
  return await head(root);
}

const song = async (): Promise<string> =>
  await repository(path.join(await sandbox(), 'song'), {
    '.gitattributes': '*.wav -delta\nVideo/** -delta\n',
    'Song.als': 'one',
  });

test('media is told from sessions by the attributes of its path, whatever its name', async () => {
  const root = await song();
  const base = await head(root);
  const names = [
    'a.wav',
    ' lead.wav',
    'deep/er/take 2.wav',
    'Gesang – Ü🎤.wav',
    'Gesang – U\u0308.wav',
    `${'x'.repeat(240)}.wav`,
    '.wav',
    'Video/cut',
  ];
  const takes = Object.fromEntries(names.map((name, n) => [name, randomBytes(1000 + n)]));
  const tip = await commit(root, {
    ...takes,
    'Song.als': 'two',
    'b.WAV.txt': 'x'.repeat(5000),
    'cut\n.wav': randomBytes(3000),
  });
  const { commits, rest, media } = await missing({ root }, tip, [base]);
  expect(commits).toEqual([tip]);
  expect(media.sizes.toSorted((a, b) => a - b)).toEqual(names.map((_, n) => 1000 + n));
  for (const [place, size] of media.sizes.entries()) {
    const name = names[size - 1000] ?? '';
    const id = media.ids.subarray(place * 20, place * 20 + 20).toString('hex');
    expect(await gitLine(root, ['rev-parse', `${tip}:${name}`])).toBe(id);
    expect(media.known[media.endings[place] ?? 0]).toBe(name === 'Video/cut' ? '' : '.wav');
  }
  // Git's list cuts a name at a line break, so its attributes cannot be asked for: it travels with the sessions.
  expect(rest[0]).toBeGreaterThan(3000);
  expect(await missingBytes({ root, remote: { name: 'origin' } }, tip, [base])).toBeGreaterThan(
    names.length * 1000 + 3000,
  );
});

test('a version with much that is no media does not travel in one piece; a session by itself stays one that goes as a delta', async () => {
  const root = await song();
  const base = await head(root);
  const mebibytes = (count: number, byte: number) => Buffer.alloc(count * 2 ** 20, byte);
  await commit(root, { 'Song.rpp': mebibytes(3, 1) });
  const tip = await commit(root, { 'Song.rpp': mebibytes(4, 1), 'export.zip': mebibytes(61, 2), 'read me.txt': 'y' });
  const { media, rest } = await missing({ root }, tip, [base]);
  expect(media.sizes.map((size) => size / 2 ** 20).toSorted((a, b) => a - b)).toEqual([4, 61]);
  expect(rest).toHaveLength(2);
});

test('the plan is the same after a repack, and leaves out what the remote has, what it has promised, and what is not here', async () => {
  const root = await song();
  const base = await head(root);
  const first = await commit(root, { 'a.wav': randomBytes(900), 'b.wav': randomBytes(800) });
  await git(root, ['checkout', '--quiet', '-b', 'side', base]);
  await commit(root, { 'side.wav': randomBytes(700) });
  await git(root, ['checkout', '--quiet', '-']);
  await git(root, ['merge', '--quiet', '--no-edit', 'side']);
  const tip = await commit(root, { 'c.wav': randomBytes(600) });
  const elsewhere = '0123456789'.repeat(4);
  const plan = await missing({ root }, tip, [base, elsewhere]);
  expect(plan.commits).toHaveLength(4);
  expect(plan.commits.at(-1)).toBe(tip);
  expect(plan.media.sizes.toSorted((a, b) => a - b)).toEqual([600, 700, 800, 900]);
  await git(root, ['repack', '-adq']);
  const repacked = await missing({ root }, tip, [base, elsewhere]);
  expect([repacked.commits, repacked.media]).toEqual([plan.commits, plan.media]);
  expect((await missing({ root }, tip, [first])).media.sizes.toSorted((a, b) => a - b)).toEqual([600, 700]);
  expect((await missing({ root }, tip, [tip])).commits).toEqual([]);

  // A clone without media: what it lacks is promised by the remote, so the remote has it.
  await git(root, ['config', 'uploadpack.allowFilter', 'true']);
  const partial = path.join(await sandbox(), 'partial');
  await git(root, ['clone', '--quiet', '--no-checkout', '--filter=blob:none', `file://${root}`, partial]);
  await git(partial, ['read-tree', 'HEAD']);
  await git(partial, [
    'update-index',
    '--add',
    '--cacheinfo',
    `100644,${await gitLine(partial, ['hash-object', '-w', '--stdin'], { input: 'new' })},new.wav`,
  ]);
  const tree = await gitLine(partial, ['write-tree', '--missing-ok']);
  const mine = await gitLine(partial, ['commit-tree', '-p', tip, '-m', 'mine', tree]);
  await git(partial, ['update-ref', '--no-deref', 'HEAD', mine]);
  await git(partial, ['checkout', '--quiet', 'HEAD', '--', '.gitattributes']);
  const { media } = await missing({ root: partial }, mine, [base]);
  expect(media.sizes).toEqual([3]);
});

test('when one git of the walk fails, the failure is told, and no other is left waiting', async () => {
  const root = await song();
  const tip = await commit(root, { 'deep/a.wav': randomBytes(900) });
  const stopped = new AbortController();
  stopped.abort(new Error('enough'));
  await expect(missing({ root, signal: stopped.signal }, tip, [])).rejects.toThrow();
  const tree = await gitLine(root, ['rev-parse', `${tip}:deep`]);
  await fs.rm(path.join(root, '.git/objects', tree.slice(0, 2), tree.slice(2)), { force: true });
  await expect(missing({ root }, tip, [])).rejects.toMatchObject({ code: 'DAMAGED' });
});
