import { randomUUID } from 'node:crypto';
import * as fs from 'node:fs/promises';
import path from 'node:path';
import { expect, test } from 'vitest';
import { changes } from '../../src/commit/changes.ts';
import { commitSave } from '../../src/commit/commit.ts';
import { saveMessage } from '../../src/commit/message.ts';
import { putTakes } from '../../src/commit/takes.ts';
import { bringIndexUp, noteIndexBehind, removeLeftovers } from '../../src/commit/user-index.ts';
import { git, gitLine } from '../../src/git/run.ts';
import { openProject, type Project } from '../../src/project/project.ts';
import { fileIn, projectWithRemote, saveOf, statusLines } from '../support/project.ts';
import { sandbox, write } from '../support/sandbox.ts';

const committed = async (project: Project, save: Parameters<typeof saveOf>[1]): Promise<string> => {
  const result = await commitSave(project, await saveOf(project, save));
  if (result.outcome !== 'committed') throw new Error(`not committed: ${JSON.stringify(result)}`);
  return result.commit;
};
const subject = async (project: Project) => (await git(project.root, ['log', '-1', '--format=%s'])).trim();

test('a save becomes one commit with a message a person can read, and leaves a clean status', async () => {
  const { project } = await projectWithRemote();
  await write(project.root, { 'Song.als': 'two', 'Samples/Take 1.wav': 'a', 'Samples/Take 2.wav': 'b' });
  await committed(project, { sessions: ['Song.als'], settled: ['Samples/Take 1.wav', 'Samples/Take 2.wav'] });
  expect(await subject(project)).toBe('Song.als saved; 2 new takes');
  expect(await statusLines(project.root)).toEqual([]);
  expect((await git(project.root, ['rev-list', '--count', 'HEAD'])).trim()).toBe('2');
});

test('a save of a package is told by the name that the musician gave it, once', () => {
  const sessions = ['Ab/Song.logicx/Alternatives/000/ProjectData', 'Ab/Song.logicx/Alternatives/000/MetaData.plist'];
  const differences = ['Ab/Song.logicx/Media/Take.aif', 'Old.als', ...sessions].map((path) => ({
    path,
    status: 'added' as const,
  }));
  expect(saveMessage(differences, ['Old.als', ...sessions], [])).toBe('Old.als and Song.logicx saved; 1 new take\n');
});

test('the captured bytes are committed, not what the DAW wrote after them', async () => {
  const { project } = await projectWithRemote();
  await write(project.root, { 'Song.als': 'two' });
  const save = await saveOf(project, { sessions: ['Song.als'] });
  await write(project.root, { 'Song.als': 'three!' });
  await commitSave(project, save);
  expect(await fileIn(project.root, 'HEAD', 'Song.als')).toBe('two');
  expect(await statusLines(project.root)).toEqual([' M Song.als']);
});

test.each(['alone', 'with a take'])('what was captured and then pruned by hand is in no version (%s)', async (how) => {
  const { project } = await projectWithRemote();
  await write(project.root, { 'Song.als': 'two', 'Take.wav': 'a' });
  const save = await saveOf(project, { sessions: ['Song.als'], settled: how === 'alone' ? [] : ['Take.wav'] });
  await git(project.root, ['prune', '--expire=now']);
  expect(await commitSave(project, save)).toEqual({ outcome: 'lost', paths: ['Song.als'] });
});

test('a take that grows while it is staged makes no commit and is named', async () => {
  const { project } = await projectWithRemote();
  await write(project.root, { 'Song.als': 'two', 'Take.wav': 'half' });
  const save = await saveOf(project, { sessions: ['Song.als'], settled: ['Take.wav'] });
  await fs.appendFile(path.join(project.root, 'Take.wav'), ' and more');
  expect(await commitSave(project, save)).toEqual({ outcome: 'moved', paths: ['Take.wav'] });
  await fs.rm(path.join(project.root, 'Take.wav'));
  expect(await commitSave(project, save)).toEqual({ outcome: 'moved', paths: ['Take.wav'] });
  expect((await git(project.root, ['rev-list', '--count', 'HEAD'])).trim()).toBe('1');
});

