import * as fs from 'node:fs/promises';
import path from 'node:path';
import { expect, it } from 'vitest';
import { sortPush } from '../../src/git/failures.ts';
import { push, read, songRepository, sorted } from '../support/pushing.ts';
import { sshRemote } from '../support/remotes.ts';
import { sandbox } from '../support/sandbox.ts';
import { makeKey } from '../support/ssh-remote.ts';

const unreachable = 'transient offline';

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

it('offers more keys than the server wants to see', async () => {
  const { url, command } = await sshRemote();
  const keys = Array.from({ length: 7 }, (_, n) => `key${n}`);
  const dir = await sandbox();
  for (const key of keys) makeKey(path.join(dir, key));
  const env = { GIT_SSH_COMMAND: command(...keys.map((key) => `-i '${path.join(dir, key)}'`)) };
  const result = await push(await songRepository(), [url, 'HEAD:main'], { env });
  expect(sorted(result)).toBe('auth auth');
  expect(sortPush(result).detail).toMatch(/Too many authentication failures$/);
});

it.each([
  ['ERROR: Permission to band/song.git denied to ann.', 'auth auth'],
  ['ERROR: Repository not found.', 'configuration remote-not-found'],
  [
    "remote: ERROR: The project you were looking for could not be found or you don't have permission to view it.",
    'configuration remote-not-found',
  ],
  ['The server is being mended', unreachable],
])('is told by a host: %s', async (words, meaning) => {
  const host = path.join(await sandbox(), 'ssh');
  await fs.writeFile(host, `#!/bin/sh\ncat >&2 <<'END'\n${words}\nEND\nexit 1\n`, { mode: 0o755 });
  const env = { GIT_SSH: host, GIT_SSH_VARIANT: 'ssh' };
  const result = await push(await songRepository(), ['git@band.example:song.git', 'HEAD:main'], { env });
  expect(sorted(result)).toBe(meaning);
  expect(sortPush(result).detail).toContain(words.replace(/^(remote: )?(ERROR: )?/, '').replace(/\.$/, ''));
});

it('breaks while the server still says what it has: nothing was sent', async () => {
  const host = path.join(await sandbox(), 'ssh');
  const line = `003d${'1'.repeat(40)} refs/heads/main`;
  await fs.writeFile(host, `#!/bin/sh\necho '${line}'\n`, { mode: 0o755 });
  const env = { GIT_SSH: host, GIT_SSH_VARIANT: 'ssh' };
  expect(await read('git@band.example:song.git', { env })).toBe(unreachable);
  expect(sorted(await push(await songRepository(), ['git@band.example:song.git', 'HEAD:main'], { env }))).toBe(
    unreachable,
  );
});

it('is not installed', async () => {
  const env = { GIT_SSH: '/nowhere/ssh' };
  expect(await read('git@band.example:song.git', { env })).toBe('configuration remote-misconfigured');
});

it('dies: before the first answer nothing was sent', async () => {
  const { url } = await sshRemote();
  expect(await read(url, { env: { GIT_SSH_COMMAND: 'kill -9 $$;', GIT_SSH_VARIANT: 'ssh' } })).toBe(unreachable);
});
