import { once } from 'node:events';
import * as fs from 'node:fs/promises';
import { createServer } from 'node:net';
import path from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { folderFinding, type Keys, remoteFinding, selfCheck } from '../../src/daemon/self-check.ts';
import { git } from '../../src/git/run.ts';
import { Failure } from '../../src/model/failures.ts';
import { user } from '../support/daemon.ts';
import { projectWithRemote } from '../support/project.ts';
import { sshRemote } from '../support/remotes.ts';

test('doctor tells what the background process cannot do although the terminal can, with the cure', async () => {
  const remote = await sshRemote();
  // The terminal's ssh finds the server; the background process was started without.
  const { run, song, dir } = await user();
  const withKeys = { ...remote.env };
  const one = await song('One');
  const made = await run(['init', one, '--remote', remote.url], dir, withKeys);
  expect(made.code).toBe(0);
  const background = async () => {
    const { checks } = (await run(['doctor', '--json'], one, withKeys)).json() as {
      checks: { name: string; ok: boolean; message: string; hint: string | null }[];
    };
    return checks.filter(({ name }) => name.startsWith('background'));
  };
  expect(await background()).toEqual([]);
  await run(['daemon', 'start'], dir, withKeys);
  expect(await background()).toMatchObject([
    { name: 'background: folder', ok: true },
    { name: 'background: remote', ok: true },
  ]);
  await run(['daemon', 'stop']);
  await run(['daemon', 'start'], dir, {
    GIT_SSH_VARIANT: 'ssh',
    GIT_SSH_COMMAND: 'echo "ann@host: Permission denied (publickey)." >&2; exit 255;',
  });
  expect(await background()).toContainEqual(
    expect.objectContaining({
      name: 'background: remote',
      ok: false,
      message: expect.stringContaining('no SSH agent'),
      hint: expect.stringContaining('daemon restart'),
    }),
  );
});

test('an agent that is gone is told from none and from one that has no such key; what is no project is told, too', async () => {
  const { project, dir } = await projectWithRemote();
  const { root } = project;
  const check = async (agent: string) => {
    Object.assign(process.env, { SSH_AUTH_SOCK: agent });
    return await selfCheck(root);
  };
  onTestFinished(() => void (delete process.env['SSH_AUTH_SOCK'], delete process.env['GIT_SSH_COMMAND']));
  const folder = { name: 'background: folder', ok: true };
  expect(await check('')).toMatchObject([
    folder,
    { name: 'background: remote', ok: true, message: expect.stringContaining('lets') },
  ]);
  await git(root, ['remote', 'set-url', 'origin', 'git@host:song.git']);
  Object.assign(process.env, {
    GIT_SSH_VARIANT: 'ssh',
    GIT_SSH_COMMAND: 'echo "ann@host: Permission denied (publickey)." >&2; exit 255;',
  });
  const gone = path.join(dir, 'agent');
  expect((await check(gone))[1]).toMatchObject({ ok: false, message: expect.stringContaining('agent that is gone') });
  const agent = createServer().listen(gone);
  onTestFinished(() => void agent.close());
  await once(agent, 'listening');
  expect((await check(gone))[1]).toMatchObject({ ok: false, message: expect.not.stringContaining('agent') });
  expect((await check(''))[1]).toMatchObject({ ok: false, message: expect.stringContaining('no SSH agent') });
  await git(root, ['remote', 'remove', 'origin']);
  expect((await check(''))[1]).toMatchObject({ ok: true, message: 'none' });
  await fs.rm(path.join(root, '.oxenvcs/state'), { recursive: true, force: true });
  // No rights hold root back.
  await fs.symlink('state', path.join(root, '.oxenvcs/state'));
  expect(await check('')).toMatchObject([{ ...folder, ok: false }, { ok: true }]);
  await fs.rm(path.join(root, '.git'), { recursive: true });
  expect(await check('')).toMatchObject([{ ...folder, ok: false, message: expect.stringContaining(root) }]);
});

const auth = new Failure('auth', { detail: 'Permission denied (publickey)', remote: 'r' });
const keys = (url: string, over: Partial<Keys> = {}): Keys => ({ url, agent: 'none', keychain: 'open', ...over });

test.each<[string, Failure, Keys, NodeJS.Platform, RegExp | null]>([
  ['ssh without an agent', auth, keys('git@host:song.git'), 'linux', /import-environment SSH_AUTH_SOCK/],
  ['ssh with an agent that is gone', auth, keys('ssh://host/song.git', { agent: 'gone' }), 'darwin', /ssh-add --apple/],
  ['ssh on Windows', auth, keys('git@host:song.git'), 'win32', /Authentication Agent/],
  ['ssh with its agent', auth, keys('git@host:song.git', { agent: 'there' }), 'linux', /SSH key/],
  [
    'https, and the keychain is locked',
    auth,
    keys('https://host/s.git', { keychain: 'locked' }),
    'darwin',
    /unlock-keychain/,
  ],
  ['https', auth, keys('https://host/s.git'), 'linux', /access token/],
  ['a folder of Windows', auth, keys('C:\\songs\\one.git'), 'win32', /access token/],
  [
    'an address that is wrong',
    new Failure('remote-not-found', { remote: 'r' }),
    keys('git@host:s.git'),
    'linux',
    /^Check the address/,
  ],
  ['offline', new Failure('offline', { detail: 'no route' }), keys('git@host:song.git'), 'linux', null],
])('%s: the cure', (_, failure, found, platform, cure) => {
  const finding = remoteFinding(failure, found, platform);
  expect(finding.ok).toBe(cure === null);
  if (cure === null) expect(finding.hint).toBeNull();
  else expect(finding.hint).toMatch(cure);
});

test('a folder that a Mac keeps from services, and a PATH without git, have their cures', () => {
  const refused = new Failure('no-rights', { detail: 'EPERM: operation not permitted, scandir /Users/ann/Documents' });
  expect(folderFinding(refused, 'darwin')).toMatchObject({ name: 'background: folder', ok: false });
  expect(folderFinding(refused, 'darwin').hint).toMatch(/Full Disk Access.*daemon restart/);
  expect(folderFinding(refused, 'linux').hint).not.toContain('System Settings');
  expect(folderFinding(new Failure('no-git'), 'darwin').hint).toContain('takes the PATH along');
});
