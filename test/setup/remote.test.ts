import * as fs from 'node:fs/promises';
import net from 'node:net';
import path from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import { remoteChecks } from '../../src/doctor/remote.ts';
import { git, gitLine } from '../../src/git/run.ts';
import { lockContext } from '../../src/lock/context.ts';
import { lookAtQueue } from '../../src/queue/rebuild.ts';
import { remoteUrl } from '../../src/project/project.ts';
import { dataFolder } from '../../src/system/places.ts';
import { remoteKind } from '../../src/setup/remote.ts';
import { bareRepository, fileRemote, httpRemote, sshRemote } from '../support/remotes.ts';
import { repository, sandbox, write } from '../support/sandbox.ts';
import { filesIn, ours, setUp, snapshot, song, status } from './helpers.ts';

const head = async (dir: string): Promise<string> => await gitLine(dir, ['rev-parse', 'HEAD']);
const push = async (root: string, branch = 'main'): Promise<string> =>
  await git(root, ['push', '--quiet', 'origin', branch]);

/** A project of the team's, published. */
async function teamProject(files: Record<string, string> = { 'Song.als': 'theirs' }, branch = 'main') {
  const root = await song(files);
  const remote = await fileRemote();
  await git(remote.dir, ['symbolic-ref', 'HEAD', `refs/heads/${branch}`]);
  await setUp(root, { remote: remote.url, branch });
  await push(root, branch);
  return { root, remote };
}

function inEnvironment(env: Record<string, string>): void {
  Object.assign(process.env, env);
  onTestFinished(() => {
    for (const name of Object.keys(env)) delete process.env[name];
  });
}

describe('a project without a remote', () => {
  it('gets a vault that takes its versions and keeps packs as they come', async () => {
    const root = await song();
    const { project, remoteKind: kind } = await setUp(root);
    const vault = (await remoteUrl(project)) ?? '';
    expect(kind).toBe('vault');
    expect(await remoteKind(project)).toBe('vault');
    expect(path.dirname(vault)).toBe(path.join(dataFolder(), 'vaults'));
    await push(root);
    expect(await head(vault)).toBe(await head(root));
    expect((await fs.readdir(path.join(vault, 'objects/pack'))).some((name) => name.endsWith('.pack'))).toBe(true);
    await git(root, ['commit', '--quiet', '--amend', '-m', 'another past']);
    await expect(git(root, ['push', '--quiet', '--force', 'origin', 'main'])).rejects.toThrow();
    // A clone of the vault is a folder with the song in it.
    const clone = path.join(await sandbox(), 'clone');
    await git('/', ['clone', '--quiet', vault, clone]);
    expect(await fs.readFile(path.join(clone, 'Song.als'), 'utf8')).toBe('one');
  });

  it('gets a vault of the same object format', async () => {
    const root = await song();
    await git(root, ['init', '--quiet', '--object-format=sha256', '-b', 'main']);
    await setUp(root);
    await push(root);
  });

  it('is still known to have a vault after the vault was deleted, and gets another one, with all versions', async () => {
    const root = await song();
    const { project } = await setUp(root);
    const vault = (await remoteUrl(project)) ?? '';
    await push(root);
    await fs.rm(vault, { recursive: true });
    expect(await remoteKind(project)).toBe('vault');
    const ctx = await lockContext(project);
    expect(await remoteChecks(ctx)).toMatchObject([{ ok: false, hint: expect.stringContaining('oxenvcs init') }]);
    const { created } = await setUp(root);
    const other = (await remoteUrl(project)) ?? '';
    expect(created).toEqual([`Vault, until there is a remote: ${other}, instead of ${vault}, which is gone`]);
    // What the former one had is published nowhere now.
    expect((await lookAtQueue(project)).entries).toHaveLength(1);
    await push(root);
    expect(await head(other)).toBe(await head(root));
  });

  it('is still known to have a vault after the user’s data folder has moved', async () => {
    const { project } = await setUp(await song());
    const before = process.env['XDG_DATA_HOME'];
    process.env['XDG_DATA_HOME'] = await sandbox();
    onTestFinished(() => void (process.env['XDG_DATA_HOME'] = before));
    expect(await remoteKind(project)).toBe('vault');
  });

  it('uses the `origin` that it has', async () => {
    const root = await repository(path.join(await sandbox(), 'song'));
    const { url } = await fileRemote();
    await git(root, ['remote', 'add', 'origin', url]);
    const { project, remoteKind: kind, warnings } = await setUp(root);
    expect({ kind, url: await remoteUrl(project), warnings }).toEqual({ kind: 'remote', url, warnings: [] });
    await push(root);
  });

  it('uses the only remote that it has, whatever that is called', async () => {
    const root = await repository(path.join(await sandbox(), 'song'));
    const { url } = await fileRemote();
    await git(root, ['remote', 'add', 'nas', url]);
    const { project, created } = await setUp(root);
    expect(await remoteUrl(project)).toBe(url);
    expect(created).toContain(`Remote origin: ${url}, as nas`);
    expect(await git(root, ['show', 'HEAD:.oxenvcs/config.json'])).not.toContain('nas');
  });

  it('does not choose between several, and says so', async () => {
    const root = await repository(path.join(await sandbox(), 'song'));
    for (const name of ['nas', 'github']) await git(root, ['remote', 'add', name, (await fileRemote()).url]);
    const { remoteKind: kind, warnings } = await setUp(root);
    expect({ kind, warnings }).toEqual({ kind: 'vault', warnings: [expect.stringContaining('github, nas')] });
  });
});

