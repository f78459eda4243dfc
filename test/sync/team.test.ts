import * as fs from 'node:fs/promises';
import path from 'node:path';
import { expect, test } from 'vitest';
import { git, gitLine } from '../../src/git/run.ts';
import { askTeam } from '../../src/sync/team.ts';
import { band, filesOf } from '../support/band.ts';
import { bareRepository } from '../support/bare.ts';
import { oxenvcs } from '../support/cli.ts';
import { proxy } from '../support/proxy.ts';
import { fileRemote, httpRemote } from '../support/remotes.ts';
import { repository, sandbox, write } from '../support/sandbox.ts';
import { team } from '../support/team.ts';

/** Ann is behind: what she knows of Ben’s versions is in her object store only. */
async function behind() {
  const people = await band('Ann', 'Ben');
  const { Ann, Ben } = people;
  await Ben.save({ 'Bass.song': 'one' });
  await Ben.push();
  const bens = await Ben.save({ 'Bass.song': 'two' });
  await Ben.push();
  await askTeam(Ann.project);
  const reset = async (to: string) => await git(people.remote.dir, ['update-ref', 'refs/heads/main', to]);
  const tip = async () => await gitLine(people.remote.dir, ['rev-parse', 'main']);
  return { ...people, bens, reset, tip };
}

test('a branch that was set back by force: what is not on it any more is kept here, and whoever has it puts it back', async () => {
  const { Ann, Ben, bens, reset, remote, files } = await behind();
  await reset(`${bens}~2`);
  expect(await Ann.pull()).toMatchObject({ pulled: 0 });
  const kept = await git(Ann.root, ['for-each-ref', '--format=%(objectname)', 'refs/oxenvcs/kept']);
  expect(kept.trim()).toBe(bens);
  await Ann.save({ 'Song.song': 'Ann’s' });
  await Ann.push();
  // Ben has nothing new, but two versions that the remote has lost: he hears of it when he asks.
  await expect(Ben.pull()).rejects.toMatchObject({ row: 'diverged' });
  expect(await Ben.push()).toMatchObject({ joined: true });
  expect(await files()).toEqual({ 'Song.song': 'Ann’s', 'Bass.song': 'two' });
  expect(await gitLine(remote.dir, ['merge-base', bens, 'main'])).toBe(bens);
});

test('a branch that was rewritten by force: the same songs are joined, other ones go to a rescue branch, nothing is lost', async () => {
  const { Ann, Ben, remote, bens, reset } = await behind();
  await Ann.pull();
  // Somebody has rewritten Ben's last version: other bytes.
  const dir = await sandbox();
  await git(dir, ['clone', '--quiet', remote.dir, 'elsewhere']);
  const elsewhere = path.join(dir, 'elsewhere');
  await fs.writeFile(path.join(elsewhere, 'Bass.song'), 'rewritten');
  await git(elsewhere, ['commit', '--quiet', '--all', '--amend', '-m', 'rewritten']);
  await git(elsewhere, ['push', '--quiet', '--force', 'origin', 'main']);
  await expect(Ann.pull()).rejects.toMatchObject({ row: 'diverged' });
  expect(await Ann.push()).toMatchObject({ rescue: expect.stringContaining('rescue/ann') });
  const rescued = await git(remote.dir, ['for-each-ref', '--format=%(objectname)', 'refs/heads/oxenvcs']);
  expect(rescued.trim()).toBe(bens);
  expect(await filesOf(remote.dir, 'main')).toMatchObject({ 'Bass.song': 'rewritten' });
  // Only the message was changed: nothing to decide.
  await reset(`${bens}~1`);
  await git(elsewhere, ['fetch', '--quiet', Ben.root, 'main']);
  await git(elsewhere, ['reset', '--quiet', '--hard', 'FETCH_HEAD']);
  await git(elsewhere, ['commit', '--quiet', '--amend', '-m', 'another message']);
  await git(elsewhere, ['push', '--quiet', '--force', 'origin', 'main']);
  await Ben.save({ 'Take.wav': 't' });
  expect(await Ben.push()).toMatchObject({ joined: true, rescue: null });
});

test('a branch that was deleted comes back with all that anybody knew of it, and with what is new', async () => {
  const { Ann, bens, remote, files } = await behind();
  await git(remote.dir, ['update-ref', '-d', 'refs/heads/main']);
  await Ann.save({ 'Song.song': 'Ann’s' });
  expect(await Ann.push()).toMatchObject({ joined: true });
  expect(await files()).toEqual({ 'Song.song': 'Ann’s', 'Bass.song': 'two' });
  expect(await gitLine(remote.dir, ['merge-base', bens, 'main'])).toBe(bens);
});

test('a branch that was deleted, and a session that both changed: the team’s comes back, ours goes to a rescue branch', async () => {
  const { Ann, bens, remote, tip } = await behind();
  await git(remote.dir, ['update-ref', '-d', 'refs/heads/main']);
  await Ann.save({ 'Bass.song': 'Ann’s' });
  expect(await Ann.push()).toMatchObject({ rescue: expect.stringContaining('rescue/ann') });
  expect(await tip()).toBe(bens);
});

