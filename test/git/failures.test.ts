import * as fs from 'node:fs/promises';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { gitFailure, sortFailure, sortPush } from '../../src/git/failures.ts';
import { type GitResult, gitLine, tryGit } from '../../src/git/run.ts';
import { proxy } from '../support/proxy.ts';
import { push, songRepository } from '../support/pushing.ts';
import { fileRemote, httpRemote, isPush, type Remote, serverHook, sshRemote } from '../support/remotes.ts';
import { sandbox } from '../support/sandbox.ts';
import { freePort, makeKey } from '../support/ssh-remote.ts';

/** What became of a push, in two words; a push that went well is none. */
function sorted(result: GitResult): string {
  if (result.exitCode === 0) return 'done';
  const { kind, row } = sortPush(result);
  return `${kind} ${row}`;
}

/** The same for what only reads. */
async function read(url: string, options: { env?: Record<string, string>; timeoutMs?: number } = {}): Promise<string> {
  const result = await tryGit(await sandbox(), ['ls-remote', url], options);
  if (result.exitCode === 0) return 'done';
  const { kind, row } = sortFailure(result);
  return `${kind} ${row}`;
}

const networked: [string, () => Promise<Remote & { port: number }>][] = [
  ['http', httpRemote],
  ['https', () => httpRemote({ tls: true })],
  ['ssh', sshRemote],
];
const unreachable = 'transient offline';
const unclear = 'ambiguous remote-unclear';

describe.each(networked)('%s: the network', (_, start) => {
  it('refuses', async () => {
    const { env, ...remote } = await start();
    const through = await proxy(remote);
    await through.set('refuse');
    const url = through.url(remote.url);
    const result = await push(await songRepository(), [url, 'HEAD:main'], { env });
    expect(sorted(result)).toBe(unreachable);
    expect(sortPush(result).detail).toMatch(/connect to/);
    expect(await read(url, { env })).toBe(unreachable);
  });

  it('breaks before the first answer: nothing was sent', async () => {
    const { env, ...remote } = await start();
    const through = await proxy(remote);
    await through.set({ cutAfter: 0 });
    expect(sorted(await push(await songRepository(), [through.url(remote.url), 'HEAD:main'], { env }))).toBe(
      unreachable,
    );
    expect(await read(through.url(remote.url), { env })).toBe(unreachable);
  });

  it('breaks in the middle of a push: it may have arrived', async () => {
    const { env, ...remote } = await start();
    const through = await proxy(remote);
    await through.set({ cutAfter: 500_000 });
    expect(sorted(await push(await songRepository(1_500_000), [through.url(remote.url), 'HEAD:main'], { env }))).toBe(
      unclear,
    );
  });

  it('swallows everything: given up in time, and it may have arrived', async () => {
    const { env, ...remote } = await start();
    const through = await proxy(remote);
    await through.set('stall');
    const result = await push(await songRepository(), [through.url(remote.url), 'HEAD:main'], {
      env,
      timeoutMs: 300,
    });
    expect({ killed: result.killed, sorted: sorted(result) }).toEqual({ killed: 'timeout', sorted: unclear });
  });
});

