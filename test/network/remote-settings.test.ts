import * as fs from 'node:fs/promises';
import path from 'node:path';
import { expect, test } from 'vitest';
import { addressIn, askSettings } from '../../src/git/remote-settings.ts';
import { git, gitLine, tryGit } from '../../src/git/run.ts';
import { remoteUrl } from '../../src/project/project.ts';
import { defaults } from '../../src/model/config.ts';
import { oxenvcs } from '../support/cli.ts';
import { relay } from '../support/relay.ts';
import { fileRemote, httpRemote } from '../support/remotes.ts';
import { repository, sandbox, write } from '../support/sandbox.ts';

/** A project, and its commands: they must succeed. */
async function song(origin: string, settings: Record<string, string>) {
  const root = path.join(await sandbox(), 'song');
  await write(root, { 'Song.als': 'one' });
  await oxenvcs(['init', root, '--no-hooks'], { cwd: path.dirname(root) });
  await git(root, ['config', 'remote.origin.url', origin]);
  for (const [name, value] of Object.entries(settings)) await git(root, ['config', `remote.origin.${name}`, value]);
  const run = async (args: string[], env: Record<string, string> = {}) => {
    const { code, stdout, stderr } = await oxenvcs(args, { cwd: root, env });
    expect({ args, code, stderr }).toEqual({ args, code: 0, stderr: '' });
    return stdout;
  };
  const save = async (text: string) => {
    await write(root, { 'Song.als': text });
    await git(root, ['commit', '--quiet', '-a', '-m', text]);
  };
  return { root, run, save };
}

test('whatever goes to the remote goes through the proxy that is set for it, and for it alone', async () => {
  const remote = await httpRemote();
  const { url: proxy, asked } = await relay(remote.port);
  // The one for everything leads nowhere.
  const { root, run, save } = await song('http://ann:a=b@band.invalid/song.git', { proxy });
  await git(root, ['config', 'http.proxy', 'http://127.0.0.1:9']);
  const news = () => asked.splice(0).map((url) => new URL(url).pathname);

  expect(await run(['net', 'check', '--json'])).toContain('"online"');
  expect(news()).not.toEqual([]);
  await run(['push']);
  expect(news()).toContain('/song.git/git-receive-pack');
  await save('two');
  await run(['push', '--verify'], { OXENVCS_PUSH_MAX_BYTES_PER_SECOND: '1000000' });
  expect(news()).toContain('/song.git/git-receive-pack');
  await run(['sync']);
  await run(['doctor']);
  expect(news()).toContain('/song.git/git-upload-pack');
  expect(await gitLine(remote.dir, ['rev-parse', 'main'])).toBe(await gitLine(root, ['rev-parse', 'HEAD']));

  // None for this one, whatever is set for the others.
  await git(root, ['config', 'remote.origin.proxy', '']);
  await git(root, ['config', 'remote.origin.url', remote.url]);
  expect(await run(['net', 'check', '--json'])).toContain('"online"');
  expect(news()).toEqual([]);
});

test('a git in an unusual place on the other side is found where the settings say', async () => {
  const remote = await fileRemote();
  const dir = await sandbox();
  for (const name of ['upload-pack', 'receive-pack']) {
    await write(dir, { [name]: `#!/bin/sh\necho ${name} >> ${dir}/asked\nexec git ${name} "$@"\n` });
    await fs.chmod(path.join(dir, name), 0o755);
  }
  const uploadpack = path.join(dir, 'upload-pack');
  const { run, save } = await song(remote.url, { uploadpack, receivepack: path.join(dir, 'receive-pack') });
  const asked = async () => {
    const lines = (await fs.readFile(path.join(dir, 'asked'), 'utf8')).trim().split('\n');
    await fs.writeFile(path.join(dir, 'asked'), '');
    return lines;
  };
  await run(['net', 'check']);
  expect(await asked()).toEqual(['upload-pack']);
  await run(['push']);
  expect(await asked()).toContain('receive-pack');
  await save('two');
  await run(['push'], { OXENVCS_PUSH_MAX_BYTES_PER_SECOND: '1000000' });
  // The lock; then the branch, and the lock is given back.
  expect((await asked()).filter((name) => name === 'receive-pack')).toHaveLength(2);
});

test.each<[string, string, Record<string, string>]>([
  ['one address', 'known', { 'remote.a.b.url': 'https://band.example/x=y.git' }],
  [
    'another one for pushing',
    'known',
    { 'remote.a.b.url': '/songs/x', 'remote.a.b.pushurl': 'ssh://git@band.example/x y' },
  ],
  ['rewritten', 'asked', { 'remote.a.b.url': 'band:x', 'url.https://band.example/.insteadOf': 'band:' }],
  ['rewritten for pushing', 'asked', { 'remote.a.b.url': 'git://h/x', 'url.ssh://git@h/.pushInsteadOf': 'git://h/' }],
  ['that of another remote', 'asked', { 'remote.a-b.url': '/songs/other', 'remote.a.b.proxy': 'http://p' }],
])('the address of a remote is git’s own, mostly in one question: %s', async (_, how, settings) => {
  const root = await repository(await sandbox());
  for (const [key, value] of Object.entries(settings)) await git(root, ['config', key, value]);
  const byGit = await tryGit(root, ['remote', 'get-url', '--push', 'a.b']);
  const url = byGit.exitCode === 0 ? byGit.stdout.toString('utf8').trim() : null;
  expect(await remoteUrl({ root, config: { ...defaults, remote: 'a.b' } })).toBe(url);
  const answer = (await tryGit(root, askSettings('a.b'))).stdout.toString('utf8');
  expect(addressIn(answer)).toBe(how === 'known' ? url : null);
});
