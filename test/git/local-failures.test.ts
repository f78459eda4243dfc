import * as fs from 'node:fs/promises';
import path from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import { sortFailure, sortPush } from '../../src/git/failures.ts';
import { git, gitAsks, gitEnvironment, gitLine, type GitOptions, tryGit } from '../../src/git/run.ts';
import { run } from '../../src/system/process.ts';
import { push, songRepository } from '../support/pushing.ts';
import { fileRemote } from '../support/remotes.ts';
import { repository, sandbox } from '../support/sandbox.ts';
import { fillUp, smallDisk } from '../support/small-disk.ts';

/** How a git call here ended. */
async function sorted(dir: string, args: string[], options: GitOptions = {}): Promise<string> {
  const result = await tryGit(dir, args, options);
  if (result.exitCode === 0) return 'done';
  const { kind, row } = sortFailure(result);
  return `${kind} ${row}`;
}

describe('the disk is full', () => {
  it('for objects, the index, refs and what is fetched; with room again all goes on', async () => {
    const disk = await smallDisk(2 * 1024 * 1024);
    const song = await repository(path.join(disk, 'song'));
    const other = await songRepository(100_000);
    await fs.writeFile(path.join(song, 'take.wav'), 'a take');
    const full = await fillUp(disk);
    const head = await gitLine(song, ['rev-parse', 'HEAD']);
    for (const args of [
      ['add', 'take.wav'],
      ['commit', '--allow-empty', '-m', 'second'],
      ['fetch', other],
      ['read-tree', 'HEAD'],
      ['update-ref', 'refs/oxenvcs/queue/1', 'HEAD'],
      ['pack-refs', '--all'],
    ])
      expect([args[0], await sorted(song, args)]).toEqual([args[0], 'local disk-full']);
    await expect(git(song, ['hash-object', '-w', '--stdin'], { input: 'new' })).rejects.toMatchObject({
      row: 'disk-full',
      retryable: true,
    });
    await fs.rm(full);
    expect(await gitLine(song, ['rev-parse', 'HEAD'])).toBe(head);
    expect(await sorted(song, ['add', 'take.wav'])).toBe('done');
    expect(await sorted(song, ['commit', '-m', 'second'])).toBe('done');
  });
});

describe('who makes the versions', () => {
  it('is not known to git: that is told with what to do', async () => {
    const song = await repository(await sandbox());
    await git(song, ['config', 'user.useConfigOnly', 'true']);
    const env = { GIT_CONFIG_GLOBAL: '/dev/null' };
    for (const args of [
      ['var', 'GIT_COMMITTER_IDENT'],
      ['commit-tree', '-m', 'x', 'HEAD^{tree}'],
    ])
      expect(await sorted(song, args, { env })).toBe('local no-identity');
  });
});

describe('files are in the way', () => {
  it('a lock that another git holds', async () => {
    const song = await songRepository();
    await fs.writeFile(path.join(song, '.git/index.lock'), '');
    expect(await sorted(song, ['add', '--all'])).toBe('local busy');
    await fs.writeFile(path.join(song, '.git/refs/heads/main.lock'), '');
    // As git says it; ours would wait until the lock is given up (see stale-lock.test.ts).
    const said = await run('git', ['update-ref', 'refs/heads/main', 'HEAD'], { cwd: song, env: gitEnvironment() });
    expect(sortFailure(said)).toMatchObject({ kind: 'local', row: 'busy' });
  });

  it('a ref that moved since it was looked at', async () => {
    const song = await songRepository();
    const head = await gitLine(song, ['rev-parse', 'HEAD']);
    const wrong = '1'.repeat(40);
    expect(await sorted(song, ['update-ref', 'refs/heads/main', head, wrong])).toBe('local busy');
    expect(await sorted(song, ['update-ref', 'refs/heads/main', head, '0'.repeat(40)])).toBe('local busy');
  });

  it('a folder that may not be written to', async () => {
    const song = await songRepository();
    // Where not even root may write.
    const forbidden = process.platform === 'darwin' ? '/System' : '/sys';
    const index = { env: { GIT_INDEX_FILE: `${forbidden}/index` } };
    expect(await sorted(song, ['read-tree', 'HEAD'], index)).toBe('local no-rights');
    const objects = { env: { GIT_OBJECT_DIRECTORY: forbidden }, input: 'new' };
    expect(await sorted(song, ['hash-object', '-w', '--stdin'], objects)).toBe('local no-rights');
    await fs.symlink(forbidden, path.join(song, '.git/refs/oxenvcs'));
    expect(await sorted(song, ['update-ref', 'refs/oxenvcs/queue/1', 'HEAD'])).toBe('local no-rights');
  });
});

describe('the repository', () => {
  it('is none, any more', async () => {
    const song = await songRepository();
    await fs.rm(path.join(song, '.git'), { recursive: true });
    const ceiling = { env: { GIT_CEILING_DIRECTORIES: path.dirname(song) } };
    expect(await sorted(song, ['status'], ceiling)).toBe('configuration not-a-project');
    await expect(git(song, ['status'], ceiling)).rejects.toMatchObject({
      code: 'NOT_A_PROJECT',
      message: `${song} is not an oxenvcs project, nor is a folder above it.`,
    });
  });

  it('is damaged', async () => {
    const song = await songRepository();
    const head = await gitLine(song, ['rev-parse', 'HEAD']);
    const tree = await gitLine(song, ['rev-parse', 'HEAD^{tree}']);
    const file = path.join(song, '.git/objects', tree.slice(0, 2), tree.slice(2));
    const whole = await fs.readFile(file);
    await fs.rm(file);
    expect(await sorted(song, ['diff-tree', '--root', head])).toBe('local repository-damaged');
    await fs.writeFile(file, '');
    expect(await sorted(song, ['cat-file', '-p', tree])).toBe('local repository-damaged');
    await fs.writeFile(file, whole);
    await fs.writeFile(path.join(song, '.git/index'), 'no index at all');
    expect(await sorted(song, ['status'])).toBe('local repository-damaged');
  });
});

