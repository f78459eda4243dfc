import * as fs from 'node:fs/promises';
import path from 'node:path';
import { expect, test } from 'vitest';
import { commitSave } from '../../src/commit/commit.ts';
import { git } from '../../src/git/run.ts';
import type { Project } from '../../src/project/project.ts';
import { plenty } from '../../src/watch/known.ts';
import type { startWake } from '../../src/watch/wake.ts';
import { projectWithRemote, statusLines } from '../support/project.ts';
import { write } from '../support/sandbox.ts';
import { watching } from '../support/watching.ts';

const song = async (files: Record<string, string> = {}) =>
  (await projectWithRemote({ '.gitignore': '.oxenvcs/*\n!.oxenvcs/config.json\nBackup/\n*.tmp\n', ...files })).project;

/** Are these bytes of a captured save that waits? They are in the object store earlier, before it has settled. */
const isCaptured = async ({ root }: Project, text: string) => {
  const oid = (await git(root, ['hash-object', '--stdin'], { input: text })).trim();
  return (await git(root, ['for-each-ref', 'refs/oxenvcs/captured'])).includes(oid);
};

/** How DAWs write a session: each leaves `two` in Song.als. */
const writeModes: Record<string, (file: string) => Promise<void>> = {
  'in place': async (file) => await fs.writeFile(file, 'two'),
  'as a temporary file that is moved over it': async (file) => {
    await fs.writeFile(`${file}.tmp`, 'two');
    await fs.rename(`${file}.tmp`, file);
  },
  'deleted and made anew': async (file) => {
    await fs.rm(file);
    await fs.writeFile(file, 'two');
  },
  'after the old one was moved to a backup': async (file) => {
    await fs.mkdir(path.join(path.dirname(file), 'Backup'));
    await fs.rename(file, path.join(path.dirname(file), 'Backup', 'Song [1].als'));
    await fs.writeFile(file, 'two');
  },
  'piece by piece, with pauses': async (file) => {
    const handle = await fs.open(file, 'w');
    for (const piece of ['t', 'w', 'o']) {
      await handle.write(piece);
      await new Promise((done) => setTimeout(done, 400));
    }
    await handle.close();
  },
};

test.each(Object.keys(writeModes))('a session that is written %s is one version, never a torn one', async (mode) => {
  const project = await song();
  const watch = await watching(project);
  await writeModes[mode]?.(path.join(project.root, 'Song.als'));
  expect(await watch.versions(1)).toEqual([
    { subject: 'Song.als saved', files: { 'Song.als': 'two' }, incomplete: [] },
  ]);
  await watch.until('all is clean', () => isClean(watch.events.at(-1)));
  expect(await statusLines(project.root)).toEqual([]);
  await watch.end();
  expect(await watch.versions(1)).toHaveLength(1);
});

const detailOf = (event: unknown) => (event as { detail?: string } | undefined)?.detail ?? '';
const isClean = (event: unknown) => (event as { state?: string } | undefined)?.state === 'clean';

test('the first sign of a change is told at once, with its state, before anything is committed', async () => {
  const project = await song();
  const watch = await watching(project);
  await watch.until('the first look is over', () => isClean(watch.events.at(-1)));
  await write(project.root, { 'Song.als': 'two' });
  await watch.versions(1);
  const told = watch.events.map((event) => (event.event === 'state' ? event.state : event.event));
  expect(told.indexOf('changed')).toBeGreaterThanOrEqual(0);
  expect(told.indexOf('changed')).toBeLessThan(told.indexOf('settling'));
  expect(told.indexOf('settling')).toBeLessThan(told.indexOf('committing'));
  expect(watch.events.find(({ event }) => event === 'changed')).toEqual({ event: 'changed', paths: ['Song.als'] });
});

