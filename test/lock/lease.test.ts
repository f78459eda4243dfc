import * as fs from 'node:fs/promises';
import path from 'node:path';
import { expect, test } from 'vitest';
import { git, gitLine, tryGit } from '../../src/git/run.ts';
import { acquireLock, releaseLock, renewLock } from '../../src/lock/lease.ts';
import { lookAtLock } from '../../src/lock/view.ts';
import { readCommit } from '../../src/lock/look.ts';
import { fileRemote } from '../support/remotes.ts';
import { type Member, remoteMain, team, version } from '../support/team.ts';
import { publish } from '../../src/push/publish.ts';

const lockTip = async (bare: string) => await gitLine(bare, ['rev-parse', 'refs/oxenvcs/locks/main']);
const records = async (bare: string) => Number(await gitLine(bare, ['rev-list', '--count', 'refs/oxenvcs/locks/main']));

async function pair(): Promise<{ ann: Member; ben: Member; bare: string }> {
  const remote = await fileRemote();
  const [ann, ben] = await team(remote.url, ['Ann', 'Ben']);
  if (!ann || !ben) throw new Error('two were asked for');
  return { ann, ben, bare: remote.dir };
}

test('who holds it, where and since when is told to the one who is refused', async () => {
  const { ann, ben } = await pair();
  await acquireLock(ann.ctx, { how: 'hand', message: 'mixing' });
  const refused = await acquireLock(ben.ctx, { how: 'hand' });
  expect(refused).toMatchObject({ outcome: 'held', failure: { code: 'LOCK_HELD', details: { name: 'Ann' } } });
});

test('asking again for a lock of one’s own makes no second one', async () => {
  const { ann, bare } = await pair();
  await acquireLock(ann.ctx, { how: 'save' });
  const tip = await lockTip(bare);
  expect(await acquireLock(ann.ctx, { how: 'save' })).toMatchObject({ outcome: 'already-mine' });
  expect(await lockTip(bare)).toBe(tip);
});

test('a lock that was released is free for the next, who goes on with the chain', async () => {
  const { ann, ben, bare } = await pair();
  await acquireLock(ann.ctx, { how: 'save' });
  await renewLock(ann.ctx);
  await releaseLock(ann.ctx);
  expect(await releaseLock(ann.ctx)).toMatchObject({ outcome: 'not-ours', failure: { code: 'LOCK_LOST' } });
  const taken = await acquireLock(ben.ctx, { how: 'save' });
  expect(taken).toMatchObject({ outcome: 'acquired', held: { record: { generation: 4 } } });
  expect(await records(bare)).toBe(4);
});

test('a folder whose history lacks what the team published does not get the lock', async () => {
  const { ann, ben } = await pair();
  await acquireLock(ann.ctx, { how: 'save' });
  expect(await publish(ann.ctx, { tip: await version(ann) })).toMatchObject({ outcome: 'published' });
  await releaseLock(ann.ctx);
  expect(await acquireLock(ben.ctx, { how: 'save' })).toMatchObject({
    outcome: 'stale-base',
    failure: { code: 'STALE_BASE' },
  });
  await git(ben.project.root, ['pull', '--quiet', '--ff-only']);
  expect(await acquireLock(ben.ctx, { how: 'save' })).toMatchObject({ outcome: 'acquired' });
});

test('a push by hand does not make the own note of the branch stale for ever', async () => {
  const { ann, bare } = await pair();
  const tip = await version(ann);
  await git(ann.project.root, ['push', '--quiet', bare, 'main']); // by address: the tracking ref does not follow
  expect(await acquireLock(ann.ctx, { how: 'save' })).toMatchObject({
    outcome: 'acquired',
    held: { record: { base: tip } },
  });
});

test('publishing moves branch and lock together, and twice is the same as once', async () => {
  const { ann, bare } = await pair();
  await acquireLock(ann.ctx, { how: 'save' });
  const tip = await version(ann);
  expect(await publish(ann.ctx, { tip })).toMatchObject({ outcome: 'published', commit: tip });
  expect(await remoteMain(bare)).toBe(tip);
  expect(await publish(ann.ctx, { tip })).toMatchObject({ outcome: 'up-to-date' });
  expect(await readCommit(ann.ctx, await lockTip(bare))).toMatchObject({ record: { published: tip } });
});

