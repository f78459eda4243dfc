import * as fs from 'node:fs/promises';
import path from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { largeFiles, largeNow, type LeftOutEvent } from '../../src/background/large-files.ts';
import { changes } from '../../src/commit/changes.ts';
import { bySize } from '../../src/commit/oversized.ts';
import { git, gitLine } from '../../src/git/run.ts';
import { capabilities, learn } from '../../src/lock/capabilities.ts';
import { lockContext } from '../../src/lock/context.ts';
import type { Project } from '../../src/project/project.ts';
import { fileLimit, keptFileLimit, knownLimit } from '../../src/push/file-limit.ts';
import { publishQueue } from '../../src/sync/publish.ts';
import { systemClock } from '../../src/system/clock.ts';
import { sandbox } from '../support/sandbox.ts';
import { init } from '../../src/setup/init.ts';
import { serverHook } from '../support/remotes.ts';
import { fileIn, projectWithRemote, statusLines } from '../support/project.ts';

const KiB = 1024;

/** A host that takes no file above 100 KiB, and says so in these words. */
async function strictHost(words: string): Promise<{ project: Project; remote: string }> {
  const { project, remote } = await projectWithRemote();
  const body = `while read old new ref; do
  for blob in $(git rev-list --objects --no-object-names $new --not --all | git cat-file --batch-check='%(objecttype) %(objectname) %(objectsize)' | awk '$1 == "blob" && $3 > 102400 {print $2}'); do
    echo "${words}" >&2; exit 1
  done
done`;
  await serverHook({ dir: remote }, 'pre-receive', body);
  return { project, remote };
}

async function commit({ root }: Project, files: Record<string, number | string>, message: string): Promise<string> {
  for (const [name, content] of Object.entries(files)) {
    await fs.mkdir(path.dirname(path.join(root, name)), { recursive: true });
    // Noise, as takes are.
    const bytes = typeof content === 'string' ? content : Buffer.alloc(content, `${name} `);
    await fs.writeFile(path.join(root, name), bytes);
  }
  await git(root, ['add', '--all']);
  await git(root, ['commit', '--quiet', '-m', message]);
  return await gitLine(root, ['rev-parse', 'HEAD']);
}

const publishNow = async (project: Project) =>
  await publishQueue(project, {
    clock: systemClock,
    signal: new AbortController().signal,
    patienceMs: 10_000,
    urgency: 'by-hand',
  });

const namedLimit = "error: File x is 1.00 MB; this exceeds Host's file size limit of 0.0976563 MB";

test.each([
  ['that names its limit', namedLimit],
  ['that only says no', 'error: a file is too large'],
])('one oversized take, already in versions, does not block all later saves on a host %s', async (_, words) => {
  const { project, remote } = await strictHost(words);
  const { root } = project;
  await commit(project, { 'Song.als': 'two', 'Audio/small.wav': 50 * KiB }, 'first');
  await commit(
    project,
    { 'Song.als': 'three', 'Audio/ä 🎸\n.wav': 300 * KiB, 'Audio/small.wav': 200 * KiB },
    'second\n\nby hand',
  );
  await commit(project, { 'Song.als': 'four', 'Audio/other.wav': 150 * KiB }, 'third');
  const before = await git(root, ['log', '--format=%an %ae %at %ct %s']);
  const old = await gitLine(root, ['rev-parse', 'HEAD']);
  await fs.writeFile(path.join(root, 'notes.txt'), 'staged by hand');
  await git(root, ['add', 'notes.txt']);

  expect(await publishNow(project)).toMatchObject([{ outcome: 'published', versions: 4 }]);

  const tip = await gitLine(root, ['rev-parse', 'HEAD']);
  expect(await gitLine(remote, ['rev-parse', 'main'])).toBe(tip);
  expect(await git(root, ['log', '--format=%an %ae %at %ct %s'])).toBe(before);
  expect(await fileIn(remote, 'main', 'Song.als')).toBe('four');
  // What the version before had of it stays; what is new is not there.
  expect((await fileIn(remote, 'main', 'Audio/small.wav')).length).toBe(50 * KiB);
  const named = await git(remote, ['log', '--format=%(trailers:key=Incomplete,valueonly)', 'main~2..main']);
  expect(named.split('\n').filter(Boolean).toSorted()).toEqual(
    ['Audio/other.wav', ...Array.from({ length: 2 }, () => ['Audio/small.wav', 'Audio/ä 🎸 .wav']).flat()].toSorted(),
  );
  // Nothing in the folder was touched, and the user's next commit does not bring the files back.
  expect((await fs.stat(path.join(root, 'Audio/small.wav'))).size).toBe(200 * KiB);
  expect((await statusLines(root)).toSorted()).toEqual(
    [' M Audio/small.wav', '?? Audio/other.wav', '?? Audio/ä 🎸\n.wav', 'A  notes.txt'].toSorted(),
  );
  // What was made before is kept, and can be had by its id.
  expect(
    await gitLine(root, [
      'for-each-ref',
      '--contains',
      old,
      '--count=1',
      '--format=%(objecttype)',
      'refs/oxenvcs/kept',
    ]),
  ).toBe('commit');

  // From then on the limit applies when a version is made.
  const limit = await fileLimit(project);
  expect(limit).toBeGreaterThanOrEqual(100 * KiB);
  expect(limit).toBeLessThan(150 * KiB);
  const { within, over } = await bySize(
    root,
    (await changes(root)).map(({ path: name }) => name),
    limit,
  );
  expect(over.map(({ path: name }) => name).toSorted()).toEqual(
    ['Audio/other.wav', 'Audio/small.wav', 'Audio/ä 🎸\n.wav'].toSorted(),
  );
  expect(within).toEqual(['notes.txt']);
  expect((await largeNow(project)).map(({ message }) => message)).toContainEqual(
    expect.stringMatching(/^Audio\/other\.wav \(150 KB\) is larger than the remote takes \(1\d\d KB\)/),
  );
  await commit(project, { 'Song.als': 'five' }, 'fourth');
  expect(await publishNow(project)).toMatchObject([{ outcome: 'published' }]);
});