test('a save while a take is recorded is versioned without it, when a newer one comes; the take follows whole', async () => {
  const project = await song();
  const watch = await watching(project);
  const take = await fs.open(path.join(project.root, 'Take 1.wav'), 'a');
  await take.write('flush 1,');
  await write(project.root, { 'Song.als': 'while recording' });
  const isHeld = () => detailOf(watch.events.at(-1)).startsWith('audio is being written');
  await watch.until('the save is captured', async () => (await isCaptured(project, 'while recording')) && isHeld());
  await take.write('flush 2,');
  await write(project.root, { 'Song.als': 'still recording' });
  await watch.versions(1);
  await take.write('the end');
  await take.close();
  await watch.until(
    'the recording is over',
    () => watch.events.filter(({ event }) => event === 'recording').length === 2,
  );
  // Once it begins, and once it is over: meanwhile nothing is sent.
  expect(watch.events.filter(({ event }) => event === 'recording')).toEqual([
    { event: 'recording', takes: ['Take 1.wav'] },
    { event: 'recording', takes: [] },
  ]);
  expect(watch.events).toContainEqual(expect.objectContaining({ state: 'held', why: 'take-grows' }));
  expect(await watch.versions(2)).toEqual([
    {
      subject: 'Song.als saved; recording goes on',
      files: { 'Song.als': 'while recording' },
      incomplete: ['Take 1.wav'],
    },
    {
      subject: 'Song.als saved; 1 new take',
      files: { 'Song.als': 'still recording', 'Take 1.wav': 'flush 1,flush 2,the end' },
      incomplete: [],
    },
  ]);
});

test('a package is one version, whatever it is made of', async () => {
  const data = 'My Song.logicx/Alternatives/000/ProjectData';
  const plist = 'My Song.logicx/Resources/ProjectInformation.plist';
  const project = await song({ [data]: 'one', [plist]: 'one' });
  const watch = await watching(project, { daw: 'logic' });
  await write(project.root, { [data]: 'two', 'My Song.logicx/Media/Take.wav': 'take' });
  await write(project.root, { [plist]: 'two', 'My Song.logicx/Alternatives/000/Autosave/ProjectData': 'x' });
  const [version] = await watch.versions(1);
  expect(version?.files).toEqual({ [data]: 'two', [plist]: 'two', 'My Song.logicx/Media/Take.wav': 'take' });
});

test('a session that is saved under another name, renamed or deleted: the old one goes, the new one comes', async () => {
  const project = await song({ 'Old.als': 'old' });
  const watch = await watching(project);
  await fs.rename(path.join(project.root, 'Old.als'), path.join(project.root, '- 🎸 New.als'));
  await fs.rm(path.join(project.root, 'Song.als'));
  const [version] = await watch.versions(1);
  expect(version?.files).toEqual({ 'Old.als': null, 'Song.als': null, '- 🎸 New.als': 'old' });
});

test('while the takes of a version are stored, for minutes, each save is captured and becomes a version of its own', async () => {
  const project = await song({ '.gitattributes': '*.wav filter=slow\n' });
  const disk = path.join(project.gitDir, 'the disk is slow');
  await write(project.gitDir, { 'the disk is slow': '' });
  await git(project.root, ['config', 'filter.slow.clean', `while [ -e "${disk}" ]; do sleep 0.05; done; cat`]);
  const watch = await watching(project, { settings: { mediaQuietSeconds: 0.3 } });
  await write(project.root, { 'Song.als': 'two', 'Take.wav': 'take' });
  const states = () => watch.events.flatMap((event) => (event.event === 'state' ? [event.state] : []));
  await watch.until('its version is being made', () => states().includes('committing'));
  for (const text of ['three', 'four']) {
    await write(project.root, { 'Song.als': text });
    await watch.until('it is captured', async () => await isCaptured(project, text));
  }
  expect(states().at(-1)).toBe('committing');
  await fs.rm(disk);
  expect((await watch.versions(3)).map(({ files }) => files)).toEqual([
    { 'Song.als': 'two', 'Take.wav': 'take' },
    { 'Song.als': 'three' },
    { 'Song.als': 'four' },
  ]);
});