test('what the user staged by hand is neither swept in nor lost, and their next commit does not undo the save', async () => {
  const { project } = await projectWithRemote({ 'notes.txt': 'a', 'Old.wav': 'old' });
  await write(project.root, { 'notes.txt': 'staged', 'Song.als': 'two', 'Take.wav': 'new' });
  await git(project.root, ['add', 'notes.txt']);
  await fs.rm(path.join(project.root, 'Old.wav'));
  await committed(project, { sessions: ['Song.als'], settled: ['Take.wav'], deleted: ['Old.wav'] });
  expect(await fileIn(project.root, 'HEAD', 'notes.txt')).toBe('a');
  expect(await statusLines(project.root)).toEqual(['M  notes.txt']);
  await git(project.root, ['commit', '--quiet', '-m', 'by hand']);
  expect(await fileIn(project.root, 'HEAD', 'Song.als')).toBe('two');
  expect(await fileIn(project.root, 'HEAD', 'Take.wav')).toBe('new');
  expect(await fileIn(project.root, 'HEAD', 'notes.txt')).toBe('staged');
  expect(await statusLines(project.root)).toEqual([]);
});

test('an index that somebody holds locked follows later, over several saves', async () => {
  const { project } = await projectWithRemote();
  const lock = path.join(project.gitDir, 'index.lock');
  await fs.writeFile(lock, '');
  await write(project.root, { 'Song.als': 'two' });
  await committed(project, { sessions: ['Song.als'] });
  await write(project.root, { 'Song.als': 'three', 'New.wav': 'x' });
  await committed(project, { sessions: ['Song.als'], settled: ['New.wav'] });
  expect(await bringIndexUp(project)).toBe(false);
  expect(await statusLines(project.root)).not.toEqual([]);
  await fs.rm(lock);
  expect(await bringIndexUp(project)).toBe(true);
  expect(await statusLines(project.root)).toEqual([]);
});

test('a crash between noting and moving HEAD leaves the index alone', async () => {
  const { project } = await projectWithRemote();
  const head = (await git(project.root, ['rev-parse', 'HEAD'])).trim();
  await fs.mkdir(path.join(project.gitDir, 'oxenvcs'), { recursive: true });
  await fs.writeFile(
    path.join(project.gitDir, 'oxenvcs', 'index-behind.json'),
    JSON.stringify({ v: 1, from: head, to: ['1'.repeat(40)] }),
  );
  expect(await bringIndexUp(project)).toBe(true);
  expect(await statusLines(project.root)).toEqual([]);
});

test.each([
  ['MERGE_HEAD', 'a merge is under way'],
  ['CHERRY_PICK_HEAD', 'a cherry-pick is under way'],
  ['REVERT_HEAD', 'a revert is under way'],
  ['rebase-merge', 'a rebase is under way'],
  ['BISECT_LOG', 'a bisect is under way'],
])('no version is made in the middle of the user’s own Git work (%s)', async (mark, reason) => {
  const { project } = await projectWithRemote();
  await fs.writeFile(path.join(project.gitDir, mark), '');
  await write(project.root, { 'Song.als': 'two' });
  expect(await commitSave(project, await saveOf(project, { sessions: ['Song.als'] }))).toEqual({
    outcome: 'later',
    reason,
  });
});

test('what the user does in the very moment stands: their commit is not passed over, nor what they stage undone', async () => {
  const { project } = await projectWithRemote();
  const { root } = project;
  await write(root, { 'Song.als': 'two', 'Take.wav': 'take' });
  const save = await saveOf(project, { sessions: ['Song.als'], settled: ['Take.wav'] });
  const byHand = async (head: string) => {
    await git(root, ['commit', '--quiet', '--allow-empty', '-m', 'by hand']);
    return head;
  };
  expect(await commitSave(project, save, undefined, byHand)).toMatchObject({ outcome: 'later' });
  expect(await subject(project)).toBe('by hand');
  const staged = async () => {
    await write(root, { 'notes.txt': 'n' });
    await git(root, ['add', 'notes.txt']);
  };
  expect(await commitSave(project, save, staged)).toMatchObject({ outcome: 'committed' });
  expect(await statusLines(root)).toEqual(['A  notes.txt']);
});

