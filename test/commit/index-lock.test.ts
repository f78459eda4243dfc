import { spawn, spawnSync } from 'node:child_process';
import * as fs from 'node:fs/promises';
import path from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { takeIndexLock } from '../../src/commit/index-lock.ts';
import { git } from '../../src/git/run.ts';
import { exists } from '../../src/system/disk.ts';
import { projectWithRemote } from '../support/project.ts';

async function setUp() {
  const { project } = await projectWithRemote();
  return { gitDir: project.gitDir, root: project.root, lock: path.join(project.gitDir, 'index.lock') };
}

const other = spawn('sleep', ['60'], { stdio: 'ignore' });
afterAll(() => other.kill());

/** The number of a process that has ended. */
const deadPid = (): number => spawnSync('true').pid;

test('while we hold it the user’s git waits, and it is gone afterwards', async () => {
  const { gitDir, root, lock } = await setUp();
  const held = await takeIndexLock(gitDir);
  await expect(git(root, ['add', '--all'])).rejects.toMatchObject({ row: 'busy' });
  expect(await takeIndexLock(gitDir)).toBe(null);
  await held?.release();
  expect(await exists(lock)).toBe(false);
  expect(await fs.readdir(path.join(gitDir, 'oxenvcs'))).toEqual([]);
  await git(root, ['add', '--all']);
});

test('the index that is put in place keeps its time: under a newer one git would not see a second save of the same second', async () => {
  const { gitDir } = await setUp();
  const index = path.join(gitDir, 'index');
  const copy = `${index}-copy`;
  await fs.copyFile(index, copy);
  await fs.utimes(copy, 1_700_000_000.9, 1_700_000_000.9);
  await (await takeIndexLock(gitDir))?.replace(copy);
  expect((await fs.stat(index)).mtimeMs).toBe(1_700_000_000_000);
});

test.for([
  ['a killed process of ours', deadPid],
  ['one whose number another program has by now', () => other.pid],
  ['one whose number we have by now', () => process.pid],
] as const)('the lock of %s is taken away', async ([, pid]) => {
  const { gitDir, lock } = await setUp();
  const own = path.join(gitDir, 'oxenvcs', `index-lock-${pid()}-x`);
  await fs.mkdir(path.dirname(own));
  await fs.writeFile(own, 'half an index');
  await fs.link(own, lock);
  const held = await takeIndexLock(gitDir);
  expect(held).not.toBe(null);
  await held?.release();
  expect(await exists(own)).toBe(false);
});

test('one of the user’s own git is never taken away', async () => {
  const { gitDir, lock } = await setUp();
  await fs.mkdir(path.join(gitDir, 'oxenvcs'));
  await fs.writeFile(path.join(gitDir, 'oxenvcs', `index-lock-${deadPid()}-x`), '');
  await fs.writeFile(lock, 'git is at work');
  expect(await takeIndexLock(gitDir)).toBe(null);
  expect(await fs.readFile(lock, 'utf8')).toBe('git is at work');
});

test('after the index is replaced, a lock that somebody takes next is left alone', async () => {
  const { gitDir, lock } = await setUp();
  const held = await takeIndexLock(gitDir);
  const copy = path.join(gitDir, 'copy');
  await fs.copyFile(path.join(gitDir, 'index'), copy);
  await held?.replace(copy);
  await fs.writeFile(lock, 'git is at work');
  await held?.release();
  expect(await exists(lock)).toBe(true);
});