test('in the middle of a merge it waits, and every save made meanwhile becomes its version afterwards', async () => {
  const project = await song();
  const watch = await watching(project);
  const mark = path.join(project.gitDir, 'MERGE_HEAD');
  await fs.writeFile(mark, '');
  const held = () =>
    watch.events.filter((event) => event.event === 'state' && event.detail === 'a merge is under way').length;
  await write(project.root, { 'Song.als': 'two' });
  await watch.until('it waits', () => held() > 0);
  await write(project.root, { 'Song.als': 'three' });
  await watch.until('the second save is captured', async () => await isCaptured(project, 'three'));
  await fs.rm(mark);
  const versions = await watch.versions(2);
  expect(versions.map(({ files }) => files)).toEqual([{ 'Song.als': 'two' }, { 'Song.als': 'three' }]);
});

test('what cannot be stored is told once, in a sentence, and does not stop the others', async () => {
  const project = await song({ '.gitattributes': 'Broken.als filter=broken\n' });
  await git(project.root, ['config', 'filter.broken.clean', 'exit 1']);
  await git(project.root, ['config', 'filter.broken.required', 'true']);
  const watch = await watching(project);
  await write(project.root, { 'Broken.als': 'x', 'Song.als': 'two' });
  const troubles = () => watch.events.filter(({ event }) => event === 'trouble').length;
  await watch.until('it is told', () => troubles() > 0);
  const [first] = await watch.versions(1);
  expect(first?.files).toEqual({ 'Song.als': 'two' });
  expect(troubles()).toBe(1);
  await git(project.root, ['config', 'filter.broken.clean', 'cat']);
  const [, second] = await watch.versions(2);
  expect(second?.files).toEqual({ 'Broken.als': 'x' });
});

test('a version that fails to be made is tried again', async () => {
  const project = await song();
  const objects = path.join(project.gitDir, 'objects');
  const watch = await watching(project);
  await fs.rename(objects, `${objects}.away`);
  await fs.writeFile(objects, '');
  await write(project.root, { 'Song.als': 'two' });
  await watch.until('trouble is told', () => watch.events.some(({ event }) => event === 'trouble'));
  await fs.rm(objects);
  await fs.rename(`${objects}.away`, objects);
  expect(await watch.versions(1)).toMatchObject([{ files: { 'Song.als': 'two' } }]);
});

test('a version that cannot be made for a mistake of ours ends the watch, instead of waiting for ever', async () => {
  const project = await song();
  const watch = await watching(project, {
    commit: async () => {
      throw new TypeError('undefined is no function');
    },
  });
  await write(project.root, { 'Song.als': 'two' });
  await expect(watch.ended).rejects.toThrow('undefined is no function');
});

test.each(['the folder', 'its .git'])('when %s is gone the watch ends and says so', async (what) => {
  const project = await song();
  const watch = await watching(project, { settings: { scanSeconds: 0.2 } });
  await watch.until('the first look is over', () => isClean(watch.events.at(-1)));
  const gone = what === 'the folder' ? project.root : project.gitDir;
  await fs.rename(gone, `${gone} is away`);
  await expect(watch.ended).rejects.toMatchObject({ row: 'folder-vanished' });
});