test('an older version that is checked out is not committed on', async () => {
  const { project } = await projectWithRemote();
  await git(project.root, ['checkout', '--quiet', '--detach']);
  await write(project.root, { 'Song.als': 'two' });
  expect(await commitSave(project, await saveOf(project, { sessions: ['Song.als'] }))).toMatchObject({
    outcome: 'later',
  });
});

test('odd names are committed as they are', async () => {
  const { project } = await projectWithRemote();
  const names = [
    '-dash.wav',
    'a b\tc.wav',
    'new\nline.wav',
    '🎸 Ünï.wav',
    '*.wav',
    ':(top)x.wav',
    `${'n'.repeat(250)}.wav`,
  ];
  await write(project.root, Object.fromEntries(names.map((name) => [name, name])));
  await committed(project, { settled: names });
  const listed = (await git(project.root, ['ls-tree', '-z', '--name-only', 'HEAD'])).split('\0');
  for (const name of names) expect(listed).toContain(name);
  expect(await subject(project)).toBe('7 new takes');
  expect(await statusLines(project.root)).toEqual([]);
});

test('a save that changes nothing makes no commit', async () => {
  const { project } = await projectWithRemote();
  expect(await commitSave(project, await saveOf(project, { sessions: ['Song.als'] }))).toEqual({ outcome: 'nothing' });
});

test('the first version of an empty repository can be made', async () => {
  const { project } = await projectWithRemote();
  await git(project.root, ['update-ref', '-d', 'HEAD']);
  await git(project.root, ['read-tree', '--empty']);
  await committed(project, { sessions: ['Song.als'] });
  expect((await git(project.root, ['ls-tree', '--name-only', 'HEAD'])).trim()).toBe('Song.als');
});

test('a take left out is named in a trailer that a newline in its name cannot forge', async () => {
  const { project } = await projectWithRemote();
  await write(project.root, { 'Song.als': 'two' });
  await committed(project, { sessions: ['Song.als'], incomplete: ['Take\nSigned-off-by: x.wav'] });
  const body = await git(project.root, ['log', '-1', '--format=%B']);
  expect(body.trim()).toBe('Song.als saved; recording goes on\n\nIncomplete: Take Signed-off-by: x.wav');
});

test('a second save of the same size within the same second is not overlooked', async () => {
  const { project } = await projectWithRemote();
  const file = path.join(project.root, 'Song.als');
  for (const text of ['aaa', 'bbb', 'ccc', 'ddd', 'eee', 'fff']) {
    // In place, as some DAWs write: same inode, same size, and here the very same time.
    await fs.writeFile(file, text);
    const now = Math.floor(Date.now() / 1000);
    await fs.utimes(file, now, now);
    expect((await changes(project.root)).map(({ path }) => path)).toEqual(['Song.als']);
    await committed(project, { sessions: ['Song.als'] });
    expect(await changes(project.root)).toEqual([]);
  }
});

test('a change within the second of the last save is seen also after a later save of another file', async () => {
  const { project } = await projectWithRemote();
  const file = path.join(project.root, 'Song.als');
  while (Date.now() % 1000 > 300) await new Promise((done) => setTimeout(done, 20));
  await fs.writeFile(file, 'aaa');
  await committed(project, { sessions: ['Song.als'] });
  await fs.writeFile(file, 'bbb');
  const { mtime } = await fs.stat(file);
  await fs.utimes(file, mtime, mtime);
  await new Promise((done) => setTimeout(done, 1100));
  await write(project.root, { 'Other.als': 'x' });
  await committed(project, { sessions: ['Other.als'] });
  expect((await changes(project.root)).map(({ path }) => path)).toEqual(['Song.als']);
});

