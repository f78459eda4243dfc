import { execFileSync } from 'node:child_process';
import { appendFileSync } from 'node:fs';
import * as fs from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import { git, gitLine } from '../../src/git/run.ts';
import { findProject } from '../../src/project/project.ts';
import { dataFolder } from '../../src/system/places.ts';
import { repository, sandbox, write } from '../support/sandbox.ts';
import { filesIn, ours, setUp, snapshot, song, status } from './helpers.ts';

const live = {
  'Song.als': 'session',
  'Samples/Recorded/Take 1.wav': 'RIFF',
  'Ableton Project Info/AProject.ico': 'icon',
  'Backup/Song [2026-01-01].als': 'old',
  '.DS_Store': 'junk',
  'notes – 🎹\n.txt': 'odd',
  '-rf': 'odd',
};

describe('a new project', () => {
  it('leaves out a take that is being recorded, though it lies still just now, and says so', async () => {
    const root = await song({ ...live, 'Idle.wav': 'RIFF' });
    const take = await fs.open(path.join(root, 'Samples/Recorded/Take 1.wav'), 'a');
    onTestFinished(async () => await take.close());
    const idle = await fs.open(path.join(root, 'Idle.wav'), 'a');
    onTestFinished(async () => await idle.close());
    const anHourAgo = Date.now() / 1000 - 3600;
    await fs.utimes(path.join(root, 'Idle.wav'), anHourAgo, anHourAgo);
    const { commit, warnings } = await setUp(root);
    const files = await filesIn(root, commit ?? '');
    expect(files).not.toContain('Samples/Recorded/Take 1.wav');
    // A descriptor that somebody has forgotten does not keep a take out.
    expect(files).toContain('Idle.wav');
    expect(warnings.join()).toMatch(/Take 1\.wav/);
  });

  it('has everything but what the DAW makes anew in its first version, and nothing left to commit', async () => {
    const root = await song(live);
    const { project, daw, remoteKind, commit, warnings } = await setUp(root);
    expect({ daw, remoteKind, warnings, root: project.root }).toEqual({
      daw: 'live',
      remoteKind: 'vault',
      warnings: [],
      root,
    });
    const kept = Object.keys(live).filter((name) => !name.startsWith('Backup') && name !== '.DS_Store');
    expect((await filesIn(root, commit ?? '')).toSorted()).toEqual([...ours, ...kept].toSorted());
    expect(await gitLine(root, ['rev-parse', 'refs/heads/main'])).toBe(commit);
    expect(await status(root)).toEqual([]);
    expect(await gitLine(root, ['log', '-1', '--format=%s'])).toBe('My Song put under version control');
    expect(await findProject(path.join(root, 'Samples'))).toEqual(project);
  });

  it('makes a vault also where Git takes no bare repository that it comes across', async () => {
    const folder = path.join(process.env['XDG_CONFIG_HOME'] ?? '', 'git');
    await write(folder, { config: '[safe]\n\tbareRepository = explicit\n' });
    onTestFinished(async () => await fs.rm(folder, { recursive: true }));
    expect(await setUp(await song(live))).toMatchObject({ remoteKind: 'vault', warnings: [] });
  });

  it('says what was done, and the second time nothing is: not a byte, not a commit', async () => {
    const root = await song(live);
    expect((await setUp(root)).created).toEqual([
      'Git repository with the branch main',
      'Git settings for audio',
      expect.stringMatching(/^Vault, until there is a remote: .*\/vaults\/My-Song-[0-9a-f]{8}\.git$/),
      'First version, with 8 files',
      'Git hooks',
    ]);
    const before = await snapshot(root);
    expect(await setUp(root)).toMatchObject({
      created: [],
      commit: null,
      warnings: [],
      daw: 'live',
      remoteKind: 'vault',
    });
    expect(await snapshot(root)).toEqual(before);
  });

  it('keeps every byte of audio and sessions, whatever Git is told to do with text', async () => {
    await git('/', ['config', '--global', 'core.autocrlf', 'true']);
    onTestFinished(async () => void (await git('/', ['config', '--global', '--unset', 'core.autocrlf'])));
    const root = await song({ 'Song.RPP': '<REAPER\r\n>\r\n', 'TAKE.WAV': 'a\r\nb\r\n', 'lyrics.txt': 'la\r\nla\r\n' });
    const { daw } = await setUp(root);
    expect(daw).toBe('reaper');
    for (const name of ['Song.RPP', 'TAKE.WAV', 'lyrics.txt'])
      expect(await git(root, ['cat-file', 'blob', `HEAD:${name}`])).toBe(
        await fs.readFile(path.join(root, name), 'utf8'),
      );
    const attributes = await git(root, [
      'check-attr',
      'delta',
      'text',
      'merge',
      '--',
      'TAKE.WAV',
      'a/x.aif',
      'Song.RPP',
      'b/c.Als',
      'S.logicx/Alternatives/000/ProjectData',
      'x.txt',
    ]);
    const unset = attributes.split('\n').filter((line) => line.endsWith(': unset'));
    expect(unset.map((line) => line.replace(': unset', ''))).toEqual([
      'TAKE.WAV: delta',
      'TAKE.WAV: text',
      'a/x.aif: delta',
      'a/x.aif: text',
      'Song.RPP: text',
      'Song.RPP: merge',
      'b/c.Als: text',
      'b/c.Als: merge',
      'S.logicx/Alternatives/000/ProjectData: text',
      'S.logicx/Alternatives/000/ProjectData: merge',
    ]);
  });

  it('stores audio as it is, without looking for differences, and sessions small', async () => {
    const noise = Buffer.alloc(2_000_000, 'abc');
    const root = await song({ 'Song.RPP': noise, 'Take.wav': noise.subarray(1) });
    await setUp(root);
    const size = async (name: string) =>
      Number(await git(root, ['cat-file', '--batch-check=%(objectsize:disk)'], { input: `HEAD:${name}\n` }));
    expect(await size('Song.RPP')).toBeLessThan(100_000);
    expect(await size('Take.wav')).toBeGreaterThan(1_900_000);
  });

  it('is safe against power loss and surprise maintenance for every Git client', async () => {
    const root = await song();
    await setUp(root);
    const read = async (key: string) => await gitLine(root, ['config', '--local', '--get', key]);
    expect(await Promise.all(['core.fsync', 'core.fsyncMethod', 'gc.auto', 'maintenance.auto'].map(read))).toEqual([
      'committed,loose-object',
      'batch',
      '0',
      'false',
    ]);
  });

  it('ignores our notes, but never the settings', async () => {
    const root = await song();
    await setUp(root);
    await write(root, { '.oxenvcs/queue/1.json': '{}', '.oxenvcs/state/x': '', '.oxenvcs/log/watch.log': '' });
    expect(await status(root)).toEqual([]);
    await write(root, { '.oxenvcs/config.json': '{"v":1,"branch":"main"}\n' });
    expect(await status(root)).toEqual([' M .oxenvcs/config.json']);
  });

  it('leaves out a repository inside it, also an empty one, and says so', async () => {
    const root = await song();
    await repository(path.join(root, 'Samples/bought'));
    await git(root, ['init', '--quiet', path.join(root, 'Samples/new')]);
    await write(root, { 'Samples/new/Kick.wav': 'RIFF' });
    const { warnings } = await setUp(root);
    expect(warnings).toEqual([
      expect.stringContaining('Samples/bought is a Git repository of its own'),
      expect.stringContaining('Samples/new is a Git repository of its own'),
    ]);
    expect(await filesIn(root)).toEqual([...ours, 'Song.als'].toSorted());
  });

  it('gets the branch that is asked for; a name that is none is refused before anything is there', async () => {
    const root = await song();
    for (const branch of ['a b', '-x', '@{-1}', '', 'a..b'])
      await expect(setUp(root, { branch })).rejects.toMatchObject({ code: 'USAGE' });
    expect(await fs.readdir(root)).toEqual(['Song.als']);
    const { project } = await setUp(root, { branch: 'mix/2' });
    expect(project.config.branch).toBe('mix/2');
    expect(JSON.parse(await fs.readFile(path.join(root, '.oxenvcs/config.json'), 'utf8'))).toEqual({
      v: 1,
      branch: 'mix/2',
    });
    expect(await gitLine(root, ['symbolic-ref', 'HEAD'])).toBe('refs/heads/mix/2');
    expect((await setUp(root)).created).toEqual([]);
  });

  it('gets the DAW that is named, and an unknown name is refused with the known ones', async () => {
    const root = await song();
    await expect(setUp(root, { daw: 'abelton' })).rejects.toThrow(/"abelton".*live.*reaper/);
    expect(await fs.readdir(root)).toEqual(['Song.als']);
    expect((await setUp(root, { daw: 'reaper' })).daw).toBe('reaper');
    expect(await fs.readFile(path.join(root, '.gitignore'), 'utf8')).toContain('*.reapeaks\n');
    expect((await setUp(root)).daw).toBe('reaper');
  });

  it('leaves out a take that is being recorded, and says so', async () => {
    const root = await song(live);
    const take = path.join(root, 'Samples/Recorded/Take 2.wav');
    const recording = setInterval(() => appendFileSync(take, 'RIFF'), 1);
    onTestFinished(() => clearInterval(recording));
    appendFileSync(take, 'RIFF');
    const { warnings } = await setUp(root);
    expect(warnings).toEqual([expect.stringContaining('Samples/Recorded/Take 2.wav was changing all the time')]);
    expect(await filesIn(root)).toContain('Samples/Recorded/Take 1.wav');
    expect(await status(root)).toEqual(['?? Samples/Recorded/Take 2.wav']);
  });

  it('is made of an empty folder, too', async () => {
    const root = await song({});
    await fs.mkdir(root);
    expect(await setUp(root)).toMatchObject({ daw: 'generic' });
    expect(await filesIn(root)).toEqual(ours);
  });

  it('goes on from an `init` that was cut off before the commit, or between it and the index', async () => {
    const root = await song(live);
    await git(root, ['init', '--quiet', '-b', 'other']);
    const first = await setUp(root);
    expect(first.commit).not.toBeNull();
    expect(await gitLine(root, ['symbolic-ref', '--short', 'HEAD'])).toBe('other');
    // HEAD has moved, but no index was written: every file would look deleted.
    await fs.rm(path.join(root, '.git/index'));
    expect((await setUp(root)).commit).toBeNull();
    expect(await status(root)).toEqual([]);
  });

  it('leaves nothing half done where it fails', async () => {
    const root = await song();
    // The vault cannot be made.
    const before = process.env['XDG_DATA_HOME'];
    process.env['XDG_DATA_HOME'] = path.join(root, 'Song.als');
    onTestFinished(() => void (process.env['XDG_DATA_HOME'] = before));
    await expect(setUp(root)).rejects.toThrow();
    expect(await fs.readdir(root)).toEqual(['Song.als']);
  });

  it('leaves nothing either where it fails after the vault was made and the first of our files was written', async () => {
    const root = await song({ 'Song.als': 'one', '.gitignore/what': 'a folder' });
    const vaults = path.join(process.env['XDG_DATA_HOME'] ?? '', 'oxenvcs', 'vaults');
    const there = async () => [await snapshot(root), await fs.readdir(vaults).catch(() => [])];
    const fresh = await there();
    await expect(setUp(root)).rejects.toThrow('EISDIR');
    expect(await there()).toEqual(fresh);
    // A repository of the user's own.
    await git(path.dirname(root), ['init', '--quiet', root]);
    await write(root, { '.gitattributes': '*.txt text\n' });
    await git(root, ['add', '.gitattributes', 'Song.als']);
    await git(root, ['commit', '--quiet', '-m', 'mine']);
    const used = await there();
    await expect(setUp(root)).rejects.toThrow('EISDIR');
    expect(await there()).toEqual(used);
  });
});

