import * as fs from 'node:fs/promises';
import http from 'node:http';
import type { AddressInfo } from 'node:net';
import path from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import { gitFailure, sortFailure, sortPush } from '../../src/git/failures.ts';
import { gitLine, tryGit } from '../../src/git/run.ts';
import { proxy } from '../support/proxy.ts';
import { push, read, songRepository, sorted } from '../support/pushing.ts';
import { fileRemote, httpRemote, type Remote, serverHook, sshRemote } from '../support/remotes.ts';
import { sandbox } from '../support/sandbox.ts';
import { freePort } from '../support/ssh-remote.ts';

const unreachable = 'transient offline';
const unclear = 'ambiguous remote-unclear';

const networked: [string, () => Promise<Remote & { port: number }>][] = [
  ['http', httpRemote],
  ['https', () => httpRemote({ tls: true })],
  ['ssh', sshRemote],
];
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

  it('goes through a proxy that wants a password, or does not let us through', async () => {
    const [plain, secure] = [await httpRemote(), await httpRemote({ tls: true })];
    let status = 407;
    const through = http.createServer((_, response) => response.writeHead(status).end());
    through.on('connect', (_, socket) => socket.end(`HTTP/1.1 ${status} No\r\n\r\n`));
    await new Promise<void>((resolve) => through.listen(0, '127.0.0.1', resolve));
    onTestFinished(() => void through.close());
    const url = `http://127.0.0.1:${(through.address() as AddressInfo).port}`;
    const env = { http_proxy: url, https_proxy: url };
    expect(await read(plain.url, { env })).toBe('auth proxy-auth');
    expect(await read(secure.url, { env })).toBe('auth proxy-auth');
    status = 502;
    expect(await read(secure.url, { env })).toBe(unreachable);
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
    for (const url of ['gopher://band.example/song.git', 'ext::true', 'ssh://-oProxyCommand=true/song.git'])
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
    // Without a line break git itself would take it for an empty repository.
    for (const body of ['<html>', '']) {
      remote.trouble = () => ({ status: 200, headers: { 'Content-Type': 'text/html' }, body });
      expect(sorted(await push(await songRepository(), [remote.url, 'HEAD:main']))).toBe(
        'configuration remote-not-found',
      );
      expect(await read(remote.url)).toBe('configuration remote-not-found');
    }
    remote.trouble = ({ url }) =>
      url?.startsWith('/song.git') === true
        ? { status: 302, headers: { Location: '/login' } }
        : { status: 200, headers: { 'Content-Type': 'text/html' }, body: '<html>' };
    const sentOn = await push(await songRepository(), [remote.url, 'HEAD:main']);
    expect(sorted(sentOn)).toBe('configuration remote-misconfigured');
    expect(sortPush(sentOn).detail).toBe(`it sends us on to http://127.0.0.1:${remote.port}/login`);
  });

  it('belongs to another user of this computer', async () => {
    const { url } = await fileRemote();
    const env = { GIT_TEST_ASSUME_DIFFERENT_OWNER: '1' };
    expect(await read(url, { env })).toBe('configuration not-trusted');
    const song = await songRepository();
    expect(sortFailure(await tryGit(song, ['status'], { env })).row).toBe('not-trusted');
  });

  it('means another protocol than the server speaks', async () => {
    const [http, ssh] = [await httpRemote(), await sshRemote()];
    expect(await read(http.url.replace('http:', 'https:'))).toBe('configuration remote-misconfigured');
    expect(await read(`http://127.0.0.1:${ssh.port}/song.git`)).toBe('configuration remote-misconfigured');
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

  it('together with its transport helper: in a word, or without one', async () => {
    const bin = await sandbox();
    const env = { PATH: `${bin}:${process.env['PATH']}` };
    for (const victims of ['$$', '$PPID $$']) {
      const script = `#!/bin/sh\nread -r line\nprintf 'fetch\\npush\\n\\n'\nread -r line\nkill -9 ${victims}\n`;
      await fs.writeFile(path.join(bin, 'git-remote-dying'), script, { mode: 0o755 });
      expect(await read('dying::song', { env })).toBe(unclear);
      expect(sorted(await push(await songRepository(), ['dying::song', 'HEAD:main'], { env }))).toBe(unclear);
    }
  });
});
