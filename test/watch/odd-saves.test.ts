import * as fs from 'node:fs/promises';
import path from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { commitSave } from '../../src/commit/commit.ts';
import { projectWithRemote, statusLines } from '../support/project.ts';
import { background } from '../support/cli.ts';
import { sandbox, write } from '../support/sandbox.ts';
import { watching } from '../support/watching.ts';
import { isMovedAway } from '../../src/system/stat.ts';
import { lookAt } from '../../src/watch/look.ts';

const song = async (files: Record<string, string> = {}) =>
  (await projectWithRemote({ '.gitignore': '.oxenvcs/*\n!.oxenvcs/config.json\n', ...files })).project;

test('a save in the middle of our commit is the next version, and neither is torn', async () => {
  const project = await song();
  let commits = 0;
  const watch = await watching(project, {
    commit: async (save) => {
      commits += 1;
      if (commits === 1) await write(project.root, { 'Song.als': 'three', 'Take.wav': 'grown' });
      return await commitSave(project, save);
    },
  });
  await write(project.root, { 'Song.als': 'two' });
  const versions = await watch.versions(2);
  expect(versions.map(({ files }) => files)).toEqual([
    { 'Song.als': 'two' },
    { 'Song.als': 'three', 'Take.wav': 'grown' },
  ]);
});

test('what iCloud has moved away is not deleted: neither session nor take, however long', async () => {
  const project = await song({ 'Old.als': 'old', 'Samples/Kick.wav': 'kick' });
  const watch = await watching(project);
  for (const name of ['Old.als', 'Samples/Kick.wav']) {
    const file = path.join(project.root, name);
    await fs.rename(file, path.join(path.dirname(file), `.${path.basename(file)}.icloud`));
  }
  await write(project.root, { 'Song.als': 'two' });
  expect(await watch.versions(1)).toEqual([
    { subject: 'Song.als saved', files: { 'Song.als': 'two' }, incomplete: [] },
  ]);
  await fs.rename(path.join(project.root, '.Old.als.icloud'), path.join(project.root, 'Old.als'));
  await fs.rm(path.join(project.root, 'Samples/.Kick.wav.icloud'));
  await write(project.root, { 'Song.als': 'three' });
  const [, next] = await watch.versions(2);
  expect(next?.files).toEqual({ 'Song.als': 'three', 'Samples/Kick.wav': null });
});

test('what lies in a cloud alone is no save and is not read; a file of holes is a save where nothing moves files away', async () => {
  const root = await sandbox();
  await write(root, { 'Here.wav': 'take' });
  // Its size is told, and it takes no room: so lies what was moved away, too.
  await fs.writeFile(path.join(root, 'Holes.wav'), '');
  await fs.truncate(path.join(root, 'Holes.wav'), 4_294_967_296);
  const differences = ['Here.wav', 'Holes.wav'].map(
    (name) => ({ path: name, status: 'modified', staged: false }) as const,
  );
  const seen = async (platform: NodeJS.Platform) => [...(await lookAt(root, differences, platform)).keys()];
  expect(await seen('linux')).toEqual(['Here.wav', 'Holes.wav']);
  expect(await seen('darwin')).toEqual(['Here.wav']);
  expect(await seen('win32')).toEqual(['Here.wav']);
  // NTFS keeps the smallest files in its table.
  expect(isMovedAway({ size: 700n, blocks: 0n }, 'win32')).toBe(false);
  expect(isMovedAway({ size: 700n, blocks: 0n }, 'darwin')).toBe(true);
  expect(isMovedAway({ size: 0n, blocks: 0n }, 'darwin')).toBe(false);
});

test('only the capitals of a name change; a take that a crash cut short; a second name for the same file', async () => {
  const project = await song({ 'Samples/kick.wav': 'kick' });
  const watch = await watching(project);
  await fs.rename(path.join(project.root, 'Samples/kick.wav'), path.join(project.root, 'Samples/Kick.wav'));
  // The header says 0 bytes until the take stops: after a crash it stays so, and the DAW mends it when it opens the take.
  const cut = 'RIFF\0\0\0\0WAVEdata\0\0\0\0and what was recorded';
  await write(project.root, { 'Song.als': 'two', 'Take.wav': cut });
  await fs.link(path.join(project.root, 'Take.wav'), path.join(project.root, 'Same take.wav'));
  const [version] = await watch.versions(1);
  expect(version?.files).toEqual({
    'Song.als': 'two',
    'Samples/kick.wav': null,
    'Samples/Kick.wav': 'kick',
    'Take.wav': cut,
    'Same take.wav': cut,
  });
  await watch.until('all is clean', async () => (await statusLines(project.root)).length === 0);
});

