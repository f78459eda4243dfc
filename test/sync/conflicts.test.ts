import { spawn } from 'node:child_process';
import * as fs from 'node:fs/promises';
import path from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { git, gitLine } from '../../src/git/run.ts';
import { acquireLock } from '../../src/lock/lease.ts';
import { readRescue } from '../../src/project/rescue.ts';
import { conflictsOf, resolveConflict } from '../../src/sync/conflicts.ts';
import { askTeam } from '../../src/sync/team.ts';
import { systemClock } from '../../src/system/clock.ts';
import { band, type Musician, noDaw } from '../support/band.ts';
import { statusLines } from '../support/project.ts';
import { sandbox, write } from '../support/sandbox.ts';

const ports = { clock: systemClock, signal: new AbortController().signal, profile: noDaw };
const resolve = async ({ project }: Musician, id: string, keep: 'mine' | 'theirs' | 'both') =>
  await resolveConflict(project, id, keep, ports);

const open = async ({ project }: Musician) => {
  await askTeam(project);
  return await conflictsOf(project);
};

/** Ben has published; what Ann saved meanwhile lies on a rescue branch. */
async function parted(anns: Record<string, string>, bens: Record<string, string>) {
  const people = await band('Ann', 'Ben');
  const { Ann, Ben, remote } = people;
  const published = await Ben.save(bens);
  await Ben.push();
  const rescued = await Ann.save(anns);
  expect((await Ann.push())?.rescue).toMatch(/^oxenvcs\/rescue\/ann\//);
  const [conflict] = await open(Ann);
  if (conflict === undefined) throw new Error('there is no conflict');
  const branches = async () => (await git(remote.dir, ['for-each-ref', '--format=%(refname)', 'refs/heads'])).trim();
  const read = async ({ root }: Musician, name: string) => await fs.readFile(path.join(root, name), 'utf8');
  return { ...people, published, rescued, id: conflict.id, branches, read };
}

test('both sides see the conflict, each from where they stand: who, when, which files', async () => {
  const { Ann, Ben, published, rescued, id } = await parted(
    { 'Song.song': 'Ann’s', 'Take 1.wav': 'a' },
    { 'Song.song': 'Ben’s', 'Other.wav': 'b' },
  );
  const at = expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.000Z$/);
  const [anns, bens] = [
    { author: 'Ann', at, commit: rescued },
    { author: 'Ben', at, commit: published },
  ];
  const files = ['Song.song'];
  expect(id).toMatch(/^ann-\d{8}T\d{6}Z$/);
  expect(await open(Ann)).toMatchObject([{ id, isOurs: true, files, mine: anns, theirs: bens }]);
  expect(await open(Ben)).toMatchObject([{ id, isOurs: false, files, mine: bens, theirs: anns }]);
  // Who touched what is in common is told, not who happened to save last; and it stays the same conflict.
  await Ann.save({ 'Take 2.wav': 'a' });
  expect(await open(Ann)).toMatchObject([{ id, mine: anns }]);
});

test.each(['Ann', 'Ben'] as const)('mine is kept, by %s: published, brought in, and over for both', async (who) => {
  const { id, remote, branches, read, ...people } = await parted(
    { 'Song.song': 'Ann’s', 'Take 1.wav': 'a' },
    { 'Song.song': 'Ben’s', 'Take 2.wav': 'b' },
  );
  const [me, other] = who === 'Ann' ? [people.Ann, people.Ben] : [people.Ben, people.Ann];
  const { commit, notBroughtIn } = await resolve(me, id, 'mine');
  expect(notBroughtIn).toBeNull();
  expect(await gitLine(remote.dir, ['rev-parse', 'main'])).toBe(commit);
  expect(await gitLine(remote.dir, ['log', '-1', '--format=%s', 'main'])).toBe(
    `Both had worked on Song.song: ${who}’s kept`,
  );
  const parents = (await gitLine(remote.dir, ['log', '-1', '--format=%P', 'main'])).split(' ');
  expect(parents).toEqual([people.published, people.rescued]);
  expect(await people.files()).toEqual({ 'Song.song': `${who}’s`, 'Take 1.wav': 'a', 'Take 2.wav': 'b' });
  expect([await me.head(), await statusLines(me.root)]).toEqual([commit, []]);
  expect(await read(me, 'Song.song')).toBe(`${who}’s`);
  expect(await branches()).toBe('refs/heads/main');
  expect([await open(me), await open(other)]).toEqual([[], []]);
  await other.pull();
  expect([await other.head(), await readRescue(people.Ann.project)]).toEqual([commit, null]);
  // From here on all goes straight.
  await people.Ann.save({ 'Song.song': 'together' });
  expect(await people.Ann.push()).toMatchObject({ joined: false, rescue: null });
});

test('theirs is kept: the session here is replaced by a version, and what was ours stays in the history', async () => {
  const { Ann, id, rescued, read } = await parted({ 'Song.song': 'Ann’s' }, { 'Song.song': 'Ben’s' });
  await resolve(Ann, id, 'theirs');
  expect(await read(Ann, 'Song.song')).toBe('Ben’s');
  expect(await git(Ann.root, ['show', `${rescued}:Song.song`])).toBe('Ann’s');
  expect(await gitLine(Ann.root, ['merge-base', rescued, 'HEAD'])).toBe(rescued);
});

