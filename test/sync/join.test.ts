import { expect, test } from 'vitest';
import { git, gitLine } from '../../src/git/run.ts';
import { breakLock } from '../../src/lock/break.ts';
import { lockContext } from '../../src/lock/context.ts';
import { acquireLock, releaseLock, renewLock } from '../../src/lock/lease.ts';
import { band } from '../support/band.ts';
import { statusLines } from '../support/project.ts';

test('work that has nothing in common is joined by itself, here nothing moves, and later saves are joined again', async () => {
  const { Ann, Ben, remote, files } = await band('Ann', 'Ben');
  await Ben.save({ 'Bass.song': 'bass', 'Take 1.wav': 'Ben’s' });
  await Ben.push();
  const mine = await Ann.save({ 'Song.song': 'two', 'Take 2.wav': 'Ann’s' });
  expect(await Ann.push()).toMatchObject({ outcome: 'pushed', joined: true, rescue: null });
  const all = { 'Song.song': 'two', 'Bass.song': 'bass', 'Take 1.wav': 'Ben’s', 'Take 2.wav': 'Ann’s' };
  expect(await files()).toEqual(all);
  expect(await gitLine(remote.dir, ['log', '-1', '--format=%s|%p', 'main'])).toMatch(
    /^Work of .*Ann.* joined\|\w+ \w+$/,
  );
  expect([await Ann.head(), await statusLines(Ann.root)]).toEqual([mine, []]);
  expect(await Ann.push()).toBeNull();

  // What Ann's folder does not have yet never looks as if she had deleted it.
  await Ann.save({ 'Song.song': 'three' });
  expect(await Ann.push()).toMatchObject({ joined: true });
  await Ann.save({ 'Other.wav': 'o' });
  expect(await Ann.push()).toMatchObject({ joined: true });
  // What she does delete stays, for a session of Ben’s that she has not seen may use it.
  await Ann.save({ 'Take 2.wav': null });
  expect(await Ann.push()).toMatchObject({ joined: true });
  expect(await files()).toEqual({ ...all, 'Song.song': 'three', 'Other.wav': 'o' });

  expect(await Ann.pull()).toMatchObject({ commit: await gitLine(remote.dir, ['rev-parse', 'main']) });
  expect(await statusLines(Ann.root)).toEqual([]);
  await Ben.pull();
  expect(await Ben.head()).toBe(await Ann.head());
  // From here on it goes straight.
  await Ann.save({ 'Song.song': 'four' });
  expect(await Ann.push()).toMatchObject({ joined: false });
});

test('while somebody holds the lock all waits; then it is joined, or goes to a rescue branch', async () => {
  const { Ann, Ben, Cleo, files } = await band('Ann', 'Ben', 'Cleo');
  await acquireLock(Ben.ctx, { how: 'hand' });
  await Ben.save({ 'Song.song': 'Ben’s' });
  await Ben.push();
  await Ann.save({ 'Other.song': 'Ann’s' });
  await Cleo.save({ 'Song.song': 'Cleo’s' });
  await expect(Ann.push()).rejects.toMatchObject({ code: 'LOCK_HELD' });
  await expect(Cleo.push()).rejects.toMatchObject({ code: 'LOCK_HELD' });
  // Also when she has heard of what Ben published.
  await expect(Cleo.pull()).rejects.toMatchObject({ row: 'diverged', exitCode: 5 });
  await expect(Cleo.push()).rejects.toMatchObject({ code: 'LOCK_HELD' });
  await releaseLock(Ben.ctx);
  expect(await Ann.push()).toMatchObject({ joined: true });
  expect(await Cleo.push()).toMatchObject({ rescue: expect.stringContaining('oxenvcs/rescue/cleo/') });
  expect(await files()).toEqual({ 'Song.song': 'Ben’s', 'Other.song': 'Ann’s' });
});

test('a publisher that was killed after it had joined makes the same join again', async () => {
  const { Ann, Ben, remote } = await band('Ann', 'Ben');
  await Ben.save({ 'Bass.song': 'bass' });
  await Ben.push();
  await Ann.save({ 'Song.song': 'two' });
  await Ann.push();
  const join = await gitLine(remote.dir, ['rev-parse', 'main']);
  // As if the answer had not come: nothing is known here of the join.
  await git(remote.dir, ['update-ref', 'refs/heads/main', `${join}^1`]);
  await git(Ann.root, ['update-ref', 'refs/remotes/origin/main', `${join}^1`]);
  await Ann.push();
  expect(await gitLine(remote.dir, ['rev-parse', 'main'])).toBe(join);
});