describe('names that sound like failures', () => {
  const sounds = [
    'No space left on device',
    'Connection refused',
    'Authentication failed',
    'Permission denied',
    'unable to write: No space left on device',
    "fatal: unable to access 'http://x': Failed to connect to y",
    "x\nfatal: Authentication failed for 'x'",
    'error: RPC failed; HTTP 403',
  ];

  it.each(sounds)('a song that is not there: %j', async (name) => {
    const song = await songRepository();
    for (const args of [
      ['add', '--', name],
      ['rm', '--', name],
      ['mv', '--', name, 'other'],
      ['hash-object', '--', name],
    ])
      expect([args[0], await sorted(song, args)]).toEqual([args[0], 'permanent git-failed']);
    expect(await sorted(song, ['rev-parse', '--verify', `HEAD:${name}`])).toBe('permanent git-failed');
    expect(await sorted(song, ['config', '--file', name, '--list'])).toBe('permanent git-failed');
  });

  it.each(sounds)('a remote that is not there: %j', async (name) => {
    const song = await songRepository();
    const remote = path.join(await sandbox(), name);
    const result = await push(song, [remote, 'HEAD:main']);
    expect(sortPush(result)).toMatchObject({ kind: 'configuration', row: 'remote-not-found' });
    expect(await sorted(song, ['clone', remote, 'elsewhere'])).toBe('configuration remote-not-found');
  });

  it.each(sounds)('a song, and the folder of a remote, that are there: %j', async (name) => {
    const parent = path.join(await sandbox(), name);
    await fs.mkdir(parent, { recursive: true });
    const song = await repository(path.join(parent, 'song'), { [`${name}.als`]: 'one' });
    const { dir } = await fileRemote({ parent });
    expect((await push(song, [dir, 'HEAD:main'])).exitCode).toBe(0);
    const lost = await push(song, ['--force-with-lease=refs/heads/main:', dir, 'HEAD~0:main']);
    expect(lost.exitCode).toBe(0);
    await git(song, ['commit', '--quiet', '--amend', '--allow-empty', '-m', name]);
    expect(sortPush(await push(song, [dir, 'HEAD:main'])).kind).toBe('lost-race');
  });

  it('a branch', async () => {
    const song = await songRepository();
    const { url } = await fileRemote();
    await git(song, ['branch', 'Connection-refused']);
    const branch = 'HEAD:refs/heads/No-space-left-on-device';
    await push(song, [url, branch]);
    await git(song, ['commit', '--quiet', '--amend', '--allow-empty', '-m', 'Authentication failed']);
    expect(sortPush(await push(song, [url, branch]))).toMatchObject({
      kind: 'lost-race',
      ref: 'refs/heads/No-space-left-on-device',
    });
    expect(sortPush(await push(song, [url, 'Connection-refuse:refs/heads/x'])).kind).toBe('permanent');
  });
});

describe('the user’s language', () => {
  it('does not matter', async () => {
    // Where git was translated, LANGUAGE counts as soon as the locale is any other than C.
    const spoken = { LANG: 'de_DE.UTF-8', LANGUAGE: 'de', LC_ALL: 'C.UTF-8', LC_MESSAGES: 'de_DE.UTF-8' };
    const before = { ...process.env };
    onTestFinished(() => {
      for (const name of Object.keys(spoken)) delete process.env[name];
      Object.assign(process.env, before);
    });
    Object.assign(process.env, spoken);
    expect(await sorted('/', ['status'])).toBe('configuration not-a-project');
    expect((await tryGit('/', ['status'])).stderr).toContain('fatal: not a git repository');
  });
});

describe('what cannot be started', () => {
  it('a git that is not installed', async () => {
    await expect(tryGit(await sandbox(), ['version'], { env: { PATH: '/nowhere' } })).rejects.toMatchObject({
      row: 'no-git',
      code: 'CONFIG_INVALID',
    });
  });

  it('a git in a folder that has vanished, or that is a file', async () => {
    const dir = await sandbox();
    const gone = path.join(dir, 'gone');
    await expect(gitAsks(gone, ['diff', '--quiet'])).rejects.toMatchObject({
      row: 'folder-vanished',
      details: { dir: gone },
    });
    await fs.writeFile(path.join(dir, 'file'), '');
    await expect(git(path.join(dir, 'file'), ['version'])).rejects.toMatchObject({ row: 'not-a-folder' });
  });

  it('a git whose folder vanishes while it runs', async () => {
    const song = await songRepository();
    const result = await tryGit(song, ['-c', 'alias.gone=!rm -rf "$PWD" && git status', 'gone']);
    expect(sortFailure(result)).toMatchObject({ kind: 'local', row: 'folder-vanished' });
  });
});
