import type http from 'node:http';
import * as fs from 'node:fs/promises';
import path from 'node:path';
import { expect, onTestFinished, test, vi } from 'vitest';
import { git, gitLine } from '../../src/git/run.ts';
import { makePeek } from '../../src/network/peek.ts';
import { systemClock } from '../../src/system/clock.ts';
import type { Remote } from '../support/bare.ts';
import { type HttpOptions, type HttpRemote, httpRemote, type Trouble } from '../support/http-remote.ts';
import { proxy } from '../support/proxy.ts';
import { sandbox, write } from '../support/sandbox.ts';
import { type SshOptions, sshRemote } from '../support/ssh-remote.ts';

const prefixes = ['refs/heads/main', 'refs/heads/oxenvcs/rescue/', 'refs/oxenvcs/locks/'];

/** Somebody's project: `look` says what is told of the remote, `of()` is what is known of the project after something was set. */
async function project(url: string, format = 'sha1') {
  const root = await sandbox();
  await git(root, ['init', '--quiet', `--object-format=${format}`]);
  const later = { ms: 0 };
  const clock = { ...systemClock, monotonic: () => later.ms };
  const peek = makePeek();
  let of = { root, remote: { url }, clock };
  return {
    look: async () => (await peek.ask(of, prefixes))?.mark ?? null,
    tips: async () => (await peek.ask(of, prefixes))?.tips,
    end: peek.end,
    later,
    set: async (...settings: [name: string, value: string][]) => {
      for (const [name, value] of settings) await git(root, ['config', '--add', name, value]);
      of = { ...of };
    },
    unset: async (...names: string[]) => {
      for (const name of names) await git(root, ['config', '--unset-all', name]);
      of = { ...of };
    },
  };
}

/** A server with one version. */
async function server(options: HttpOptions = {}, format = 'sha1') {
  return await withOneVersion(await httpRemote(options), format);
}

async function withOneVersion<R extends Remote>(remote: R, format = 'sha1') {
  if (format !== 'sha1') {
    await fs.rm(remote.dir, { recursive: true });
    await git(path.dirname(remote.dir), ['init', '--quiet', '--bare', `--object-format=${format}`, remote.dir]);
  }
  const commit = async (text: string) => {
    const tree = await gitLine(remote.dir, ['mktree'], { input: '' });
    return await gitLine(remote.dir, ['commit-tree', '-m', text, tree]);
  };
  const move = async (ref: string, text: string) => await git(remote.dir, ['update-ref', ref, await commit(text)]);
  await move('refs/heads/main', 'one');
  return { remote, move, remove: async (ref: string) => await git(remote.dir, ['update-ref', '-d', ref]) };
}

/** A program that git asks for credentials, which says this, and how often it was asked. */
async function helper() {
  const dir = await sandbox();
  const [program, answer, calls] = ['helper', 'answer', 'calls'].map((name) => path.join(dir, name));
  await write(dir, { helper: `#!/bin/sh\n[ "$1" = get ] || exit 0\necho >>'${calls}'\ncat '${answer}'\n`, calls: '' });
  await fs.chmod(String(program), 0o755);
  return {
    program: String(program),
    says: async (text: string) => await write(dir, { answer: text }),
    calls: async () => (await fs.readFile(String(calls), 'utf8')).length,
  };
}

test.each(['sha1', 'sha256'])(
  'one request tells each branch, rescue and lock that was made, moved or removed (%s)',
  async (format) => {
    const { remote, move, remove } = await server({}, format);
    const { look } = await project(remote.url, format);
    const seen = [await look(), await look()];
    expect(remote.requests).toEqual(['POST /song.git/git-upload-pack', 'POST /song.git/git-upload-pack']);
    // Nobody asks for it.
    await move('refs/heads/ballad', 'two');
    seen.push(await look());
    expect(seen).toEqual([expect.any(String), seen[0], seen[0]]);
    for (const ref of ['refs/heads/main', 'refs/heads/oxenvcs/rescue/ben/1', 'refs/oxenvcs/locks/main']) {
      await move(ref, 'three');
      seen.push(await look());
    }
    await remove('refs/oxenvcs/locks/main');
    seen.push(await look());
    expect(new Set(seen.slice(2)).size).toBe(4);
    expect(seen[6]).toBe(seen[4]);
  },
);

