import * as fs from 'node:fs/promises';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { git, gitLine } from '../../src/git/run.ts';
import { nameFrom } from '../../src/setup/clone.ts';
import { byHand, setUp, song, status } from '../setup/helpers.ts';
import { oxenvcs } from '../support/cli.ts';
import { fileRemote, httpRemote } from '../support/remotes.ts';
import { sandbox, write } from '../support/sandbox.ts';

/** A band's remote with one version, published from the first computer. */
async function published(url: string, files?: Record<string, string>, branch = 'main'): Promise<string> {
  const root = await song(files);
  await setUp(root, { remote: url, branch });
  expect((await oxenvcs(['push'], { cwd: root })).code).toBe(0);
  expect((await oxenvcs(['lock', 'release'], { cwd: root })).code).toBeLessThanOrEqual(3);
  return root;
}

describe('clone', () => {
  it('makes a second computer ready in one command, on the branch that the team publishes', async () => {
    const remote = await httpRemote();
    await published(remote.url, { 'Song.als': 'one', 'Take.wav': 'RIFF' }, 'mix');
    const dir = await sandbox();
    const cloned = await oxenvcs(['clone', remote.url, 'Second Mac', '--json'], { cwd: dir });
    const root = path.join(dir, 'Second Mac');
    expect(cloned.json()).toMatchObject({ project: root, branch: 'mix', remoteKind: 'remote', commit: null });
    expect(await status(root)).toEqual([]);
    expect(await fs.readFile(path.join(root, 'Take.wav'), 'utf8')).toBe('RIFF');
    await write(root, { 'Song.als': 'from the second' });
    expect(await byHand(root, ['commit', '-qam', 'by hand'])).toMatchObject({ code: 0, stderr: '' });
    expect((await oxenvcs(['push'], { cwd: root })).code).toBe(0);
    expect(await gitLine(remote.dir, ['rev-parse', 'mix'])).toBe(await gitLine(root, ['rev-parse', 'HEAD']));
  });

  it('leaves nothing where it cannot be done: a folder that holds something, a remote that is gone, one that breaks off', async () => {
    const remote = await httpRemote();
    await published(remote.url);
    const dir = await sandbox();
    await write(dir, { 'song/mine.als': 'mine' });
    expect(await oxenvcs(['clone', remote.url], { cwd: dir })).toMatchObject({
      code: 2,
      stderr: expect.stringContaining('oxenvcs init'),
    });
    remote.trouble = ({ method }) => (method === 'POST' ? { cutAnswerAfter: 600 } : null);
    const broken = await oxenvcs(['clone', remote.url, 'other', '--no-retry'], { cwd: dir });
    expect({ code: broken.code, stderr: broken.stderr }).toEqual({
      code: 4,
      stderr: expect.stringContaining('remote'),
    });
    expect(broken.stderr).not.toContain('Your versions are safe');
    remote.trouble = () => null;
    const spoilt = path.join(await sandbox(), 'spoilt');
    await git('/', ['clone', '--quiet', remote.url, spoilt]);
    await write(spoilt, { '.oxenvcs/config.json': '{' });
    await byHand(spoilt, ['commit', '-qam', 'a slip']);
    expect(await oxenvcs(['clone', spoilt, 'other'], { cwd: dir })).toMatchObject({ code: 2 });
    expect(await oxenvcs(['clone', path.join(dir, 'nowhere.git')], { cwd: dir })).toMatchObject({
      code: 2,
      stderr: expect.not.stringContaining('init --remote'),
    });
    expect(await fs.readdir(dir)).toEqual(['song']);
    expect(await fs.readdir(path.join(dir, 'song'))).toEqual(['mine.als']);
  });

  it('goes into a folder whose name is as long as a name can be', async () => {
    const remote = await fileRemote();
    await published(remote.url);
    const dir = await sandbox();
    expect(await oxenvcs(['clone', remote.url, 'x'.repeat(255)], { cwd: dir })).toMatchObject({ code: 0, stderr: '' });
  });

  it('finds the folder’s name in the address', () => {
    const named = (url: string) => nameFrom(url);
    expect(named('git@github.com:our-band/my-song.git')).toBe('my-song');
    expect(named('https://git.example/band/My%20Song/')).toBe('My%20Song');
    expect(named('ssh://nas:22/volume1/song.git/')).toBe('song');
    expect(named('/media/disk/Song/.git')).toBe('Song');
    expect(named('nas:song.git')).toBe('song');
    expect(named('C:\\songs\\song')).toBe('song');
    expect(() => named('https://')).toThrow(/does not tell a name/);
    expect(() => named('../..')).toThrow(/does not tell a name/);
  });
});

it('a teammate without oxenvcs is not disturbed by anything: clone, commit, push, tags; and we go on with theirs', async () => {
  const remote = await fileRemote();
  const ours = await published(remote.url, { 'Song.als': 'one', 'Take.wav': 'RIFF', 'notes.txt': 'a\n' });
  const theirs = path.join(await sandbox(), 'theirs');
  await git('/', ['clone', '--quiet', remote.url, theirs]);
  // Nothing of ours comes along but files that say what they are for.
  const refs = (await git(theirs, ['for-each-ref', '--format=%(refname)'])).split('\n').filter(Boolean);
  expect(refs.toSorted()).toEqual(['refs/heads/main', 'refs/remotes/origin/HEAD', 'refs/remotes/origin/main']);
  expect((await git(theirs, ['ls-files'])).split('\n').filter(Boolean)).toEqual([
    '.gitattributes',
    '.gitignore',
    '.oxenvcs/config.json',
    'Song.als',
    'Take.wav',
    'notes.txt',
  ]);
  expect((await fs.readdir(path.join(theirs, '.git/hooks'))).filter((name) => !name.endsWith('.sample'))).toEqual([]);
  await write(theirs, { 'Song.als': 'two', 'Take 2.wav': 'RIFF', 'notes.txt': 'a\nb\n' });
  await byHand(theirs, ['add', '.']);
  expect(await byHand(theirs, ['commit', '-qm', 'without oxenvcs'])).toMatchObject({ code: 0, stderr: '' });
  expect(await byHand(theirs, ['push', '-q'])).toMatchObject({ code: 0, stderr: '' });
  await byHand(theirs, ['tag', 'mix-1']);
  expect(await byHand(theirs, ['push', '-q', '--tags'])).toMatchObject({ code: 0, stderr: '' });
  expect(await status(theirs)).toEqual([]);
  expect((await oxenvcs(['pull'], { cwd: ours })).code).toBe(0);
  expect(await fs.readFile(path.join(ours, 'Song.als'), 'utf8')).toBe('two');
});