describe('--remote', () => {
  it('moves a vault project to the team’s remote; the vault stays as it was', async () => {
    const root = await song();
    const { project } = await setUp(root);
    await push(root);
    await write(root, { '.oxenvcs/state/lock.json': '{"heldByOther":true}' });
    const vault = (await remoteUrl(project)) ?? '';
    const before = await snapshot(vault);
    const remote = await fileRemote();
    const moved = await setUp(root, { remote: remote.url });
    expect(moved).toMatchObject({ remoteKind: 'remote', commit: null });
    expect(moved.created).toEqual([
      `Remote origin: ${remote.url}, instead of the vault ${vault}, which stays where it is`,
    ]);
    expect(await remoteUrl(project)).toBe(remote.url);
    expect(await remoteKind(project)).toBe('remote');
    expect(await snapshot(vault)).toEqual(before);
    // Nothing that was true of the vault is taken for true of the remote.
    expect(await git(root, ['for-each-ref', 'refs/remotes'])).toBe('');
    expect(await fs.readdir(path.join(root, '.oxenvcs'))).toEqual(['config.json']);
    await push(root);
    expect((await setUp(root, { remote: remote.url })).created).toEqual([]);
  });

  it('takes a path from the folder where the user is', async () => {
    const root = await song();
    const bare = await bareRepository();
    const { project } = await setUp(root, { remote: path.relative(process.cwd(), bare) });
    expect(await remoteUrl(project)).toBe(bare);
    await push(root);
  });

  it('over http with a password, and over ssh', async () => {
    const http = await httpRemote({ auth: { user: 'ann', password: 'secret' } });
    const ssh = await sshRemote();
    inEnvironment({ ...http.env, ...ssh.env });
    for (const remote of [http, ssh]) {
      const root = await song();
      expect(await setUp(root, { remote: remote.url })).toMatchObject({ remoteKind: 'remote', warnings: [] });
      await push(root);
      expect(await head(remote.dir)).toBe(await head(root));
    }
  });

  it('with a wrong address is refused, and the folder stays as it was', async () => {
    const root = await song();
    const { url } = await httpRemote();
    const notBare = await sandbox();
    for (const remote of [path.join(root, '../nowhere.git'), notBare, url.replace('song.git', 'other.git')])
      await expect(setUp(root, { remote })).rejects.toMatchObject({ row: 'remote-not-found', exitCode: 2 });
    for (const remote of ['', '  ', '--upload-pack=x', root, path.join(root, '.git'), '.'])
      await expect(setUp(root, { remote: remote === '.' ? root : remote })).rejects.toMatchObject({ row: 'usage' });
    expect(await fs.readdir(root)).toEqual(['Song.als']);
  });

  it('with refused credentials says so, without the password', async () => {
    const root = await song();
    const http = await httpRemote({ auth: { user: 'ann', password: 'secret' } });
    const url = http.url.replace('://', '://ann:hunter2@');
    const failure = await setUp(root, { remote: url }).catch((error: unknown) => error);
    expect(failure).toMatchObject({ row: 'auth', exitCode: 6 });
    expect(JSON.stringify(failure)).not.toContain('hunter2');
    expect(await fs.readdir(root)).toEqual(['Song.als']);
  });

  it('that cannot be reached now is taken, with a warning', async () => {
    const root = await song();
    const url = `http://127.0.0.1:${await freePort()}/song.git`;
    const { remoteKind: kind, warnings, commit } = await setUp(root, { remote: url });
    expect({ kind, warnings }).toEqual({
      kind: 'remote',
      warnings: [expect.stringContaining('cannot be reached now')],
    });
    expect(commit).not.toBeNull();
  });

  it('shows no password in what it tells', async () => {
    const root = await song();
    const remote = `http://ann:hunter2@127.0.0.1:${await freePort()}/song.git`;
    const { created, warnings } = await setUp(root, { remote });
    expect(JSON.stringify([created, warnings])).not.toContain('hunter2');
  });

  it('warns where the remote has versions that this folder lacks', async () => {
    const { remote } = await teamProject();
    const root = await song();
    await setUp(root);
    expect((await setUp(root, { remote: remote.url })).warnings).toEqual([expect.stringContaining('oxenvcs pull')]);
  });
});