test('a known host’s limit applies before the first refusal, with all its ways to be written', () => {
  for (const url of [
    'git@github.com:band/song.git',
    'https://github.com/band/song',
    'ssh://git@github.com:22/band/song.git',
    'https://ann:pw@github.com/b/s',
  ])
    expect(knownLimit(url)).toBe(100 * 2 ** 20);
  for (const url of [
    'git@gitlab.com:band/github.com.git',
    'https://notgithub.com/band/song',
    '/home/ann/github.com/song.git',
  ])
    expect(knownLimit(url)).toBeNull();
});

test('who asks at every look starts no git for it, and hears of another remote and of what a refusal has taught', async () => {
  const { project } = await projectWithRemote();
  const limitNow = keptFileLimit(project);
  expect(await limitNow()).toBeNull();
  await git(project.root, ['remote', 'set-url', 'origin', 'git@github.com:band/song.git']);
  expect(await limitNow()).toBe(100 * 2 ** 20);
  const real = process.env['PATH'];
  process.env['PATH'] = '/nowhere';
  expect(await limitNow().finally(() => (process.env['PATH'] = real))).toBe(100 * 2 ** 20);
  await learn(await lockContext(project), { maxBlobBytes: 5 * KiB });
  expect(await limitNow()).toBe(5 * KiB);
});

test('a limit that is set by hand is kept before anything is sent; files of git-lfs count as what the repository holds of them', async () => {
  const { project, remote } = await projectWithRemote();
  project.config.push.maxBlobBytes = 100 * KiB;
  await commit(project, { 'Audio/big.wav': 101 * KiB, 'Song.als': 'two' }, 'first');
  expect(await publishNow(project)).toMatchObject([{ outcome: 'published', published: { outcome: 'pushed' } }]);
  expect(await git(remote, ['ls-tree', '-r', '--name-only', 'main'])).not.toContain('big.wav');
  expect((await capabilities(await lockContext(project))).maxBlobBytes).toBeNull();
  await fs.appendFile(path.join(project.root, '.gitattributes'), '*.aif filter=lfs -text\n');
  const found = ['a.aif', 'a.wav'];
  for (const name of found) await fs.writeFile(path.join(project.root, name), Buffer.alloc(200 * KiB));
  expect((await bySize(project.root, found, 100 * KiB)).over).toMatchObject([{ path: 'a.wav' }]);
});

test('a watcher hands what the remote would refuse to no version, tells it once, and follows it again when it is smaller', async () => {
  const { project } = await projectWithRemote();
  project.config.push.maxBlobBytes = 100 * KiB;
  const told: LeftOutEvent[] = [];
  const large = largeFiles(project, (event) => told.push(event));
  const big = path.join(project.root, 'big.wav');
  await fs.writeFile(path.join(project.root, 'Song.als'), 'two');
  const seen = async (size: number) => {
    await fs.writeFile(big, Buffer.alloc(size));
    return (await large.leaveOut(await changes(project.root))).map((one) => one.path);
  };
  for (const size of [101, 102]) expect(await seen(size * KiB)).toEqual(['Song.als']);
  expect(large.names()).toEqual(['big.wav']);
  expect(told).toMatchObject([{ path: 'big.wav', failure: { row: 'left-out' } }]);
  expect((await seen(99 * KiB)).toSorted()).toEqual(['Song.als', 'big.wav']);
  expect(large.names()).toEqual([]);
  await seen(101 * KiB);
  expect(told).toHaveLength(2);
});

test('in the middle of the user’s own rebase no version is made anew: it waits', async () => {
  const { project } = await strictHost(namedLimit);
  const tip = await commit(project, { 'Audio/big.wav': 300 * KiB }, 'first');
  await fs.mkdir(path.join(project.gitDir, 'rebase-merge'));
  expect(await publishNow(project)).toMatchObject([{ outcome: 'not-yet', failure: { row: 'file-too-large' } }]);
  expect(await gitLine(project.root, ['rev-parse', 'HEAD'])).toBe(tip);
  await fs.rmdir(path.join(project.gitDir, 'rebase-merge'));
  expect(await publishNow(project)).toMatchObject([{ outcome: 'published' }]);
});

test('a project that is set up with such a remote begins without the file, and says so', async () => {
  process.env['OXENVCS_PUSH_MAX_BLOB_BYTES'] = String(100 * KiB);
  onTestFinished(() => void delete process.env['OXENVCS_PUSH_MAX_BLOB_BYTES']);
  const song = path.join(await sandbox(), 'Song');
  await fs.mkdir(song);
  await fs.writeFile(path.join(song, 'Song.als'), 'one');
  await fs.writeFile(path.join(song, 'mix.wav'), Buffer.alloc(200 * KiB));
  const { warnings, created } = await init(song, { hooks: false });
  expect(warnings.join()).toMatch(/mix\.wav \(200 KB\) is larger than the remote takes \(100 KB\)/);
  expect(created.join()).toContain('with 4 files');
  expect(await git(song, ['log', '-1', '--format=%(trailers:key=Incomplete,valueonly)'])).toBe('mix.wav\n\n');
});
