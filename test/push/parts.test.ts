import { randomBytes } from 'node:crypto';
import * as fs from 'node:fs/promises';
import path from 'node:path';
import { expect, test } from 'vitest';
import { git, gitLine, tryGit } from '../../src/git/run.ts';
import { writtenIn } from '../../src/git/progress.ts';
import { fileRemote, httpRemote, serverHook, sshRemote } from '../support/remotes.ts';
import { write } from '../support/sandbox.ts';
import { annWithTakes, assertWhole, pushTip, record, stagingRefs } from '../support/takes.ts';

const remotes = { file: fileRemote, http: httpRemote, ssh: sshRemote };

test.each(['file', 'http', 'ssh'] as const)(
  'many takes go in parts that grow, each byte once, and nothing of it is left on the remote (%s)',
  async (kind) => {
    const remote = await remotes[kind]();
    const ann = await annWithTakes(remote);
    await record(ann, 12, 30_000);
    const tip = await record(ann, 6, 50_000);
    const seen: number[] = [];
    const pushed = await pushTip(ann, tip, { onTransfer: ({ part }) => seen.push(part) });
    expect(pushed).toMatchObject({ moved: { outcome: 'published' }, resumedParts: 0 });
    // 128 KiB, then up to four times as much.
    expect(pushed.parts).toBeGreaterThanOrEqual(3);
    expect(pushed.parts).toBeLessThanOrEqual(6);
    expect(pushed.bytesSent).toBeGreaterThan(660_000);
    expect(pushed.bytesSent).toBeLessThan(660_000 * 1.02 + 8000);
    await assertWhole(remote.dir, tip);
    expect(await stagingRefs(remote.dir)).toEqual([]);
    await expect(fs.readdir(path.join(ann.project.gitDir, 'oxenvcs', 'parts'))).rejects.toThrow('ENOENT');
    expect(Math.max(...seen)).toBe(pushed.parts);
  },
);

test('as long as no part has got through none follows behind another: one that fits the buffers on the way has not met the link yet', async () => {
  const remote = await fileRemote();
  const ann = await annWithTakes(remote);
  const tip = await record(ann, 12, 30_000);
  await serverHook(
    remote,
    'pre-receive',
    'if test -f first; then test -f through || touch overlap; else touch first; sleep 0.8; touch through; fi',
  );
  expect((await pushTip(ann, tip)).parts).toBeGreaterThan(2);
  await expect(fs.access(path.join(remote.dir, 'overlap'))).rejects.toThrow('ENOENT');
});

test('the usual save goes in one push, without a question to the remote before it or after', async () => {
  const remote = await httpRemote();
  const ann = await annWithTakes(remote);
  await pushTip(ann, await record(ann, 1, 1000));
  remote.requests.length = 0;
  const tip = await record(ann, 2, 20_000);
  expect(await pushTip(ann, tip)).toMatchObject({ moved: { outcome: 'published' }, parts: 1, resumedParts: 0 });
  expect(remote.requests.filter((line) => line.includes('upload-pack'))).toEqual([]);
  expect(remote.requests.filter((line) => line.startsWith('GET'))).toHaveLength(1);
  expect(await pushTip(ann, tip)).toMatchObject({ moved: { outcome: 'up-to-date' } });
});

test('many saves of a text session cost what a plain push costs', async () => {
  const [remote, plain] = [await fileRemote(), await fileRemote()];
  const ann = await annWithTakes(remote);
  const { root } = ann.project;
  await git(root, ['push', '--quiet', plain.url, 'origin/main:refs/heads/main']);
  const items = Array.from({ length: 20_000 }, () => `ITEM ${randomBytes(24).toString('base64')}`);
  for (let save = 0; save < 20; save++) {
    for (let n = 0; n < 20; n++)
      items[(save * 977 + n * 131) % items.length] = `ITEM ${randomBytes(24).toString('hex')}`;
    await write(root, { 'Song.rpp': items.join('\n') });
    await record(ann, 1, 1500);
  }
  const tip = await gitLine(root, ['rev-parse', 'HEAD']);
  const pushed = await pushTip(ann, tip);
  expect(pushed.parts).toBeGreaterThan(3);
  await assertWhole(remote.dir, tip);
  const { stderr } = await tryGit(root, ['push', '--progress', plain.url, 'HEAD:main']);
  const plainly =
    stderr
      .split(/[\r\n]/)
      .flatMap((line) => writtenIn(line) ?? [])
      .at(-1)?.bytes ?? 0;
  expect(plainly).toBeGreaterThan(300_000);
  expect(pushed.bytesSent / plainly).toBeLessThan(1.1);
});

test('thousands of small files, one larger than any part, merges, a tag, five hundred versions: all of it arrives', async () => {
  const remote = await fileRemote();
  const ann = await annWithTakes(remote, { maxPartBytes: 200_000 });
  const { root } = ann.project;
  const samples = Object.fromEntries(
    Array.from({ length: 3000 }, (_, n) => [`Samples/${n % 7}/${n}.wav`, `sample ${n} `.repeat(5)]),
  );
  await write(root, {
    ...samples,
    'Samples/empty.wav': '',
    'Mix.wav': randomBytes(400_000),
    'Same.wav': samples['Samples/1/1.wav'] ?? '',
  });
  await record(ann, 1, 100);
  await git(root, ['tag', 'demo']);
  await git(root, ['checkout', '--quiet', '-b', 'side', 'HEAD^']);
  await record(ann, 3, 30_000);
  await git(root, ['checkout', '--quiet', 'main']);
  await git(root, ['merge', '--quiet', '-X', 'ours', '--no-edit', 'side']);
  const commits = Array.from(
    { length: 500 },
    (_, n) =>
      `commit refs/heads/main\ncommitter Ann <ann@band.example> ${1_800_000_000 + n} +0000\ndata 1\nx\n${n === 0 ? 'from refs/heads/main^0\n' : ''}M 100644 inline Song.als\ndata 200\n${randomBytes(100).toString('hex')}\n`,
  );
  await git(root, ['fast-import', '--quiet'], { input: commits.join('') });
  const tip = await gitLine(root, ['rev-parse', 'main']);
  const pushed = await pushTip(ann, tip);
  expect(pushed).toMatchObject({ moved: { outcome: 'published' }, resumedParts: 0 });
  expect(pushed.parts).toBeGreaterThan(4);
  await assertWhole(remote.dir, tip);
  expect(await git(remote.dir, ['for-each-ref', '--format=%(refname)'])).toBe(
    'refs/heads/main\nrefs/oxenvcs/locks/main\n',
  );
});