describe('the address', () => {
  it.each([
    'http://no-such-host.invalid/song.git',
    'ssh://git@no-such-host.invalid/song.git',
    'git://no-such-host.invalid/song.git',
  ])('names a host that nobody knows: %s', async (url) => {
    expect(sorted(await push(await songRepository(), [url, 'HEAD:main']))).toBe(unreachable);
    expect(await read(url)).toBe(unreachable);
  });

  it('goes through a proxy that is not there', async () => {
    const { url } = await httpRemote();
    expect(await read(url, { env: { http_proxy: 'http://no-such-host.invalid:3128' } })).toBe(unreachable);
    expect(await read(url, { env: { http_proxy: `http://127.0.0.1:${await freePort()}` } })).toBe(unreachable);
  });

  it.each([
    ['file', fileRemote],
    ['http', httpRemote],
    ['ssh', sshRemote],
  ])('holds no repository: %s', async (_, start: () => Promise<Remote>) => {
    const { url, env } = await start();
    const wrong = url.replace('song.git', 'sing.git');
    expect(sorted(await push(await songRepository(), [wrong, 'HEAD:main'], { env }))).toBe(
      'configuration remote-not-found',
    );
    expect(await read(wrong, { env })).toBe('configuration remote-not-found');
  });

  it('is of no kind that git knows', async () => {
    for (const url of ['gopher://band.example/song.git', 'ext::true'])
      expect(sorted(await push(await songRepository(), [url, 'HEAD:main']))).toBe('configuration remote-misconfigured');
  });

  it('is a web page: a wrong address, or a hotel that wants a login', async () => {
    const remote = await httpRemote();
    remote.trouble = () => ({
      status: 200,
      headers: { 'Content-Type': 'text/html' },
      body: '<html>\nLog in\n</html>\n',
    });
    expect(sorted(await push(await songRepository(), [remote.url, 'HEAD:main']))).toBe(
      'configuration remote-not-found',
    );
    expect(await read(remote.url)).toBe('configuration remote-not-found');
  });

  it('means another protocol than the server speaks', async () => {
    const [http, ssh] = [await httpRemote(), await sshRemote()];
    expect(await read(http.url.replace('http:', 'https:'))).toBe('configuration remote-misconfigured');
    expect(await read(`http://127.0.0.1:${ssh.port}/song.git`)).toBe('configuration remote-misconfigured');
  });
});

describe('http', () => {
  it('does not trust a certificate that nobody signed', async () => {
    const { url } = await httpRemote({ tls: true });
    const result = await push(await songRepository(), [url, 'HEAD:main']);
    expect(sorted(result)).toBe('configuration remote-misconfigured');
    expect(sortPush(result).detail).toMatch(/certificate/);
  });

  it.each([
    [301, 'configuration remote-misconfigured', 'configuration remote-misconfigured'],
    [400, 'policy remote-refused', 'policy remote-refused'],
    [401, 'auth auth', 'auth auth'],
    [403, 'auth auth', 'auth auth'],
    [404, 'configuration remote-not-found', 'policy remote-refused'],
    [408, unreachable, unreachable],
    [409, 'policy remote-refused', 'policy remote-refused'],
    [413, 'policy too-large', 'policy too-large'],
    [429, unreachable, unreachable],
    [500, unreachable, unclear],
    [502, unreachable, unclear],
    [503, unreachable, unclear],
    [504, unreachable, unclear],
  ])('answers %i', async (status, toTheQuestion, toThePush) => {
    const song = await songRepository();
    const remote = await httpRemote();
    // What the page says is the server's, not git's.
    const answer = {
      status,
      headers: { 'Content-Type': 'text/plain' },
      body: "fatal: Authentication failed for 'you'\n",
    };
    remote.trouble = () => answer;
    expect(sorted(await push(song, [remote.url, 'HEAD:main']))).toBe(toTheQuestion);
    expect(await read(remote.url)).toBe(toTheQuestion);
    remote.trouble = (request) => (isPush(request) ? answer : null);
    expect(sorted(await push(song, [remote.url, 'HEAD:main']))).toBe(toThePush);
  });

  it('loses the answer to a push that arrived: the same push again finds it there', async () => {
    const song = await songRepository();
    const remote = await httpRemote();
    remote.trouble = (request) => (isPush(request) ? { cutAnswerAfter: 0 } : null);
    expect(sorted(await push(song, [remote.url, 'HEAD:main']))).toBe(unclear);
    remote.trouble = () => null;
    const again = await push(song, [remote.url, 'HEAD:main']);
    expect(again.stdout.toString()).toContain('=\tHEAD:refs/heads/main');
  });

  it('answers a push with nonsense: it may have arrived', async () => {
    const remote = await httpRemote();
    const headers = { 'Content-Type': 'application/x-git-receive-pack-result' };
    remote.trouble = (request) => (isPush(request) ? { status: 200, headers, body: 'nonsense' } : null);
    expect(sorted(await push(await songRepository(), [remote.url, 'HEAD:main']))).toBe(unclear);
  });

  it('hangs in mid-push: git gives up when nothing moves, and it may have arrived', async () => {
    const remote = await httpRemote();
    remote.trouble = (request) => (isPush(request) ? 'hang' : null);
    const settings = { GIT_HTTP_LOW_SPEED_LIMIT: '1', GIT_HTTP_LOW_SPEED_TIME: '1' };
    expect(sorted(await push(await songRepository(), [remote.url, 'HEAD:main'], { env: settings }))).toBe(unclear);
  });

  it('wants a password that git does not have, or has wrong', async () => {
    const { url } = await httpRemote({ auth: { user: 'ann', password: 'secret' } });
    const song = await songRepository();
    for (const withUser of ['//', '//ann@', '//ann:wrong@'])
      expect(sorted(await push(song, [url.replace('//', withUser), 'HEAD:main']))).toBe('auth auth');
  });
});