describe('two at once', () => {
  it('end with one repository and one first version, whoever was first', async () => {
    const root = await song(live);
    const both = await Promise.all([setUp(root), setUp(root)]);
    expect(both.map(({ created }) => created.length === 0)).toContain(true);
    expect(both.flatMap(({ created }) => created)).toHaveLength(5);
    expect(await gitLine(root, ['rev-list', '--count', 'HEAD'])).toBe('1');
    expect(await status(root)).toEqual([]);
  });
});

describe('in a folder that a service copies between computers', () => {
  it('the data of Git lies outside, and the same is found again after the link to it was lost', async () => {
    const root = path.join(os.homedir(), 'Dropbox', 'My Song');
    onTestFinished(async () => await fs.rm(path.join(os.homedir(), 'Dropbox'), { recursive: true }));
    await write(root, live);
    const { project, created, commit } = await setUp(root);
    expect(project.gitDir.startsWith(path.join(dataFolder(), 'repositories', 'My-Song-'))).toBe(true);
    expect((await fs.lstat(path.join(root, '.git'))).isFile()).toBe(true);
    expect(created[0]).toContain('Dropbox');
    expect((await setUp(root)).created).toEqual([]);
    await fs.rm(path.join(root, '.git'));
    await setUp(root);
    expect(await gitLine(root, ['rev-parse', 'HEAD'])).toBe(commit);
    expect(await status(root)).toEqual([]);
  });

  it('a repository that is there already stays, with a warning', async () => {
    const dir = await sandbox();
    await fs.mkdir(path.join(dir, '.stfolder'));
    const root = await repository(path.join(dir, 'song'));
    expect((await setUp(root)).warnings).toEqual([expect.stringMatching(/^Syncthing .*--separate-git-dir/)]);
    expect((await fs.lstat(path.join(root, '.git'))).isDirectory()).toBe(true);
  });
});