test('what the user staged of the very file that is saved stays staged', async () => {
  const { project } = await projectWithRemote();
  await write(project.root, { 'Song.als': 'staged by hand' });
  await git(project.root, ['add', 'Song.als']);
  await write(project.root, { 'Song.als': 'two' });
  await committed(project, { sessions: ['Song.als'] });
  expect(await git(project.root, ['show', ':Song.als'])).toBe('staged by hand');
  expect(await fileIn(project.root, 'HEAD', 'Song.als')).toBe('two');
});

test('a crash before the second of two saves moved HEAD does not make the index forget the first', async () => {
  const { project } = await projectWithRemote();
  await fs.writeFile(path.join(project.gitDir, 'index.lock'), '');
  await write(project.root, { 'Song.als': 'two' });
  const first = await committed(project, { sessions: ['Song.als'] });
  await noteIndexBehind(project, first, '1'.repeat(40));
  await fs.rm(path.join(project.gitDir, 'index.lock'));
  expect(await bringIndexUp(project)).toBe(true);
  expect(await statusLines(project.root)).toEqual([]);
});

test('a take that grows while git reads it makes no commit', async () => {
  const { project } = await projectWithRemote({ '.gitattributes': '*.wav -delta -text filter=slow\n' });
  // Whoever reads it through this filter finds it longer afterwards: git itself sees nothing wrong in that.
  await git(project.root, ['config', 'filter.slow.clean', 'cat; echo more >>Take.wav']);
  await write(project.root, { 'Take.wav': 'half' });
  expect(await commitSave(project, await saveOf(project, { settled: ['Take.wav'] }))).toEqual({
    outcome: 'moved',
    paths: ['Take.wav'],
  });
});

test('indexes that a killed process left behind are removed, those in use and the user’s own files are not', async () => {
  const { project } = await projectWithRemote();
  const folder = path.join(project.gitDir, 'oxenvcs');
  const left = `index-${randomUUID()}`;
  await fs.mkdir(folder, { recursive: true });
  for (const name of [left, `user-${left}`, `${left}.lock`, 'index-mine'])
    await fs.writeFile(path.join(folder, name), '');
  // A copy has the time of its original: that of the file says nothing.
  await fs.utimes(path.join(folder, left), 1, 1);
  await removeLeftovers(project, Date.now());
  expect((await fs.readdir(folder)).length).toBe(4);
  await removeLeftovers(project, Date.now() + 3_700_000);
  expect(await fs.readdir(folder)).toEqual(['index-mine']);
});

test('small and large files, takes and others, come into one version together', async () => {
  const { project } = await projectWithRemote({ '.gitattributes': '*.wav -delta -text\n' });
  const files = { 'a.wav': 3, 'b.wav': 1_048_576, 'c.wav': 3_000_000, 'd.wav': 5, 'e.zip': 3_000_000, 'f.txt': 4 };
  await write(
    project.root,
    Object.fromEntries(Object.entries(files).map(([name, bytes]) => [name, Buffer.alloc(bytes, name)])),
  );
  // With a threshold of the user's own, all else would be mixed, too.
  await git(project.root, ['config', 'core.bigFileThreshold', '1m']);
  await committed(project, { settled: Object.keys(files) });
  expect(await statusLines(project.root)).toEqual([]);
  const sizes = await git(project.root, ['cat-file', '--batch-check=%(objectsize)'], {
    input: Object.keys(files)
      .map((name) => `HEAD:${name}`)
      .join('\n'),
  });
  expect(sizes.trim().split('\n').map(Number)).toEqual(Object.values(files));
});

