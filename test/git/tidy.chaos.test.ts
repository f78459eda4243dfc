import * as fs from 'node:fs/promises';
import path from 'node:path';
import { expect, test } from 'vitest';
import { git, tryGit } from '../../src/git/run.ts';
import { tidyRepository } from '../../src/git/tidy.ts';
import { dice } from '../support/dice.ts';
import { rounds } from '../support/rounds.ts';
import { repository, sandbox } from '../support/sandbox.ts';
import { saves } from '../support/saves.ts';

const never = new AbortController().signal;

/** Bytes of all objects. */
async function stored(root: string): Promise<{ loose: number; bytes: number }> {
  const text = await git(root, ['count-objects', '-v']);
  const of = (name: string) => Number(new RegExp(`^${name}: (\\d+)`, 'm').exec(text)?.[1]);
  return { loose: of('count'), bytes: (of('size') + of('size-pack')) * 1024 };
}

test('a thousand saves of a text session of 5 MB cost 60 MB at most, and each is there', async () => {
  const root = await repository(await sandbox());
  const { roll } = dice(3);
  // The suite plays fewer, and smaller.
  const count = rounds(1000, 20);
  const bytes = count === 1000 ? 5_000_000 : 2_000_000;
  const blobs = await saves(root, count, bytes, roll);
  const before = await stored(root);
  expect(await tidyRepository({ cwd: root, args: [] }, never)).toBe('tidied');
  const after = await stored(root);
  expect(after.loose).toBe(0);
  expect(after.bytes).toBeLessThan(60_000_000 * (bytes / 5_000_000) * Math.max(0.2, count / 1000));
  expect(after.bytes).toBeLessThan(before.bytes / 5);
  const missing = await git(root, ['cat-file', '--batch-check'], { input: blobs.join('\n') });
  expect(missing).not.toMatch(/missing/);
  expect((await tryGit(root, ['fsck', '--full', '--no-dangling'])).exitCode).toBe(0);
  // Done is done.
  expect(await tidyRepository({ cwd: root, args: [] }, never)).toBe('nothing-to-do');
});

test('tidying that is killed at any moment loses nothing, and what it leaves behind goes with the next', async () => {
  const { roll } = dice(5);
  const dir = await sandbox();
  // Some after the other: the more there is, the longer each round takes.
  for (let n = rounds(6, 6); n > 0; n--) await killTidying(await repository(path.join(dir, `song ${n}`)), roll);
});

async function killTidying(root: string, roll: () => number): Promise<void> {
  const blobs: string[] = [];
  const packs = path.join(root, '.git/objects/pack');
  const leftovers = async () => (await fs.readdir(packs)).filter((name) => /^(tmp_|\.tmp-)/.test(name));
  const areThere = async () =>
    expect(await git(root, ['cat-file', '--batch-check'], { input: blobs.join('\n') })).not.toMatch(/missing/);
  // How long it takes: it is killed as often at its end, where the new pack gets its name and the old objects go, as before.
  let usualMs = 1000;
  for (let n = rounds(10, 4); n > 0; n--) {
    // Enough for it to be worth it, each time.
    blobs.push(...(await saves(root, 110, 50_000, roll)));
    const enough = new AbortController();
    const timer = setTimeout(() => enough.abort(), roll() * 1.1 * usualMs);
    await tidyRepository({ cwd: root, args: [] }, enough.signal);
    clearTimeout(timer);
    await areThere();
    for (const name of await leftovers()) await fs.utimes(path.join(packs, name), 1, 1);
    const start = performance.now();
    if ((await tidyRepository({ cwd: root, args: [] }, never)) === 'tidied') usualMs = performance.now() - start;
    expect(await leftovers()).toEqual([]);
    await areThere();
  }
  expect((await tryGit(root, ['fsck', '--full', '--no-dangling'])).exitCode).toBe(0);
}
