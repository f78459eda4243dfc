import { randomBytes } from 'node:crypto';
import * as fs from 'node:fs/promises';
import path from 'node:path';
import { describe, expect, it, vi } from 'vitest';
import { git, gitLine, tryGit } from '../../src/git/run.ts';
import { isRunning } from './processes.ts';
import { fileRemote, httpRemote, isPush, type Remote, serverHook, sshRemote } from './remotes.ts';
import { repository, sandbox } from './sandbox.ts';

const everyWay: [string, () => Promise<Remote>][] = [
  ['file', fileRemote],
  ['http', httpRemote],
  ['http with a password', () => httpRemote({ auth: { user: 'ann', password: 'secret' } })],
  ['https', () => httpRemote({ tls: true })],
  ['ssh', sshRemote],
  ['ssh that lets GIT_PROTOCOL in', () => sshRemote({ acceptGitProtocol: true })],
];

describe.each(everyWay)('%s', (_, start) => {
  it('takes a push and gives a clone', async () => {
    const { url, dir, env } = await start();
    const song = await repository(path.join(await sandbox(), 'song'));
    await git(song, ['push', url, 'HEAD:main'], { env });
    expect(await gitLine(dir, ['rev-parse', 'main'])).toBe(await gitLine(song, ['rev-parse', 'HEAD']));
    await git(path.dirname(song), ['clone', url, 'again'], { env });
    expect(await gitLine(path.join(path.dirname(song), 'again'), ['show', 'HEAD:Song.als'])).toBe('one');
  });

  it('cannot be reached once it is stopped', async () => {
    const { url, env, stop } = await start();
    await stop();
    await stop();
    const { exitCode } = await tryGit(await sandbox(), ['ls-remote', url], { env });
    expect(exitCode).toBe(url.startsWith('file:') ? 0 : 128);
  });
});

/** Noise, which does not compress: larger than the 1 MiB that git posts in one piece. */
const take = randomBytes(3 * 1024 * 1024);

async function songWithATake(): Promise<string> {
  const song = await repository(path.join(await sandbox(), 'song'), { 'Song.als': 'one' });
  const blob = (await git(song, ['hash-object', '-w', '--stdin'], { input: take })).trim();
  await git(song, ['update-index', '--add', '--cacheinfo', `100644,${blob},take.wav`]);
  await git(song, ['commit', '-m', 'a take']);
  return song;
}