test('both are kept: the other’s session stands beside ours under its author’s name, with what belongs to it', async () => {
  const { Ann, Ben, id, files } = await parted(
    { 'Song.song': 'Ann’s', 'Take 1.wav': 'Ann’s' },
    { 'Song.song': 'Ben’s', 'Take 1.wav': 'Ben’s' },
  );
  await resolve(Ann, id, 'both');
  const all = {
    'Song.song': 'Ann’s',
    'Take 1.wav': 'Ann’s',
    'Song (Ben)/Song.song': 'Ben’s',
    'Song (Ben)/Take 1.wav': 'Ben’s',
  };
  expect(await files()).toEqual(all);
  expect(await statusLines(Ann.root)).toEqual([]);
  await Ben.pull();
  expect(await files()).toEqual(all);
});

test('while the DAW runs, or with unsaved changes, nothing is decided', async () => {
  const { Ann, id, remote, published, read } = await parted({ 'Song.song': 'Ann’s' }, { 'Song.song': 'Ben’s' });
  const program = path.join(await sandbox(), 'oxenvcs conflict daw');
  await fs.copyFile('/bin/sleep', program);
  await fs.chmod(program, 0o755);
  const daw = spawn(program, ['60'], { stdio: 'ignore' });
  onTestFinished(() => void daw.kill('SIGKILL'));
  const profile = { ...noDaw, programs: ['oxenvcs conflict daw'] };
  await expect(resolveConflict(Ann.project, id, 'theirs', { ...ports, profile })).rejects.toMatchObject({
    row: 'daw-runs',
  });
  await write(Ann.root, { 'Song.song': 'not a version yet' });
  await expect(resolve(Ann, id, 'theirs')).rejects.toMatchObject({ row: 'would-overwrite' });
  expect(await read(Ann, 'Song.song')).toBe('not a version yet');
  expect(await gitLine(remote.dir, ['rev-parse', 'main'])).toBe(published);
});

test('somebody holds the lock, the remote is away, another name, own work first: each is said, and nothing is done', async () => {
  const { Ann, Ben, id, remote, rescued, branches } = await parted({ 'Song.song': 'Ann’s' }, { 'Song.song': 'Ben’s' });
  await expect(resolve(Ann, 'ann-20000101T000000Z', 'mine')).rejects.toMatchObject({ row: 'no-conflict', exitCode: 2 });
  await Ben.save({ 'Take.wav': 'b' });
  await expect(resolve(Ben, id, 'mine')).rejects.toMatchObject({ row: 'not-published-yet' });
  await acquireLock(Ben.ctx, { how: 'hand' });
  await expect(resolve(Ann, id, 'mine')).rejects.toMatchObject({ code: 'LOCK_HELD' });
  await fs.rename(remote.dir, `${remote.dir}.away`);
  await expect(resolve(Ann, id, 'mine')).rejects.toMatchObject({ code: 'OFFLINE' });
  await fs.rename(`${remote.dir}.away`, remote.dir);
  expect([await Ann.head(), await statusLines(Ann.root)]).toEqual([rescued, []]);
  expect(await branches()).toContain('oxenvcs/rescue/ann');
});

test('what Ann saves after Ben has resolved it: joined where it was hers that was kept, a new conflict where it was his', async () => {
  for (const keep of ['theirs', 'mine'] as const) {
    const { Ann, Ben, id } = await parted({ 'Song.song': 'Ann’s' }, { 'Song.song': 'Ben’s' });
    await Ann.save({ 'Song.song': 'Ann’s second' });
    await resolve(Ben, id, keep);
    await new Promise((done) => setTimeout(done, 1000 - (Date.now() % 1000)));
    const pushed = await Ann.push();
    expect(pushed?.rescue === null).toBe(keep === 'theirs');
    const [again] = await open(Ann);
    if (keep === 'mine') expect(again?.id).not.toBe(id);
    else expect(again).toBeUndefined();
  }
});

test('two who resolve it at the same time: one decides, the other hears of it', async () => {
  const { Ann, Ben, id, remote } = await parted({ 'Song.song': 'Ann’s' }, { 'Song.song': 'Ben’s' });
  const results = await Promise.allSettled([resolve(Ann, id, 'mine'), resolve(Ben, id, 'mine')]);
  const failed = results.filter((one) => one.status === 'rejected').map(({ reason }) => reason as { row: string });
  expect(results.some(({ status }) => status === 'fulfilled')).toBe(true);
  for (const { row } of failed) expect(['no-conflict', 'lock-held']).toContain(row);
  expect((await git(remote.dir, ['rev-list', '--merges', 'main'])).trim().split('\n')).toHaveLength(1);
});

test('a rescue branch that the remote would not let go tells no second conflict when its work is long published', async () => {
  const { Ann, remote, rescued, id } = await parted({ 'Song.song': 'Ann’s' }, { 'Song.song': 'Ben’s' });
  await git(remote.dir, ['update-ref', 'refs/heads/oxenvcs/rescue/ann/20200101T000000Z', `${rescued}^`]);
  expect((await open(Ann)).map((one) => one.id)).toEqual([id]);
});
