import { randomBytes } from 'node:crypto';
import * as fs from 'node:fs/promises';
import path from 'node:path';
import { expect, test, vi } from 'vitest';
import { git, tryGit } from '../../src/git/run.ts';
import { type Connection, withSharedConnection } from '../../src/network/share.ts';
import { hostOf, isOpenSsh, isSsh } from '../../src/network/ssh.ts';
import { proxy } from '../support/proxy.ts';
import { sshRemote } from '../support/remotes.ts';
import { push, sorted } from '../support/pushing.ts';
import { repository, sandbox, write } from '../support/sandbox.ts';

async function songOverSsh() {
  const remote = await sshRemote();
  const net = await proxy(remote);
  const url = net.url(remote.url);
  const root = await repository(path.join(await sandbox(), 'song'));
  process.env['GIT_SSH_COMMAND'] = remote.env['GIT_SSH_COMMAND'];
  const ask = async (env: Connection) => await tryGit(root, ['ls-remote', '--', url], { env, timeoutMs: 10_000 });
  return { remote, net, root, url, ask };
}

const socketOf = ({ GIT_SSH_COMMAND: command = '' }: Connection): string =>
  / -o ControlPath=(\S+)/.exec(command)?.[1] ?? '';

test('questions one after the other, and two at once, take one connection, which nobody else can use and which is closed at the end', async () => {
  const { net, root, url, ask } = await songOverSsh();
  let socket = '';
  await withSharedConnection({ root, remote: { url } }, async (connection) => {
    socket = socketOf(connection);
    expect((await ask(connection)).exitCode).toBe(0);
    const both = await Promise.all([ask(connection), ask(connection)]);
    expect(both.map(({ exitCode }) => exitCode)).toEqual([0, 0]);
    expect((await fs.stat(path.dirname(socket))).mode & 0o077).toBe(0);
    await fs.access(socket);
  });
  expect(net.counts.connections).toBe(1);
  await expect(fs.access(socket)).rejects.toThrow('ENOENT');
  // It would be open to whoever made the folder.
  await fs.chmod(path.dirname(socket), 0o777);
  await withSharedConnection({ root, remote: { url } }, async (connection) => {
    expect(path.dirname(socketOf(connection))).not.toBe(path.dirname(socket));
  });
});

test('a shared connection that breaks is a broken connection like any other, and what comes next makes a new one', async () => {
  const { net, root, url, ask } = await songOverSsh();
  await write(root, { 'take.wav': randomBytes(1_500_000) });
  await git(root, ['add', '--all']);
  await git(root, ['commit', '--quiet', '-m', 'a take']);
  await withSharedConnection({ root, remote: { url } }, async (connection) => {
    expect((await ask(connection)).exitCode).toBe(0);
    await net.set({ bytesPerSecond: 1_000_000 });
    const before = net.counts.up;
    const pushing = push(root, [url, 'HEAD:main'], { env: connection });
    await vi.waitFor(() => expect(net.counts.up - before).toBeGreaterThan(300_000), { timeout: 10_000 });
    net.cut();
    const pushed = await pushing;
    expect(sorted(pushed)).toBe('ambiguous remote-unclear');
    await net.set('pass');
    expect((await ask(connection)).exitCode).toBe(0);
    expect((await ask(connection)).exitCode).toBe(0);
  });
  expect(net.counts.connections).toBe(2);
});

test('who shares connections already, or reaches the remote by another program, is left alone', async () => {
  const { remote, root, url } = await songOverSsh();
  const given = async (command: string, to = url) => {
    process.env['GIT_SSH_COMMAND'] = command;
    return await withSharedConnection({ root, remote: { url: to } }, async (connection) => connection);
  };
  expect(await given(remote.command('-o ControlPath=/tmp/their-own'))).toEqual({});
  expect(await given(remote.command('-o ControlMaster=auto'))).toEqual({});
  expect(await given('plink -batch')).toEqual({});
  expect(await given(remote.command(), 'https://song.example/song.git')).toEqual({});
  expect(socketOf(await given(remote.command()))).not.toBe('');
});

test('which addresses are ssh, whose address it is, and which program is OpenSSH', () => {
  expect(['git@host:song.git', 'ssh://host/song', 'nas:song'].map(isSsh)).toEqual([true, true, true]);
  const others = ['https://host/song', '/volume/song', 'file:///song', 'C:\\song', './a:b'];
  expect(others.map(isSsh)).toEqual(Array(5).fill(false));
  const hosts = {
    'ssh://ann@host:2222/song': 'ann@host',
    'ssh://ann@[::1]:22/song': 'ann@::1',
    'ssh://host': 'host',
    'git@host:song.git': 'git@host',
    '[::1]:song': '::1',
    'ssh://-oProxyCommand=x/song': null,
  };
  expect(Object.keys(hosts).map(hostOf)).toEqual(Object.values(hosts));
  expect(['ssh', "'/usr/bin/ssh' -v", '"C:\\OpenSSH\\ssh.exe" -4', ' ssh -i key'].map(isOpenSsh)).toEqual(
    Array(4).fill(true),
  );
  expect(['plink', 'env A=1 ssh', 'ssh-wrapper', ''].map(isOpenSsh)).toEqual(Array(4).fill(false));
});