test('a link is versioned as a link, and what it leads to is none of ours', async () => {
  const project = await song();
  const outside = await sandbox();
  await write(outside, { 'Loops/Loop.wav': 'loop', 'Song.als': 'of others' });
  const watch = await watching(project);
  await fs.symlink(path.join(outside, 'Loops'), path.join(project.root, 'Loops'));
  await fs.symlink(path.join(outside, 'Song.als'), path.join(project.root, 'Linked.als'));
  const [version] = await watch.versions(1);
  expect(version?.files).toEqual({ Loops: path.join(outside, 'Loops'), 'Linked.als': path.join(outside, 'Song.als') });
  await write(outside, { 'Loops/Loop.wav': 'other', 'Song.als': 'saved by others' });
  await new Promise((done) => setTimeout(done, 900));
  expect(await watch.versions(1)).toHaveLength(1);
});

test('a take or a folder that may not be read is told, and holds up no save', async () => {
  const dir = await sandbox();
  const root = path.join(dir, 'song');
  await write(root, { 'Song.als': 'one' });
  // Rights are nothing to root: there the program runs as nobody.
  const nobody = process.getuid?.() === 0 ? { uid: 65_534, gid: 65_534 } : {};
  const env = {
    HOME: dir,
    XDG_CONFIG_HOME: path.join(dir, 'c'),
    XDG_DATA_HOME: path.join(dir, 'd'),
    XDG_RUNTIME_DIR: dir,
    GIT_AUTHOR_NAME: 'Ann',
    GIT_AUTHOR_EMAIL: 'ann@band.example',
    GIT_COMMITTER_NAME: 'Ann',
    GIT_COMMITTER_EMAIL: 'ann@band.example',
    OXENVCS_WATCH_QUIET_SECONDS: '0.3',
    OXENVCS_WATCH_MEDIA_QUIET_SECONDS: '0.5',
    // Nothing waits for it as for a recording.
    OXENVCS_WATCH_GROWING_TAKE_HOLD_SECONDS: '60',
    OXENVCS_PUSH_AUTO: 'false',
  };
  if ('uid' in nobody) for (const one of [dir, root, path.join(root, 'Song.als')]) await fs.chown(one, 65_534, 65_534);
  const cli = { cwd: root, env, ...nobody };
  expect((await background(['init', '--no-hooks'], cli).ended).code).toBe(0);
  const watch = background(['watch'], cli);
  await watch.waitForLine(/Watching/);
  await write(root, { 'Song.als': 'two', 'Secret.wav': 'x', 'Take.wav': 'y' });
  await fs.chmod(path.join(root, 'Secret.wav'), 0);
  if ('uid' in nobody) await fs.chown(path.join(root, 'Secret.wav'), 0, 0);
  onTestFinished(async () => await fs.rm(path.join(root, 'Secret.wav'), { force: true }));
  await watch.waitForLine(/A file could not be used: Secret\.wav may not be read/);
  await watch.waitForLine(/Song\.als saved; 1 new take; 1 take to follow/);
  await watch.waitForLine(/Waiting: for the right to read: Secret\.wav/);
  // A whole folder: nothing in it is known, and that is said.
  const closed = path.join(root, 'Closed');
  await write(closed, { 'Take 2.wav': 'z' });
  await fs.chmod(closed, 0);
  if ('uid' in nobody) await fs.chown(closed, 0, 0);
  onTestFinished(async () => await fs.chmod(closed, 0o700));
  await watch.waitForLine(/the folder Closed may not be read, and what is in it comes into no version/);
  const status = background(['status'], cli);
  await status.waitForLine(/the folder Closed may not be read/);
  await status.ended;
  if ('uid' in nobody) await fs.chown(path.join(root, 'Secret.wav'), 65_534, 65_534);
  await fs.chmod(path.join(root, 'Secret.wav'), 0o600);
  await write(root, { 'Song.als': 'three' });
  await watch.waitForLine(/Song\.als saved; 1 new take {2}/);
});