describe('http', () => {
  it('takes a large push in chunks and gives it back', async () => {
    const { url, dir } = await httpRemote();
    const song = await songWithATake();
    await git(song, ['push', url, 'HEAD:main']);
    expect((await tryGit(dir, ['cat-file', 'blob', 'main:take.wav'])).stdout.equals(take)).toBe(true);
    const clone = path.join(await sandbox(), 'clone');
    await git(song, ['clone', url, clone]);
    expect((await tryGit(clone, ['cat-file', 'blob', 'HEAD:take.wav'])).stdout.equals(take)).toBe(true);
  });

  it('takes compressed requests', async () => {
    const { url } = await httpRemote();
    const song = await repository(path.join(await sandbox(), 'song'));
    const names = Array.from({ length: 60 }, (_, n) => `refs/heads/take-${n}`);
    await git(song, ['push', url, ...names.map((name) => `HEAD:${name}`)]);
    // Git compresses what it posts from 1024 bytes on: here the names that it asks for.
    const { stderr } = await tryGit(song, ['fetch', url, ...names.map((name) => `${name}:${name}`)], {
      env: { GIT_TRACE_CURL: '1', GIT_TRACE_CURL_NO_DATA: '1' },
    });
    expect(stderr).toMatch(/Content-Encoding: gzip/i);
    expect((await git(song, ['for-each-ref', 'refs/heads/take-*'])).trim().split('\n')).toHaveLength(60);
  });

  it('speaks protocol v2', async () => {
    const { url } = await httpRemote();
    const { stderr } = await tryGit(await sandbox(), ['ls-remote', url], { env: { GIT_TRACE_PACKET: '1' } });
    expect(stderr).toContain('version 2');
  });

  it('refuses a wrong password', async () => {
    const { url } = await httpRemote({ auth: { user: 'ann', password: 'secret' } });
    const wrong = url.replace('//', '//ann:wrong@');
    expect((await tryGit(await sandbox(), ['ls-remote', wrong])).stderr).toContain('Authentication failed');
  });

  it.each([401, 403, 404, 409, 413, 429, 500, 502, 503])('answers %i when told', async (status) => {
    const remote = await httpRemote();
    remote.trouble = () => ({ status, headers: { 'Retry-After': '7' } });
    expect((await tryGit(await sandbox(), ['ls-remote', remote.url])).exitCode).toBe(128);
    remote.trouble = () => null;
    expect((await tryGit(await sandbox(), ['ls-remote', remote.url])).exitCode).toBe(0);
  });

  it('cuts a push on its way in: nothing lands', async () => {
    const remote = await httpRemote();
    remote.trouble = (request) => (isPush(request) ? { cutRequestAfter: 100_000 } : null);
    expect((await tryGit(await songWithATake(), ['push', remote.url, 'HEAD:main'])).exitCode).not.toBe(0);
    expect(await git(remote.dir, ['for-each-ref'])).toBe('');
  });

  it('cuts the answer to a push that has landed', async () => {
    const remote = await httpRemote();
    const song = await songWithATake();
    remote.trouble = (request) => (isPush(request) ? { cutAnswerAfter: 0 } : null);
    expect((await tryGit(song, ['push', remote.url, 'HEAD:main'])).exitCode).not.toBe(0);
    expect(await gitLine(remote.dir, ['rev-parse', 'main'])).toBe(await gitLine(song, ['rev-parse', 'HEAD']));
  });

  it('hangs when told, until the client has had enough', async () => {
    const remote = await httpRemote();
    remote.trouble = () => 'hang';
    expect((await tryGit(await sandbox(), ['ls-remote', remote.url], { timeoutMs: 300 })).killed).toBe('timeout');
    expect(remote.requests).toEqual([`GET /song.git/info/refs?service=git-upload-pack`]);
  });

  it('leaves no hook of the server running', async () => {
    expect(await hookThatHangs(await httpRemote())).toBe('ended');
  });
});

/** Pushes into a hook that never ends, stops the remote, and looks whether the hook is gone. */
async function hookThatHangs(remote: Remote): Promise<'ended'> {
  const pidFile = path.join(remote.dir, 'pid');
  await serverHook(
    remote,
    'pre-receive',
    `echo $$ >'${pidFile}.new'; mv '${pidFile}.new' '${pidFile}'; exec sleep 600`,
  );
  const song = await repository(path.join(await sandbox(), 'song'));
  const enough = new AbortController();
  const push = tryGit(song, ['push', remote.url, 'HEAD:main'], { env: remote.env, signal: enough.signal });
  const pid = Number(await vi.waitFor(async () => await fs.readFile(pidFile, 'utf8'), { timeout: 20_000 }));
  expect(isRunning(pid)).toBe(true);
  await remote.stop();
  await vi.waitFor(() => expect(isRunning(pid)).toBe(false), { timeout: 20_000 });
  enough.abort();
  await push;
  return 'ended';
}

describe('ssh', () => {
  it.each([false, true])(
    'speaks protocol v2 only where the server lets GIT_PROTOCOL in (%s)',
    async (acceptGitProtocol) => {
      const { url, env } = await sshRemote({ acceptGitProtocol });
      const { stderr } = await tryGit(await sandbox(), ['ls-remote', url], { env: { ...env, GIT_TRACE_PACKET: '1' } });
      expect(stderr.includes('version 2')).toBe(acceptGitProtocol);
    },
  );

  it('leaves no hook of the server running', async () => {
    expect(await hookThatHangs(await sshRemote())).toBe('ended');
  });

  it('gives the server the home of the test, not of the person', async () => {
    const remote = await sshRemote({ env: { BAND: 'The "Nodes"' } });
    await serverHook(remote, 'pre-receive', `echo "$HOME|$BAND" >'${remote.dir}/said'`);
    const song = await repository(path.join(await sandbox(), 'song'));
    await git(song, ['push', remote.url, 'HEAD:main'], { env: remote.env });
    expect(await fs.readFile(path.join(remote.dir, 'said'), 'utf8')).toBe(`${process.env['HOME']}|The "Nodes"\n`);
  });
});