describe('a remote that has the history already', () => {
  it('is taken as the base of a folder without one: no second history begins', async () => {
    const { root: theirs, remote } = await teamProject({ 'Song.als': 'theirs', 'Samples/Take 1.wav': 'RIFF' });
    const root = await song({ 'Song.als': 'theirs', 'mine.txt': 'mine' });
    const { commit, created, project } = await setUp(root, { remote: remote.url });
    expect(commit).toBeNull();
    expect(created).toContain(`History of main from ${remote.url}`);
    expect(await head(root)).toBe(await head(theirs));
    expect(await fs.readFile(path.join(root, 'Samples/Take 1.wav'), 'utf8')).toBe('RIFF');
    expect(await status(root)).toEqual(['?? mine.txt']);
    expect(await gitLine(root, ['rev-parse', 'refs/remotes/origin/main'])).toBe(await head(theirs));
    expect(await setUp(project.root)).toMatchObject({ created: [], warnings: [], commit: null });
  });

  it('also under another branch name, which is then the one published', async () => {
    const { root: theirs, remote } = await teamProject({ 'Song.als': 'theirs' }, 'mix');
    const root = await song({});
    await fs.mkdir(root);
    const { project } = await setUp(root, { remote: remote.url });
    expect(project.config.branch).toBe('mix');
    expect(await head(root)).toBe(await head(theirs));
    expect(await status(root)).toEqual([]);
  });

  it('of a team that knows nothing of oxenvcs gets our files on top', async () => {
    const remote = await fileRemote();
    const theirs = await repository(path.join(await sandbox(), 'theirs'));
    await git(theirs, ['push', '--quiet', remote.url, 'main']);
    const root = await song({ 'Song.als': 'one', '.gitignore': 'mine\n' });
    const { commit } = await setUp(root, { remote: remote.url });
    expect(await gitLine(root, ['rev-parse', `${commit}^`])).toBe(await head(theirs));
    expect(await filesIn(root)).toEqual([...ours, 'Song.als']);
    expect(await fs.readFile(path.join(root, '.gitignore'), 'utf8')).toMatch(/^mine\n/);
  });

  it.each<[string, Record<string, string>, string]>([
    ['a file with other bytes', { 'Song.als': 'mine' }, 'Song.als'],
    ['a folder where they have a file', { 'Song.als/x': 'mine' }, 'Song.als'],
    ['a file where they have a folder', { Samples: 'mine' }, 'Samples'],
  ])('is never put over %s', async (_, files, name) => {
    const { remote } = await teamProject({ 'Song.als': 'theirs', 'Samples/Take 1.wav': 'RIFF' });
    const root = await song(files);
    const before = await snapshot(root);
    const failure = await setUp(root, { remote: remote.url }).catch((error: unknown) => error);
    expect(failure).toMatchObject({ row: 'remote-has-history', details: { file: name }, exitCode: 5 });
    expect((failure as Error & { hint: string }).hint).toContain(`git clone ${remote.url}`);
    expect(await snapshot(root)).toEqual(before);
  });

  it('is found in an `origin` that a repository without commits was given', async () => {
    const { root: theirs, remote } = await teamProject();
    const root = await song({});
    await git(path.dirname(root), ['init', '--quiet', '-b', 'main', root]);
    await git(root, ['remote', 'add', 'origin', remote.url]);
    await setUp(root);
    expect(await head(root)).toBe(await head(theirs));
  });

  it('goes on where the first attempt broke off in the middle of the transfer', async () => {
    const remote = await httpRemote();
    const theirs = await song({ 'Song.als': 'x'.repeat(100_000) });
    await setUp(theirs, { remote: remote.url });
    await push(theirs);
    const root = await song({});
    await fs.mkdir(root);
    // The list of refs is asked for twice; the third request is for the pack.
    let asked = 0;
    remote.trouble = ({ method }) => (method === 'POST' && ++asked >= 3 ? { cutAnswerAfter: 200 } : null);
    await expect(setUp(root, { remote: remote.url })).rejects.toMatchObject({ code: 'OFFLINE' });
    expect(await fs.readdir(root)).toEqual([]);
    remote.trouble = () => null;
    await setUp(root, { remote: remote.url });
    expect(await head(root)).toBe(await head(theirs));
  });
});

/** A port on which nobody listens. */
async function freePort(): Promise<number> {
  const server = net.createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as net.AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}