/** The same over ssh, through a proxy that counts the connections. */
async function serverOverSsh(options: SshOptions = {}, format = 'sha1') {
  const { remote, ...its } = await withOneVersion(await sshRemote({ acceptGitProtocol: true, ...options }), format);
  const net = await proxy(remote);
  process.env['GIT_SSH_COMMAND'] = remote.command();
  onTestFinished(() => void delete process.env['GIT_SSH_COMMAND']);
  return { remote, net, url: net.url(remote.url), ...its };
}

test.each(['sha1', 'sha256'])(
  'over ssh all of a host look through one connection, and are told the same (%s)',
  async (format) => {
    const { remote, net, url, move, remove } = await serverOverSsh({}, format);
    await fs.symlink(remote.dir, path.join(path.dirname(remote.dir), 'my söng.git'));
    const [one, two] = [await project(url, format), await project(url.replace('song.git', 'my söng.git'), format)];
    onTestFinished(one.end);
    const seen = [await one.look(), await two.look()];
    await move('refs/heads/ballad', 'two');
    seen.push(await one.look());
    expect(seen).toEqual([expect.any(String), seen[0], seen[0]]);
    for (const ref of ['refs/heads/main', 'refs/heads/oxenvcs/rescue/ben/1', 'refs/oxenvcs/locks/main']) {
      await move(ref, 'three');
      seen.push(await one.look());
    }
    await remove('refs/oxenvcs/locks/main');
    await two.end();
    seen.push(await one.look());
    expect([new Set(seen.slice(2)).size, seen[6], net.counts.connections]).toEqual([4, seen[4], 1]);
  },
);

test('over ssh the last who looks closes the connection', async () => {
  const { net, url } = await serverOverSsh();
  const { look, end } = await project(url);
  expect(await look()).not.toBe(null);
  await end();
  await vi.waitFor(() => expect(net.open()).toBe(0), { timeout: 10_000 });
});

test('over ssh a connection that breaks is left to git, and the next look takes a new one', async () => {
  const { net, url } = await serverOverSsh();
  const { look, end } = await project(url);
  onTestFinished(end);
  const before = await look();
  await net.set({ cutAfter: 1 });
  net.cut();
  expect(await look()).toBe(null);
  await net.set('pass');
  expect(await look()).toBe(before);
});

test('over ssh a server that knows the old protocol only is left to git, for an hour', async () => {
  const { net, url } = await serverOverSsh({ acceptGitProtocol: false });
  const { look, end, later } = await project(url);
  onTestFinished(end);
  expect([await look(), await look(), net.counts.connections]).toEqual([null, null, 1]);
  later.ms = 3_600_000;
  expect([await look(), net.counts.connections]).toEqual([null, 2]);
});