test('what the user staged by hand stays theirs, and a version that lacks a take of it says so; a session does not', async () => {
  const project = await song({ 'notes.txt': 'a', 'Old.wav': 'old' });
  await write(project.root, { 'notes.txt': 'staged', 'Song.als': 'two', 'Take.wav': 'new' });
  await git(project.root, ['add', 'notes.txt', 'Song.als', 'Take.wav']);
  await git(project.root, ['rm', '--quiet', 'Old.wav']);
  const watch = await watching(project);
  const [version] = await watch.versions(1);
  expect(version).toMatchObject({ files: { 'Song.als': 'two' }, incomplete: ['Take.wav'] });
  expect(await statusLines(project.root)).toEqual(['D  Old.wav', 'A  Take.wav', 'M  notes.txt']);
  // The index is in nobody's hands.
  await watch.until('all is clean', () => isClean(watch.events.at(-1)));
  await git(project.root, ['commit', '--quiet', '-m', 'the take']);
  await write(project.root, { 'Song.als': 'three' });
  const [, , next] = await watch.versions(3);
  expect(next).toEqual({ subject: 'Song.als saved', files: { 'Song.als': 'three' }, incomplete: [] });
});

test('a session beside which a temporary file is written waits for that, and one for which there is no room for room', async () => {
  const project = await song();
  let [madeAt, isFull] = [0, true];
  const watch = await watching(project, {
    room: async () => (isFull ? { media: 0, sessions: 0 } : plenty),
    commit: async (save) => {
      madeAt = performance.now();
      return await commitSave(project, save);
    },
  });
  await write(project.root, { 'Song.als': 'two' });
  await watch.until('it waits', () => watch.events.some((event) => event.event === 'state' && event.why === 'no-room'));
  const writtenAt = performance.now();
  await write(project.root, { 'Song.als': 'three', 'Song.tmp': 'x' });
  isFull = false;
  expect(await watch.versions(1)).toMatchObject([{ files: { 'Song.als': 'three' } }]);
  // Quiet after 0.3 s; the temporary file might have taken its place for 0.8 s.
  expect(madeAt - writtenAt).toBeGreaterThan(700);
});

test('what is generated is no part of a version, also where the ignore lines are missing', async () => {
  const project = await song({ '.gitignore': '.oxenvcs/*\n' });
  const watch = await watching(project);
  await write(project.root, { 'Backup/Song [1].als': 'x', '.DS_Store': 'x', 'Song.als': 'two' });
  const [version] = await watch.versions(1);
  expect(version?.files).toEqual({ 'Song.als': 'two' });
});

test('media alone become a version after a while', async () => {
  const project = await song();
  const watch = await watching(project, { settings: { mediaOnlyCommitMinutes: 0.02, minCommitGapSeconds: 0 } });
  await write(project.root, { 'Samples/Kick.wav': 'kick' });
  expect(await watch.versions(1)).toMatchObject([{ files: { 'Samples/Kick.wav': 'kick' } }]);
});

test('the end comes while a version is made: it is made whole, and what had settled is in it', async () => {
  const project = await song();
  let release = () => undefined as void;
  const waits = new Promise<void>((resolve) => (release = resolve));
  let asked = 0;
  let inVain = true;
  const watch = await watching(project, {
    commit: async (save, noTimeLeft) => {
      asked += 1;
      await waits;
      inVain = noTimeLeft.aborted;
      return await commitSave(project, save);
    },
  });
  await write(project.root, { 'Song.als': 'two' });
  await watch.until('it is being committed', () => asked === 1);
  const ended = watch.end();
  // So long it may take.
  setTimeout(release, 200);
  await ended;
  expect(inVain).toBe(false);
  expect(await watch.versions(1).catch((error: unknown) => error)).toMatchObject([{ files: { 'Song.als': 'two' } }]);
});

/** A system that tells of nothing. */
const deaf: typeof startWake = () => ({ close: async () => undefined });

test('events that never come only make it slower', async () => {
  const project = await song();
  const watch = await watching(project, { wake: deaf, settings: { scanSeconds: 0.5 } });
  for (const [i, text] of ['two', 'three'].entries()) {
    // The take first: a look between the two would find a session that is saved without it.
    await write(project.root, { [`Samples/${text}.wav`]: text, 'Song.als': text });
    const versions = await watch.versions(i + 1);
    expect(versions.at(-1)?.files).toEqual({ 'Song.als': text, [`Samples/${text}.wav`]: text });
  }
});
