import * as fs from 'node:fs/promises';
import path from 'node:path';
import { expect, test } from 'vitest';
import { packIndex } from '../../src/git/pack-format.ts';
import { startPack } from '../../src/git/pack.ts';
import { git, gitLine } from '../../src/git/run.ts';
import { dice } from '../support/dice.ts';
import { sandbox } from '../support/sandbox.ts';

const repositoryOf = async (hash: string): Promise<string> => {
  const root = await sandbox();
  await git(root, ['init', '--quiet', `--object-format=${hash}`]);
  return root;
};
const packs = (root: string): string => path.join(root, '.git/objects/pack');
test('a pack that somebody prunes while it is written is told as what it is, and tried again', async () => {
  const root = await repositoryOf('sha1');
  const file = path.join(root, 'take.wav');
  await fs.writeFile(file, 'audio');
  const writer = await startPack(root, 1);
  await writer.add(file, await gitLine(root, ['hash-object', '--', file]), 5n);
  await git(root, ['prune', '--expire=now']);
  await expect(writer.end()).rejects.toMatchObject({ row: 'stored-gone', retryable: true });
  await writer.discard();
});

/** Nobody has this number: it is above the highest that there is. */
const deadPid = 999_999_999;

test.each(['sha1', 'sha256'])('a pack of ours is one that git would have written, index and all (%s)', async (hash) => {
  const { roll, pick } = dice(hash.length);
  const root = await repositoryOf(hash);
  // Where the size takes a byte more, a block or a piece ends.
  const edges = [1, 15, 16, 2047, 2048, 65_535, 65_536, 16 * 65_535, 16 * 65_535 + 1, 33 * 65_535];
  const files = Array.from({ length: 30 }, (_, n) => ({
    file: path.join(root, `take ${n}.wav`),
    bytes: Buffer.alloc(edges[n] ?? Math.ceil(roll() * pick([100, 70_000, 1_500_000])), `${n} ${roll()}`),
    // One of the ways to be another file than the one that was named. What grew is stored as it was: its stat tells.
    damage: roll() < 0.6 ? 'none' : pick(['gone', 'short', 'long', 'other'] as const),
  }));
  const isGood = ({ damage }: { damage: string }) => damage === 'none' || damage === 'long';
  const good = files.filter(isGood);
  const writer = await startPack(root, hash === 'sha1' ? good.length : files.length);
  for (const { file, bytes, damage } of files) {
    await fs.writeFile(file, bytes);
    const oid = await gitLine(root, ['hash-object', '--', file]);
    if (damage === 'gone') await fs.rm(file);
    if (damage === 'short') await fs.truncate(file, bytes.length - 1);
    if (damage === 'long') await fs.appendFile(file, 'x');
    if (damage === 'other')
      await fs.writeFile(
        file,
        bytes.map((byte) => byte ^ 1),
      );
    expect(await writer.add(file, oid, BigInt(bytes.length))).toBe(isGood({ damage }));
  }
  await writer.end();
  await writer.discard();
  const [idx = '', pack = '', ...rest] = (await fs.readdir(packs(root))).toSorted();
  expect(rest).toEqual([]);
  const theirs = path.join(root, 'theirs.idx');
  const sum = await gitLine(root, ['index-pack', '--strict', '-o', theirs, path.join(packs(root), pack)]);
  expect(`pack-${sum}.idx`).toBe(idx);
  expect(await fs.readFile(path.join(packs(root), idx))).toEqual(await fs.readFile(theirs));
  const stored = await git(root, ['verify-pack', '-v', path.join(packs(root), idx)]);
  expect(stored.match(/ blob /g)?.length).toBe(good.length);
  expect(await git(root, ['fsck', '--full', '--strict', '--no-dangling'])).toBe('');
});

test('beyond 2 GiB git finds where an object begins', async () => {
  const root = await repositoryOf('sha1');
  const entries = [5, 2 ** 31 - 1, 2 ** 31, 2 ** 33 + 7].map((at, n) => ({
    oid: `${'f0a5'[n]}`.repeat(40),
    crc: 2 ** 32 - 1 - n,
    at,
  }));
  const told = await git(root, ['show-index'], { input: packIndex(entries, Buffer.alloc(20), 'sha1') });
  const expected = entries.map(({ oid, crc, at }) => `${at} ${oid} (${crc.toString(16)})`);
  expect(told.trim().split('\n').toSorted()).toEqual(expected.toSorted());
});

test('a pack that is given up, or holds nothing, leaves nothing; what a killed process left is removed, what is being written is not', async () => {
  const root = await repositoryOf('sha1');
  const names = [`tmp_pack_oxenvcs_${deadPid}_old`, `tmp_idx_oxenvcs_${deadPid}_old`];
  const kept = [`tmp_pack_oxenvcs_${deadPid}_new`, `tmp_pack_oxenvcs_${process.pid}_old`, 'tmp_pack_abc'];
  for (const name of [...names, ...kept]) {
    await fs.writeFile(path.join(packs(root), name), 'half a pack');
    if (!name.endsWith('new')) await fs.utimes(path.join(packs(root), name), 1, 1);
  }
  const take = path.join(root, 'take.wav');
  await fs.writeFile(take, 'a take');
  const oid = await gitLine(root, ['hash-object', take]);
  const givenUp = await startPack(root, 1);
  expect(await givenUp.add(take, oid, 6n)).toBe(true);
  await givenUp.discard();
  const empty = await startPack(root, 1);
  await empty.end();
  await empty.discard();
  expect((await fs.readdir(packs(root))).toSorted()).toEqual(kept.toSorted());
});