test('over ssh nothing is asked past git where it would go another way', async () => {
  const { remote, net, url } = await serverOverSsh();
  const { look, set, unset, end } = await project(url);
  onTestFinished(end);
  for (const [name, value] of [
    ['url.ssh://band.invalid/.insteadOf', 'ssh://'],
    ['protocol.version', '0'],
    ['protocol.ssh.allow', 'never'],
    ['ssh.variant', 'simple'],
    ['core.sshCommand', 'plink -batch'],
  ] as const) {
    if (name === 'core.sshCommand') delete process.env['GIT_SSH_COMMAND'];
    await set([name, value]);
    expect([name, await look()]).toEqual([name, null]);
    await unset(name);
  }
  for (const [name, value] of [
    ['GIT_SSH_VARIANT', 'simple'],
    ['GIT_ALLOW_PROTOCOL', 'https'],
    ['GIT_SSH_COMMAND', remote.command('-o ControlPath=/tmp/their-own')],
  ] as const) {
    process.env[name] = value;
    onTestFinished(() => void delete process.env[name]);
    await set();
    expect([name, await look()]).toEqual([name, null]);
    delete process.env[name];
  }
  process.env['GIT_SSH_COMMAND'] = remote.command();
  for (const odd of [url.replace('//', '//-x@'), url.replace(/(:\d+)\//, '$1/~'), `${url}%20`, `${url}'`, `${url}\n`])
    expect([odd, await (await project(odd)).look()]).toEqual([odd, null]);
  expect(net.counts.connections).toBe(0);
  await set();
  expect(await look()).not.toBe(null);
});

test('a private repository is opened with what git has for its host, which is asked for once', async () => {
  const auth = { user: 'ann', password: 'pässword' };
  const { remote } = await server({ auth });
  const { program, says, calls } = await helper();
  await says(`username=ann\npassword=${auth.password}\n`);
  await fs.symlink(remote.dir, path.join(path.dirname(remote.dir), 'other.git'));
  const songs = [await project(remote.url), await project(remote.url.replace('song.git', 'other.git'))];
  for (const { set } of songs) await set(['credential.helper', program]);
  const seen = await Promise.all(songs.map(async ({ look }) => await look()));
  expect([seen, await calls()]).toEqual([[expect.any(String), seen[0]], 1]);
  // Not for each look anew, and not refused first each time.
  remote.requests.length = 0;
  expect([await songs[0]?.look(), remote.requests.length, await calls()]).toEqual([seen[0], 1, 1]);

  // Git has another one for each path, if that is set.
  for (const { set } of songs) await set(['credential.useHttpPath', 'true']);
  for (const { look } of songs) expect(await look()).toBe(seen[0]);
  expect(await calls()).toBe(3);
});

test('a credential that is refused later is asked for again, after git has asked itself', async () => {
  const auth = { user: 'ann', password: 'one' };
  const { remote } = await server({ auth });
  const { program, says, calls } = await helper();
  const { look, set, later } = await project(remote.url);
  await set(['credential.helper', program]);
  await says('username=ann\npassword=one\n');
  expect(await look()).not.toBe(null);
  auth.password = 'two';
  expect(await look()).toBe(null);
  await says('username=ann\npassword=two\n');
  expect(await look()).not.toBe(null);
  expect(await calls()).toBe(2);

  // What is refused at once is not tried again each minute.
  auth.password = 'three';
  expect(await look()).toBe(null);
  expect(await look()).toBe(null);
  remote.requests.length = 0;
  expect([await look(), remote.requests]).toEqual([null, []]);
  later.ms = 3_600_000;
  await says('username=ann\npassword=three\n');
  expect(await look()).not.toBe(null);
});

test('a credential in the address is used as git uses it, when it is asked for', async () => {
  const { remote } = await server({ auth: { user: 'ann', password: 'a:b%' } });
  const sent = credentialsSent(remote);
  const { look } = await project(remote.url.replace('//', '//ann:a%3Ab%25@'));
  expect(await look()).not.toBe(null);
  expect(sent).toEqual([undefined, `Basic ${Buffer.from('ann:a:b%').toString('base64')}`]);
});

test('a credential for another host is not sent', async () => {
  const { remote } = await server({ auth: { user: 'ann', password: 'one' } });
  const sent = credentialsSent(remote);
  const { look, set } = await project(remote.url);
  const { program, says } = await helper();
  await says('protocol=http\nhost=band.invalid\nusername=ann\npassword=one\n');
  await set(['credential.helper', program]);
  expect([await look(), sent]).toEqual([null, [undefined]]);
  await says('username=ann\npassword=one\n');
  await set();
  expect(await look()).not.toBe(null);
});

function credentialsSent(remote: HttpRemote) {
  const sent: unknown[] = [];
  remote.trouble = ({ headers }) => {
    sent.push(headers.authorization);
    return null;
  };
  return sent;
}

test('where git would go another way, or trust others, nothing is asked past it', async () => {
  const { remote } = await server();
  const { look, set, unset } = await project(remote.url);
  for (const [name, value] of [
    ['http.proxy', 'http://127.0.0.1:9'],
    ['http.https://band.invalid.sslCAInfo', '/band.pem'],
    ['http.extraHeader', 'X-Band: ours'],
    ['http.cookieFile', '/cookies'],
    ['http.followRedirects', 'true'],
    ['remote.origin.proxy', 'http://127.0.0.1:9'],
    ['url.http://band.invalid/.insteadOf', 'http://127.0.0.1'],
    ['protocol.http.allow', 'never'],
  ] as const) {
    await set([name, value]);
    expect([name, await look()]).toEqual([name, null]);
    await unset(name);
  }
  for (const name of ['http_proxy', 'ALL_PROXY', 'GIT_SSL_NO_VERIFY', 'GIT_HTTP_USER_AGENT']) {
    process.env[name] = '/x';
    onTestFinished(() => void delete process.env[name]);
    await set();
    expect([name, await look()]).toEqual([name, null]);
    delete process.env[name];
  }
  for (const odd of [
    remote.url.replace('127.0.0.1', '127.0.0.1\\@band.invalid'),
    remote.url.replace('song', 'my song'),
    `${remote.url}?x`,
    'ssh://127.0.0.1/song.git',
    remote.url.replace(/\d+\/song/, '99999/song'),
  ])
    expect([odd, await (await project(odd)).look()]).toEqual([odd, null]);
  expect(remote.requests).toEqual([]);
  await set(['http.postBuffer', '1000000'], ['url.http://band.invalid/.insteadOf', 'band:']);
  expect(await look()).not.toBe(null);
});

const listing = 'application/x-git-upload-pack-result';
const line = `003d${'a'.repeat(40)} refs/heads/main\n`;
const answers: Record<string, (request: http.IncomingMessage) => Trouble | null> = {
  'of a server that knows the old protocol only': ({ headers }) => {
    delete headers['git-protocol'];
    return null;
  },
  'a redirect': () => ({ status: 302, headers: { Location: '/other.git/git-upload-pack' } }),
  'the own page of a network': () => ({ status: 200, body: '<html>' }),
  'of something else': () => ({ status: 200, headers: { 'Content-Type': 'text/plain' }, body: `${line}0000` }),
  half: () => ({ status: 200, headers: { 'Content-Type': listing }, body: line }),
  'and more': () => ({ status: 200, headers: { 'Content-Type': listing }, body: `${line}0000${line}0000` }),
  'too long': () => ({ status: 200, headers: { 'Content-Type': listing }, body: `${line.repeat(20_000)}0000` }),
  'of a server in trouble': () => ({ status: 503, headers: { 'Content-Type': listing }, body: '0000' }),
  'of a server that wants another proof': () => ({ status: 401, headers: { 'WWW-Authenticate': 'Negotiate' } }),
};

test('a server that answers anything else is left to git, for an hour', async () => {
  const { remote } = await server();
  for (const [answer, trouble] of Object.entries(answers)) {
    const { look, later } = await project(remote.url.replace('//', '//ann:one@'));
    remote.requests.length = 0;
    remote.trouble = trouble;
    const looks = [await look(), await look()];
    expect([answer, looks, remote.requests]).toEqual([answer, [null, null], ['POST /song.git/git-upload-pack']]);
    remote.trouble = () => null;
    later.ms = 3_600_000;
    expect(await look()).not.toBe(null);
  }
});

test('a remote that is away is left to git, and asked again as soon as it is there', async () => {
  const { remote } = await server();
  const { look } = await project(remote.url);
  const before = await look();
  remote.trouble = () => ({ cutAnswerAfter: 10 });
  expect(await look()).toBe(null);
  remote.trouble = () => null;
  expect(await look()).toBe(before);
  await remote.stop();
  expect(await look()).toBe(null);
});

test('a certificate that nobody vouches for is not taken, whatever Node is told, and nothing is sent', async () => {
  const { remote } = await server({ tls: true });
  process.env['NODE_TLS_REJECT_UNAUTHORIZED'] = '0';
  onTestFinished(() => void delete process.env['NODE_TLS_REJECT_UNAUTHORIZED']);
  const { look } = await project(remote.url);
  expect([await look(), remote.requests]).toEqual([null, []]);
});
