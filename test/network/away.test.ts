import * as fs from 'node:fs/promises';
import path from 'node:path';
import { expect, test } from 'vitest';
import { gitFailure } from '../../src/git/failures.ts';
import { tryGit } from '../../src/git/run.ts';
import type { Failure } from '../../src/model/failures.ts';
import { away, localFolder } from '../../src/network/away.ts';
import { checkRemote } from '../../src/network/connectivity.ts';
import { noteTry } from '../../src/network/tries.ts';
import { fileRemote, httpRemote } from '../support/remotes.ts';
import { sandbox } from '../support/sandbox.ts';

async function asked(url: string): Promise<Failure> {
  const args = ['ls-remote', url];
  return gitFailure(await tryGit(await sandbox(), args), args, url);
}

test('a folder that is not there now is offline; one that is there and no repository is a wrong address', async () => {
  const remote = await fileRemote();
  const root = await sandbox();
  const gone = `${remote.dir}.unplugged`;
  await fs.rename(remote.dir, gone);
  for (const url of [remote.url, remote.dir]) {
    const failure = await asked(url);
    expect(failure.row).toBe('remote-not-found');
    expect(await away(failure, { root, remote: { url } })).toMatchObject({ row: 'offline', message: /not plugged in/ });
    // The disk comes back between git's look and ours: that must not wait for a person.
    await fs.rename(gone, remote.dir);
    expect(await away(failure, { root, remote: { url } })).toMatchObject({ row: 'offline', message: /a moment ago/ });
    await fs.rename(remote.dir, gone);
  }
  await fs.mkdir(remote.dir);
  const wrong = await asked(remote.url);
  expect(await away(wrong, { root, remote: { url: remote.url } })).toBe(wrong);
});

test('which remotes are folders', async () => {
  expect(localFolder('/Volumes/NAS/Söng 1.git')).toBe('/Volumes/NAS/Söng 1.git');
  expect(localFolder('file:///Volumes/S%C3%B6ng.git')).toBe(path.resolve('/Volumes/Söng.git'));
  for (const url of ['git@band.example:song.git', 'https://band.example/song.git', 'file://nas/song.git', 'file://%'])
    expect({ url, folder: localFolder(url) }).toEqual({ url, folder: null });
});

test('a network that answers everything with its own page is offline, where that remote has answered before', async () => {
  const remote = await httpRemote();
  const root = await sandbox();
  const of = { root, branch: 'main', remote: { url: remote.url } };
  const check = async () => (await checkRemote(of)).connectivity;
  remote.trouble = () => ({ status: 200, headers: { 'Content-Type': 'text/html' }, body: '<html>\nLog in\n</html>\n' });
  expect(await check()).toMatchObject({ state: 'unknown' });
  await noteTry(root, remote.url, { op: 'push', at: Date.now(), ms: 5, failure: null, retryMs: null });
  expect(await check()).toMatchObject({ state: 'offline', reason: /not as the remote that was there before/ });
  // Another address of the same project is not believed for it.
  const other = await httpRemote();
  other.trouble = remote.trouble;
  const elsewhere = await checkRemote({ ...of, remote: { url: other.url } });
  expect(elsewhere.connectivity).toMatchObject({ state: 'unknown' });
});