describe('ssh', () => {
  it('is given a key that the server does not know', async () => {
    const { url, command } = await sshRemote();
    const other = path.join(await sandbox(), 'key');
    makeKey(other);
    const env = { GIT_SSH_COMMAND: command().replace(/-i '[^']*'/, `-i '${other}'`) };
    const result = await push(await songRepository(), [url, 'HEAD:main'], { env });
    expect(sorted(result)).toBe('auth auth');
    expect(sortPush(result).detail).toMatch(/Permission denied \(publickey\)$/);
    expect(await read(url, { env })).toBe('auth auth');
  });

  it('meets a server whose key has changed, or was never seen', async () => {
    const { url, env, knownHosts } = await sshRemote();
    const other = path.join(await sandbox(), 'key');
    makeKey(other);
    const key = await fs.readFile(`${other}.pub`, 'utf8');
    await fs.writeFile(knownHosts, `song-server ${key}`);
    const result = await push(await songRepository(), [url, 'HEAD:main'], { env });
    expect(result.stderr).toContain('REMOTE HOST IDENTIFICATION HAS CHANGED');
    expect(sorted(result)).toBe('auth host-key');
    await fs.writeFile(knownHosts, '');
    expect(await read(url, { env })).toBe('auth host-key');
  });

  it('is not installed', async () => {
    const env = { GIT_SSH: '/nowhere/ssh' };
    expect(await read('git@band.example:song.git', { env })).toBe('configuration remote-misconfigured');
  });

  it('dies: before the first answer nothing was sent', async () => {
    const { url } = await sshRemote();
    expect(await read(url, { env: { GIT_SSH_COMMAND: 'kill -9 $$;', GIT_SSH_VARIANT: 'ssh' } })).toBe(unreachable);
  });
});

describe('a git that is ended', () => {
  it('by a signal says nothing of what arrived', async () => {
    const song = await songRepository();
    const { url, ...remote } = await fileRemote();
    await serverHook(remote, 'pre-receive', 'kill -9 $PPID');
    expect(sorted(await push(song, [url, 'HEAD:main']))).toBe(unclear);
    const result = await tryGit(song, ['-c', 'alias.end=!kill -9 $PPID', 'end']);
    expect(result).toMatchObject({ exitCode: null, signal: 'SIGKILL', killed: null });
    expect(sortFailure(result)).toMatchObject({ kind: 'ambiguous', row: 'remote-unclear' });
    // Talking to nobody, it has nothing to be unclear about.
    expect(gitFailure(result, ['commit']).row).toBe('git-failed');
    expect(gitFailure(result, ['push']).row).toBe('remote-unclear');
  });

  it('after the server has reported a push as done, but not how the rest went', async () => {
    const song = await songRepository();
    const { url, ...remote } = await fileRemote();
    await serverHook(remote, 'post-receive', 'kill -9 $PPID');
    const result = await push(song, [url, 'HEAD:main']);
    expect(result.exitCode).toBe(1);
    expect(sorted(result)).toBe(unclear);
    expect(await gitLine(remote.dir, ['rev-parse', 'main'])).toBe(await gitLine(song, ['rev-parse', 'HEAD']));
  });

  it('together with its transport helper, without a word', async () => {
    const bin = await sandbox();
    await fs.writeFile(path.join(bin, 'git-remote-dying'), '#!/bin/sh\nread -r line\nkill -9 $$\n', { mode: 0o755 });
    const env = { PATH: `${bin}:${process.env['PATH']}` };
    expect(await read('dying::song', { env })).toBe(unclear);
    expect(sorted(await push(await songRepository(), ['dying::song', 'HEAD:main'], { env }))).toBe(unclear);
  });
});