test('a rescue goes on with later saves, ends when there is nothing in common any more, and a new one gets a new branch', async () => {
  const { Ann, Ben, remote, files } = await band('Ann', 'Ben');
  const rescues = async () =>
    (await git(remote.dir, ['for-each-ref', '--format=%(objectname)', 'refs/heads/oxenvcs'])).trim();
  await Ben.save({ 'Song.song': 'Ben’s' });
  await Ben.push();
  await Ann.save({ 'Song.song': 'Ann’s' });
  expect(await Ann.push()).toMatchObject({ rescue: expect.stringContaining('rescue/ann') });
  const second = await Ann.save({ 'Take.wav': 't' });
  expect(await Ann.push()).toMatchObject({ rescue: expect.stringContaining('rescue/ann') });
  expect(await rescues()).toBe(second);
  // Ann takes Ben's session over by hand.
  await Ann.save({ 'Song.song': 'Ben’s' });
  expect(await Ann.push()).toMatchObject({ rescue: null, joined: true });
  expect(await files()).toEqual({ 'Song.song': 'Ben’s', 'Take.wav': 't' });
  await Ben.pull();
  await Ben.save({ 'Song.song': 'Ben’s second' });
  await Ben.push();
  await Ann.save({ 'Song.song': 'Ann’s second' });
  await new Promise((done) => setTimeout(done, 1000 - (Date.now() % 1000)));
  await Ann.push();
  expect((await rescues()).split('\n')).toHaveLength(2);
});

test('what the user has rewritten since it was rescued does not push the rescued version off the remote', async () => {
  const { Ann, Ben, remote } = await band('Ann', 'Ben');
  await Ben.save({ 'Song.song': 'Ben’s' });
  await Ben.push();
  const first = await Ann.save({ 'Song.song': 'Ann’s' });
  await Ann.push();
  await git(Ann.root, ['commit', '--quiet', '--amend', '-m', 'another message']);
  await new Promise((done) => setTimeout(done, 1000 - (Date.now() % 1000)));
  await Ann.push();
  const rescued = (await git(remote.dir, ['for-each-ref', '--format=%(objectname)', 'refs/heads/oxenvcs'])).trim();
  expect(rescued.split('\n').toSorted()).toEqual([first, await Ann.head()].toSorted());
});

test('a lock that went to the person’s own other machine is waited for, and nothing goes to a rescue branch', async () => {
  const { Ann, Ben, remote } = await band('Ann', 'Ben');
  await git(Ben.root, ['config', 'user.email', await gitLine(Ann.root, ['config', 'user.email'])]);
  await acquireLock(Ann.ctx, { how: 'save' });
  await renewLock(Ann.ctx, { idleSince: Date.now() });
  expect(await acquireLock(await lockContext(Ben.project), { how: 'hand' })).toMatchObject({ outcome: 'taken-over' });
  await Ann.save({ 'Song.song': 'two' });
  await expect(Ann.push()).rejects.toMatchObject({ row: 'lock-held' });
  expect(await git(remote.dir, ['for-each-ref', 'refs/heads/oxenvcs'])).toBe('');
});

test('what was made under a lock that was taken from us waits on a rescue branch, which no `git clean` takes for the end of it', async () => {
  const { Ann, Ben, remote } = await band('Ann', 'Ben');
  const branches = async () =>
    await git(remote.dir, ['for-each-ref', '--format=%(refname) %(objectname)', 'refs/heads']);
  await acquireLock(Ann.ctx, { how: 'hand' });
  const mine = await Ann.save({ 'Song.song': 'two' });
  await breakLock(Ben.ctx, { reason: 'deadline' });
  await acquireLock(Ben.ctx, { how: 'hand' });
  await expect(Ann.push()).rejects.toMatchObject({ row: 'lock-held-aside', exitCode: 3 });
  expect(await branches()).toMatch(new RegExp(`oxenvcs/rescue/ann/.* ${mine}`));
  await git(Ann.root, ['clean', '--quiet', '-fdx']);
  await expect(Ann.push()).rejects.toMatchObject({ code: 'LOCK_HELD' });
  await releaseLock(Ben.ctx);
  expect(await Ann.push()).toMatchObject({ outcome: 'pushed', rescue: null });
  expect(await branches()).toBe(`refs/heads/main ${mine}\n`);
});