test('without the lock nothing is published, also when it was taken over unnoticed', async () => {
  const { ann, ben, bare } = await pair();
  const before = await remoteMain(bare);
  const tip = await version(ann);
  expect(await publish(ann.ctx, { tip })).toMatchObject({ outcome: 'not-ours' });
  await acquireLock(ann.ctx, { how: 'save' });
  // Somebody breaks it: the ref moves on under Ann, who has not looked since.
  const ghost = await gitLine(ann.project.root, [
    'commit-tree',
    '-m',
    '{"v":99}',
    await gitLine(ann.project.root, ['mktree'], { input: '' }),
  ]);
  await git(ann.project.root, ['push', '--quiet', '--force', bare, `${ghost}:refs/oxenvcs/locks/main`]);
  expect((await publish(ann.ctx, { tip })).outcome).toBe('not-ours');
  expect(await remoteMain(bare)).toBe(before);
  expect(await acquireLock(ben.ctx, { how: 'save' })).toMatchObject({
    outcome: 'held',
    failure: { row: 'lock-newer' },
  });
});

test('a branch that moved on the remote is not overwritten', async () => {
  const { ann, ben, bare } = await pair();
  await acquireLock(ann.ctx, { how: 'save' });
  const theirs = await version(ben, 'by hand, past the lock');
  await git(ben.project.root, ['push', '--quiet', 'origin', 'main']);
  expect(await publish(ann.ctx, { tip: await version(ann) })).toMatchObject({
    outcome: 'moved',
    failure: { code: 'CONFLICT' },
  });
  expect(await remoteMain(bare)).toBe(theirs);
});

test('lock refs that somebody deleted (push --mirror) are made again by the holder, and nobody else slips in', async () => {
  const { ann, ben, bare } = await pair();
  await acquireLock(ann.ctx, { how: 'save' });
  await lookAtLock(ben.ctx);
  await git(bare, ['update-ref', '-d', 'refs/oxenvcs/locks/main']);
  expect(await acquireLock(ben.ctx, { how: 'save' })).toMatchObject({ outcome: 'held' });
  expect(await renewLock(ann.ctx)).toMatchObject({ outcome: 'done', held: { record: { generation: 2 } } });
  expect(await records(bare)).toBe(2);
});

test('an acquire whose answer was lost is found to be ours by the next run', async () => {
  const { ann, bare } = await pair();
  const aborted = new AbortController();
  const hook = path.join(bare, 'hooks', 'post-receive');
  // The server says nothing after it has moved the ref; the client is killed meanwhile.
  await fs.writeFile(hook, '#!/bin/sh\nsleep 2\n', { mode: 0o755 });
  const asked = acquireLock({ ...ann.ctx, signal: aborted.signal }, { how: 'save' });
  while ((await tryGit(bare, ['rev-parse', '--verify', '--quiet', 'refs/oxenvcs/locks/main'])).exitCode !== 0);
  aborted.abort(new Error('cut'));
  expect((await asked).outcome).toBe('unreachable');
  await fs.rm(hook);
  expect(await acquireLock(ann.ctx, { how: 'save' })).toMatchObject({ outcome: 'acquired' });
  expect(await records(bare)).toBe(1);
});

test('a record that was noted before it could be sent is sent by the next run', async () => {
  const { ann, bare } = await pair();
  const gone = `${bare}.unplugged`;
  await fs.rename(bare, gone);
  expect((await acquireLock(ann.ctx, { how: 'save' })).outcome).not.toBe('acquired');
  await fs.rename(gone, bare);
  expect((await acquireLock(ann.ctx, { how: 'save' })).outcome).toMatch(/^(acquired|already-mine)$/);
  expect(await records(bare)).toBe(1);
});

test('hostile text in a record is refused as damaged and never printed', async () => {
  const { ann, ben, bare } = await pair();
  const tree = await gitLine(ann.project.root, ['mktree'], { input: '' });
  const evil = await gitLine(ann.project.root, ['commit-tree', '-m', '{"v":1,"state":"\\u001b[2J"}', tree]);
  await git(ann.project.root, ['push', '--quiet', bare, `${evil}:refs/oxenvcs/locks/main`]);
  const refused = await acquireLock(ben.ctx, { how: 'save' });
  expect(refused).toMatchObject({ outcome: 'held', failure: { code: 'DAMAGED' } });
  expect(JSON.stringify(refused)).not.toContain('\\u001b');
});