describe('a musician without a Git identity', () => {
  it('gets one for this project only', async () => {
    await withoutIdentity();
    const root = await song();
    const { created } = await setUp(root);
    expect(created).toContainEqual(expect.stringMatching(/^Name for the versions made here: .+ <.+@.+\..+>$/));
    expect(await git(root, ['config', '--local', '--get', 'user.email'])).toMatch(/@.+\n/);
    expect(execFileSync('git', ['commit', '--allow-empty', '-qm', 'by hand'], { cwd: root })).toBeDefined();
    expect((await setUp(root)).created).toEqual([]);
  });

  it('keeps the half of one that they have', async () => {
    await withoutIdentity('[user]\n\tname = Zoë\n');
    const root = await song();
    await setUp(root);
    expect(await gitLine(root, ['log', '-1', '--format=%an'])).toBe('Zoë');
    const local = await git(root, ['config', '--local', '--list']);
    expect(local).toContain('user.email=');
    expect(local).not.toContain('user.name=');
  });

  it('is one whom the environment does not name either', async () => {
    await withoutIdentity();
    const named = {
      GIT_AUTHOR_NAME: 'Ann',
      GIT_AUTHOR_EMAIL: 'a@b',
      GIT_COMMITTER_NAME: 'Ann',
      GIT_COMMITTER_EMAIL: 'a@b',
    };
    Object.assign(process.env, named);
    onTestFinished(() => {
      for (const name of Object.keys(named)) delete process.env[name];
    });
    const root = await song();
    await setUp(root);
    expect(await git(root, ['config', '--local', '--list'])).not.toContain('user.');
  });
});

async function withoutIdentity(config = ''): Promise<void> {
  const file = path.join(os.homedir(), '.gitconfig');
  const before = await fs.readFile(file);
  await fs.writeFile(file, config);
  onTestFinished(async () => await fs.writeFile(file, before));
}