test('a remote that was made anew and is empty gets everything again', async () => {
  const { Ann, bens, remote } = await behind();
  await Ann.pull();
  await fs.rm(remote.dir, { recursive: true });
  await fs.rename(await bareRepository(), remote.dir);
  expect(await Ann.pull()).toMatchObject({ pulled: 0 });
  await Ann.save({ 'Song.song': 'Ann’s' });
  await Ann.push();
  expect(await gitLine(remote.dir, ['rev-parse', 'main~1'])).toBe(bens);
});

test('a branch that was renamed is not made a second time: it is said what it is called now, and how to follow', async () => {
  const { Ann, remote } = await behind();
  await git(remote.dir, ['branch', '-m', 'main', 'song']);
  const mine = await Ann.save({ 'Song.song': 'Ann’s' });
  await expect(Ann.push()).rejects.toMatchObject({
    row: 'branch-renamed',
    details: { branch: 'main', other: 'song' },
    hint: expect.stringContaining('git branch -m main song'),
  });
  expect(await git(remote.dir, ['for-each-ref', '--format=%(refname)', 'refs/heads'])).toBe('refs/heads/song\n');
  await git(Ann.root, ['branch', '-m', 'main', 'song']);
  const followed = await oxenvcs(['init', '--branch', 'song', '--no-hooks'], { cwd: Ann.root });
  expect(followed.stderr).toBe('');
  expect((await oxenvcs(['push', '--json'], { cwd: Ann.root })).json()).toMatchObject({ branch: 'song', joined: true });
  expect(await gitLine(remote.dir, ['merge-base', mine, 'song'])).toBe(mine);
});

test('another project at the address: nothing is sent; a remote with a readme only is joined', async () => {
  const { Ann, remote } = await band('Ann');
  const other = await repository(path.join(await sandbox(), 'other'), { 'Another Song.song': 'x' });
  await git(other, ['push', '--quiet', '--force', remote.dir, 'main']);
  await Ann.save({ 'Take.wav': 't' });
  await expect(Ann.push()).rejects.toMatchObject({ row: 'unrelated', exitCode: 5 });
  expect(await git(remote.dir, ['for-each-ref', '--format=%(refname)', 'refs/heads'])).toBe('refs/heads/main\n');
  const readme = await repository(path.join(await sandbox(), 'readme'), { 'README.md': 'My song' });
  await git(readme, ['push', '--quiet', '--force', remote.dir, 'main']);
  expect(await Ann.push()).toMatchObject({ joined: true });
  expect(await filesOf(remote.dir, 'main')).toEqual({ 'Song.song': 'one', 'Take.wav': 't', 'README.md': 'My song' });
});

test('the same song begun twice: what differs goes to a rescue branch', async () => {
  const { Ann, remote } = await band('Ann');
  const twin = await repository(path.join(await sandbox(), 'twin'), { 'Song.song': 'begun by Ben' });
  await git(twin, ['push', '--quiet', '--force', remote.dir, 'main']);
  await Ann.save({ 'Take.wav': 't' });
  expect(await Ann.push()).toMatchObject({ rescue: expect.stringContaining('rescue/ann') });
});

test('asking costs little, however many refs the remote has', async () => {
  const remote = await httpRemote();
  const [ann] = await team(remote.url, ['Ann']);
  if (ann === undefined) throw new Error('one was asked for');
  const tip = await gitLine(remote.dir, ['rev-parse', 'main']);
  const refs = Array.from({ length: 20_000 }, (_, i) => `${tip} refs/oxenvcs/staging/x-${String(i).padStart(6, '0')}`);
  await fs.writeFile(
    path.join(remote.dir, 'packed-refs'),
    `# pack-refs with: peeled fully-peeled sorted \n${tip} refs/heads/main\n${refs.join('\n')}\n`,
  );
  const network = await proxy({ port: remote.port });
  await git(ann.project.root, ['remote', 'set-url', 'origin', network.url(remote.url)]);
  await askTeam(ann.project);
  // `git ls-remote` reads 1.47 MB.
  expect(network.counts.down).toBeLessThan(4096);
  expect(network.counts.connections).toBe(1);
});

test('who cloned an empty remote before the song was there gets it by sync: settings alone are no other project', async () => {
  const remote = await fileRemote();
  const dir = await sandbox();
  await write(path.join(dir, 'ann'), { 'Song.song': 'Ann’s' });
  await oxenvcs(['init', 'ann', '--remote', remote.url, '--no-hooks'], { cwd: dir });
  expect((await oxenvcs(['clone', remote.url, 'ben'], { cwd: dir })).code).toBe(0);
  expect((await oxenvcs(['--project', 'ann', 'push'], { cwd: dir })).code).toBe(0);
  expect((await oxenvcs(['--project', 'ben', 'sync', '--json'], { cwd: dir })).json()).toMatchObject({
    outcome: 'in-sync',
  });
  expect(await fs.readFile(path.join(dir, 'ben', 'Song.song'), 'utf8')).toBe('Ann’s');
  expect((await oxenvcs(['--project', 'ann', 'pull'], { cwd: dir })).code).toBe(0);
});