test('of a library of samples not every file becomes an object of its own', async () => {
  const { project } = await projectWithRemote();
  const names = Array.from({ length: 501 }, (_, n) => `Samples/${n}.wav`);
  const sample = (n: number) => `sample ${n}`.padEnd(5000);
  await write(project.root, Object.fromEntries(names.map((name, n) => [name, n === 7 ? '' : sample(n % 400)])));
  // Of a link its target's name is stored, as git does.
  await fs.symlink('500.wav', path.join(project.root, 'Samples/link.wav'));
  await committed(project, { settled: [...names, 'Samples/link.wav'] });
  expect(await fileIn(project.root, 'HEAD', 'Samples/link.wav')).toBe('500.wav');
  expect(await statusLines(project.root)).toEqual([]);
  expect(await git(project.root, ['fsck', '--strict', '--no-dangling'])).toBe('');
  expect(await fileIn(project.root, 'HEAD', 'Samples/500.wav')).toBe(sample(100));
  const counted = await git(project.root, ['count-objects', '-v']);
  expect(Number(/^count: (\d+)/m.exec(counted)?.[1])).toBeLessThan(20);
  expect(counted).toMatch(/^packs: 1$/m);
});

test('a take that is there already, under another name or from a try that failed, is not stored again', async () => {
  const { project } = await projectWithRemote();
  const { root, gitDir } = project;
  const stored = async () => Number(/size-pack: (\d+)/.exec(await git(root, ['count-objects', '-v']))?.[1]);
  const take = (letter: string) => Buffer.alloc(1_200_000, letter);
  await write(root, { 'Takes/a.wav': take('a'), 'Takes/b.wav': take('b'), 'c.wav': take('c'), 'same.wav': take('a') });
  const names = ['Takes/a.wav', 'Takes/b.wav', 'c.wav', 'same.wav'];
  const save = await saveOf(project, { settled: names });
  // Only the third read finds it moved: the others have been stored by then.
  await git(root, ['config', 'filter.move.clean', 'echo >>c.wav']);
  await write(root, { 'x.wav': take('x'), '.git/info/attributes': 'x.wav filter=move\n' });
  const late = { ...save, settled: [...save.settled, ...(await saveOf(project, { settled: ['x.wav'] })).settled] };
  expect(await commitSave(project, late)).toEqual({ outcome: 'moved', paths: ['c.wav'] });
  const before = await stored();
  expect(before).toBeGreaterThan(3 * 1170);
  expect(before).toBeLessThan(3 * 1180);
  await write(root, { 'c.wav': take('c'), 'd.wav': take('d') });
  await fs.rename(path.join(root, 'Takes'), path.join(root, 'Old takes'));
  await committed(project, { settled: ['d.wav', ...names.map((name) => name.replace('Takes/', 'Old takes/'))] });
  expect((await stored()) - before).toBeLessThan(1180);
  expect((await fs.readdir(path.join(gitDir, 'objects/pack'))).length).toBe(4);
  expect(await git(root, ['fsck', '--full', '--no-dangling'])).toBe('');
  expect(await statusLines(root)).toEqual(['?? x.wav']);
});

test('a take that is rewritten once it has its name is not in the store; the others are, and need not be stored again', async () => {
  const { project } = await projectWithRemote();
  const { root } = project;
  await write(root, { 'a.wav': 'a'.repeat(1_200_000), 'b.wav': 'b'.repeat(1_200_000) });
  const { settled } = await saveOf(project, { settled: ['a.wav', 'b.wav'] });
  const env = { GIT_INDEX_FILE: path.join(await sandbox(), 'index') };
  const moved = await putTakes(root, env, settled, async (args, files) => {
    await git(root, args, { env, input: files.map((file) => file.path).join('\0') });
    await write(root, { 'a.wav': 'A'.repeat(1_200_000) });
    return [];
  });
  expect(moved).toEqual(['a.wav']);
  const listed = await git(root, ['cat-file', '--batch-all-objects', '--batch-check=%(objectname) %(objectsize)']);
  const large = listed.split('\n').filter((line) => line.endsWith(' 1200000'));
  expect(large.map((line) => line.split(' ')[0])).toEqual([await gitLine(root, ['hash-object', 'b.wav'])]);
});

test('a large take with a filter of the user’s is what their filter makes of it', async () => {
  const attributes = '*.wav -delta -text\nb.wav filter=upper\nc.wav ident\nd.wav text eol=lf\n';
  const { project } = await projectWithRemote({ '.gitattributes': attributes });
  await git(project.root, ['config', 'filter.upper.clean', 'tr a-z A-Z']);
  const text = 'take $Id: 1 $\r\n'.repeat(80_000);
  await write(project.root, { 'a.wav': text, 'b.wav': text, 'c.wav': text, 'd.wav': text });
  const commit = await committed(project, { settled: ['a.wav', 'b.wav', 'c.wav', 'd.wav'] });
  const [a, b, c, d] = await Promise.all(
    ['a.wav', 'b.wav', 'c.wav', 'd.wav'].map(async (name) => await fileIn(project.root, commit, name)),
  );
  expect([a === text, b === text.toUpperCase()]).toEqual([true, true]);
  expect(c?.startsWith('take $Id$\r\n')).toBe(true);
  expect(d?.startsWith('take $Id: 1 $\n')).toBe(true);
  expect(await statusLines(project.root)).toEqual([]);
});

test('where media may be absent, a take that is promised only is stored, without a word to the remote', async () => {
  const old = 'a'.repeat(1_200_000);
  const { project: far } = await projectWithRemote({ 'a.wav': old });
  await git(far.root, ['config', 'uploadpack.allowFilter', 'true']);
  await git(far.root, ['rm', '--quiet', 'a.wav']);
  await git(far.root, ['commit', '--quiet', '-m', 'without it']);
  const root = path.join(await sandbox(), 'near');
  await git(far.root, ['clone', '--quiet', '--filter=blob:none', `file://${far.root}`, root]);
  await fs.rename(far.root, `${far.root}-gone`);
  const project = await openProject(root);
  await write(root, { 'b.wav': Buffer.alloc(1_200_000, 'b'), 'old a.wav': old });
  const commit = await committed(project, { settled: ['b.wav', 'old a.wav'] });
  expect((await fileIn(root, commit, 'old a.wav')).length).toBe(old.length);
});

test('when no time is left for its takes no version is made, at once, and nothing is left locked', async () => {
  const { project } = await projectWithRemote({ '.gitattributes': '*.wav -delta -text filter=slow\n' });
  await git(project.root, ['config', 'filter.slow.clean', 'sleep 600; cat']);
  await write(project.root, { 'Song.als': 'two', 'Take.wav': 'as large as they come' });
  const save = await saveOf(project, { sessions: ['Song.als'], settled: ['Take.wav'] });
  const enough = new AbortController();
  setTimeout(() => enough.abort(), 300);
  await expect(commitSave(project, save, undefined, undefined, enough.signal)).rejects.toMatchObject({ row: 'busy' });
  expect(await fileIn(project.root, 'HEAD', 'Song.als')).toBe('one');
  expect((await fs.readdir(project.gitDir)).filter((name) => name.endsWith('.lock'))).toEqual([]);
  await git(project.root, ['config', 'filter.slow.clean', 'cat']);
  await committed(project, { sessions: ['Song.als'], settled: ['Take.wav'] });
});

test('a deletion is a version in a repository of the longer hash, too', async () => {
  const root = await sandbox();
  await git(root, ['init', '--quiet', '--object-format=sha256', '-b', 'main']);
  await write(root, { 'Song.als': 'one', 'a.wav': 'a take', 'old name.als': 'one', '.oxenvcs/config.json': '{"v":1}' });
  await git(root, ['add', '--all']);
  await git(root, ['commit', '--quiet', '-m', 'first']);
  const project = await openProject(root);
  await fs.rm(path.join(root, 'old name.als'));
  await committed(project, { deleted: ['old name.als'] });
  await fs.rm(path.join(root, 'a.wav'));
  await write(root, { 'Song.als': 'two' });
  await committed(project, { sessions: ['Song.als'], deleted: ['a.wav'] });
  expect(await git(root, ['ls-tree', '-r', '--name-only', 'HEAD'])).toBe('.oxenvcs/config.json\nSong.als\n');
  expect(await statusLines(root)).toEqual([]);
});
