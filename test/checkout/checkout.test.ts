import { spawn } from 'node:child_process';
import * as fs from 'node:fs/promises';
import path from 'node:path';
import { expect, onTestFinished, test, vi } from 'vitest';
import { type Arrival, checkOut, finishCheckout } from '../../src/checkout/checkout.ts';
import { commitSave } from '../../src/commit/commit.ts';
import { noteIndexBehind } from '../../src/commit/user-index.ts';
import { genericProfile, profileNamed } from '../../src/daw/match.ts';
import type { DawProfile } from '../../src/daw/profile.ts';
import { git, gitLine } from '../../src/git/run.ts';
import { asFailure } from '../../src/model/failures.ts';
import type { Project } from '../../src/project/project.ts';
import { exists } from '../../src/system/disk.ts';
import { run } from '../../src/system/process.ts';
import { projectWithRemote, saveOf, statusLines } from '../support/project.ts';
import { write } from '../support/sandbox.ts';
import { fillUp, smallDisk } from '../support/small-disk.ts';

/** No program has its name. */
const daw: DawProfile = { ...(profileNamed('studioone') as DawProfile), programs: ['no such daw'] };

/** A project whose HEAD is at `from`, and a later version `to` with these files (null: gone), made elsewhere. */
async function newVersion(
  files: Record<string, string | null>,
  before: Record<string, string> = {},
): Promise<{ project: Project; from: string; to: string; arrival: Arrival }> {
  const { project } = await projectWithRemote({ 'Song.song': 'one', ...before });
  const { root } = project;
  const from = await gitLine(root, ['rev-parse', 'HEAD']);
  for (const [name, text] of Object.entries(files)) if (text === null) await git(root, ['rm', '--quiet', '--', name]);
  await write(
    root,
    Object.fromEntries(Object.entries(files).filter(([, text]) => text !== null)) as Record<string, string>,
  );
  await git(root, ['add', '--all']);
  await git(root, ['commit', '--quiet', '-m', 'theirs']);
  const to = await gitLine(root, ['rev-parse', 'HEAD']);
  await git(root, ['reset', '--quiet', '--hard', from]);
  return { project, from, to, arrival: { from, to, profile: daw, why: 'test', byItself: null } };
}

const read = async ({ root }: Project, name: string) => await fs.readFile(path.join(root, name), 'utf8');
const head = async ({ root }: Project) => await gitLine(root, ['rev-parse', 'HEAD']);

test('files, index and HEAD move together: new, changed and gone files, odd names, a file that becomes a folder', async () => {
  const { project, to, arrival } = await newVersion(
    {
      'Song.song': 'two',
      'Gone/only.wav': null,
      thing: null,
      'thing/inside.wav': 'in a folder now',
      ' odd\nname 🎸.wav': 'odd',
      'Ähnlich/Take 1.wav': 'new folder',
      folder: 'a file now',
      'folder/was.wav': null,
    },
    { 'Gone/only.wav': 'x', thing: 'a file', 'folder/was.wav': 'y' },
  );
  await checkOut(project, arrival);
  expect(await head(project)).toBe(to);
  expect(await statusLines(project.root)).toEqual([]);
  expect(await read(project, 'thing/inside.wav')).toBe('in a folder now');
  expect(await read(project, 'folder')).toBe('a file now');
  expect(await read(project, ' odd\nname 🎸.wav')).toBe('odd');
  expect(await exists(path.join(project.root, 'Gone'))).toBe(false);
  expect(await exists(path.join(project.root, '.oxenvcs', 'incoming'))).toBe(false);
});

test('a take that is as it was once gets the time that it had then', async () => {
  const { project, arrival, from, to } = await newVersion({ 'Take.wav': 'two' }, { 'Take.wav': 'one' });
  const file = path.join(project.root, 'Take.wav');
  const old = new Date('2020-01-01');
  await fs.utimes(file, old, old);
  await git(project.root, ['update-index', '--refresh']);
  await checkOut(project, arrival);
  expect((await fs.stat(file)).mtime).not.toEqual(old);
  // As a resolved conflict does it: a later version with earlier bytes.
  const again = await gitLine(project.root, ['commit-tree', '-m', 'again', '-p', to, `${from}^{tree}`]);
  await checkOut(project, { ...arrival, from: to, to: again });
  expect(await read(project, 'Take.wav')).toBe('one');
  expect((await fs.stat(file)).mtime).toEqual(old);
  expect(await statusLines(project.root)).toEqual([]);
});

test('what git’s filters do to a file is done, by the attributes of the version that comes', async () => {
  const { project, arrival } = await newVersion({ '.gitattributes': '*.txt text eol=crlf\n', 'notes.txt': 'a\nb\n' });
  await checkOut(project, arrival);
  expect(await read(project, 'notes.txt')).toBe('a\r\nb\r\n');
  expect(await statusLines(project.root)).toEqual([]);
});

test('what is staged by hand, and what is new here, stays as it is', async () => {
  const { project, arrival } = await newVersion({ 'Song.song': 'two', 'Same.wav': 'the same on both sides' });
  await write(project.root, { 'notes.txt': 'mine', 'Same.wav': 'the same on both sides', 'loose.wav': 'z' });
  await git(project.root, ['add', 'notes.txt']);
  await checkOut(project, arrival);
  expect(await statusLines(project.root)).toEqual(['A  notes.txt', '?? loose.wav']);
});

test.each<[string, (root: string) => Promise<unknown>]>([
  ['a file that Git ignores', async (root) => await write(root, { 'mix.ignored': 'mine' })],
  ['a folder where a file shall be', async (root) => await write(root, { 'mix.ignored/x': 'mine' })],
  ['a link where a folder shall be', async (root) => await fs.symlink('..', path.join(root, 'deep'))],
  ['a deletion that is in no version yet', async (root) => await fs.rm(path.join(root, 'Song.song'))],
])('nothing is moved over %s', async (_what, mine) => {
  const { project, from, arrival } = await newVersion({
    'Song.song': 'two',
    'mix.ignored': 'theirs',
    'deep/er.wav': 'z',
  });
  await fs.writeFile(path.join(project.gitDir, 'info', 'exclude'), '*.ignored\n');
  await mine(project.root);
  await expect(checkOut(project, arrival)).rejects.toMatchObject({ row: 'would-overwrite' });
  expect(await head(project)).toBe(from);
  expect(await exists(path.join(path.dirname(project.root), 'er.wav'))).toBe(false);
  expect(await exists(path.join(project.gitDir, 'oxenvcs', 'checkout.json'))).toBe(false);
  expect(await exists(path.join(project.gitDir, 'index.lock'))).toBe(false);
});

test('while another Git program is at work nothing is moved', async () => {
  const { project, from, arrival } = await newVersion({ 'Song.song': 'two' });
  await fs.writeFile(path.join(project.gitDir, 'index.lock'), '');
  await expect(checkOut(project, arrival)).rejects.toMatchObject({ row: 'not-now' });
  expect([await head(project), await read(project, 'Song.song')]).toEqual([from, 'one']);
});

test('a version that was made while the files were written beside the project is not passed over', async () => {
  const { project, arrival } = await newVersion({ 'Song.song': 'two' });
  await git(project.root, ['commit', '--quiet', '--allow-empty', '-m', 'mine']);
  const mine = await head(project);
  await expect(checkOut(project, arrival)).rejects.toMatchObject({ row: 'busy' });
  expect([await head(project), await read(project, 'Song.song')]).toEqual([mine, 'one']);
});

test('the program of any session that would be replaced counts, and where nobody asks, one that is not known', async () => {
  const { project, arrival, to } = await newVersion({ 'Song.reason': 'two' }, { 'Song.reason': 'one' });
  const program = path.join(path.dirname(project.root), 'Reason');
  await fs.copyFile('/bin/sleep', program);
  await fs.chmod(program, 0o755);
  const reason = spawn(program, ['60'], { stdio: 'ignore' });
  onTestFinished(() => void reason.kill('SIGKILL'));
  await expect(checkOut(project, arrival)).rejects.toMatchObject({ row: 'daw-runs' });
  expect(await read(project, 'Song.reason')).toBe('one');
  reason.kill('SIGKILL');
  await new Promise((done) => reason.once('exit', done));
  await checkOut(project, { ...arrival, byItself: { reserve: 0 } });
  expect(await head(project)).toBe(to);

  // It is started while the files are written beside the project.
  const late = await newVersion(
    { 'Song.reason': 'two', '.gitattributes': '*.reason filter=late\n' },
    { 'Song.reason': 'one' },
  );
  await git(late.project.root, [
    'config',
    'filter.late.smudge',
    `'${program}' 60 >/dev/null 2>&1 & echo $! > '${program}.pid'; cat`,
  ]);
  const tried = await checkOut(late.project, late.arrival).catch(asFailure);
  process.kill(Number(await fs.readFile(`${program}.pid`, 'utf8')), 'SIGKILL');
  expect(tried).toMatchObject({ row: 'daw-runs' });
  expect([await read(late.project, 'Song.reason'), await statusLines(late.project.root)]).toEqual(['one', []]);

  const unknown = await newVersion({ 'Song.xyz': 'two' });
  const byItself = { ...unknown.arrival, profile: genericProfile, byItself: { reserve: 0 } };
  await expect(checkOut(unknown.project, byItself)).rejects.toMatchObject({ row: 'daw-runs' });
  await checkOut(unknown.project, { ...byItself, byItself: null });
});

test('a version that is made in the very moment in which HEAD is to move is not passed over, and the files go back', async () => {
  const { project, from, arrival } = await newVersion({ 'Song.song': 'two', 'New.wav': 'x' });
  const { root, gitDir } = project;
  const real = (await run('which', ['git'], { cwd: root, env: process.env })).stdout.toString().trim();
  const mine = await gitLine(root, ['commit-tree', '-p', from, '-m', 'mine', `${from}^{tree}`]);
  const first = `case " $* " in *" --create-reflog "*) ${real} update-ref refs/heads/main ${mine};; esac`;
  await write(gitDir, { 'bin/git': `#!/bin/sh\n${first}\nexec ${real} "$@"\n` });
  await fs.chmod(path.join(gitDir, 'bin/git'), 0o755);
  vi.stubEnv('PATH', `${path.join(gitDir, 'bin')}:${process.env['PATH']}`);
  onTestFinished(() => void vi.unstubAllEnvs());
  await expect(checkOut(project, arrival)).rejects.toMatchObject({ code: 'BUSY' });
  expect([await head(project), await read(project, 'Song.song')]).toEqual([mine, 'one']);
  expect(await statusLines(root)).toEqual([]);
});

/** As a killed process leaves it: the journal, and some of the files moved. */
async function brokenOff(moved: Record<string, string | null>, times: Record<string, number> = {}) {
  const made = await newVersion(
    { 'A.song': 'two', 'B.wav': 'new', 'C.wav': null },
    { 'A.song': 'one', 'C.wav': 'old' },
  );
  const { project, from, to } = made;
  for (const [name, text] of Object.entries(moved))
    if (text === null) await fs.rm(path.join(project.root, name));
    else await write(project.root, { [name]: text });
  await noteIndexBehind(project, from, to);
  const journal = { v: 1, from, to, why: 'test', times };
  await fs.writeFile(path.join(project.gitDir, 'oxenvcs', 'checkout.json'), JSON.stringify(journal));
  return made;
}

test('a move that was broken off goes on, and no version is made before it has', async () => {
  const { project, from, to } = await brokenOff({ 'B.wav': 'new' });
  await write(project.root, { 'mine.wav': 'm' });
  const save = await saveOf(project, { settled: ['mine.wav'] });
  expect(await commitSave(project, save)).toMatchObject({ outcome: 'later' });
  expect(await head(project)).toBe(from);
  expect(await finishCheckout(project)).toBe(true);
  expect(await head(project)).toBe(to);
  expect(await statusLines(project.root)).toEqual(['?? mine.wav']);
  expect(await commitSave(project, save)).toMatchObject({ outcome: 'committed' });
});

test('a move that was broken off goes back where somebody has saved since, and times are as before', async () => {
  const old = Date.parse('2020-01-01T00:00:00Z');
  const { project, from } = await brokenOff(
    { 'B.wav': 'new', 'C.wav': null, 'A.song': 'saved since' },
    { 'C.wav': old },
  );
  await finishCheckout(project);
  expect(await head(project)).toBe(from);
  expect(await statusLines(project.root)).toEqual([' M A.song']);
  expect(await read(project, 'A.song')).toBe('saved since');
  expect((await fs.stat(path.join(project.root, 'C.wav'))).mtimeMs).toBe(old);
  // Nothing is left to do.
  await write(project.root, { 'A.song': 'again' });
  await finishCheckout(project);
  expect(await read(project, 'A.song')).toBe('again');
});

test('a move that was killed after HEAD had moved is over: what was saved since stays', async () => {
  const { project, to } = await brokenOff({ 'B.wav': 'new', 'C.wav': null, 'A.song': 'saved since' });
  await git(project.root, ['update-ref', 'HEAD', to]);
  await finishCheckout(project);
  expect(await head(project)).toBe(to);
  expect(await statusLines(project.root)).toEqual([' M A.song']);
});

test('HEAD cannot be moved: all goes back, with the times that were', async () => {
  const { project, from, arrival } = await newVersion(
    { 'A.song': 'two', 'B.wav': null },
    { 'A.song': 'one', 'B.wav': 'b' },
  );
  const old = new Date('2020-01-01');
  await fs.utimes(path.join(project.root, 'B.wav'), old, old);
  // The branch's log cannot be written.
  await fs.rm(path.join(project.gitDir, 'logs', 'refs', 'heads', 'main'));
  await write(project.gitDir, { 'logs/refs/heads/main/x': '' });
  await expect(checkOut(project, arrival)).rejects.toMatchObject({ row: 'git-failed' });
  expect([await head(project), await statusLines(project.root)]).toEqual([from, []]);
  expect(await read(project, 'A.song')).toBe('one');
  expect((await fs.stat(path.join(project.root, 'B.wav'))).mtime).toEqual(old);
  expect(await exists(path.join(project.gitDir, 'oxenvcs', 'checkout.json'))).toBe(false);
});

test('a full disk: said before any file is touched, and it carries on when there is room', async () => {
  const disk = await smallDisk(8 * 1024 * 1024);
  const { project, from, to, arrival } = await newVersion({ 'Song.song': 'two', 'Take.wav': 'x'.repeat(300_000) });
  // The project's files and objects move to the small disk.
  const root = path.join(disk, 'song');
  await fs.cp(project.root, root, { recursive: true });
  const small: Project = { ...project, root, gitDir: path.join(root, '.git') };
  const filler = await fillUp(disk);
  const full = async () => asFailure(await checkOut(small, arrival).catch((error: unknown) => error)).row;
  expect(await full()).toBe('disk-full');
  expect([await head(small), await read(small, 'Song.song')]).toEqual([from, 'one']);
  await fs.truncate(filler, (await fs.stat(filler)).size - 100_000);
  expect(await full()).toBe('disk-full');
  await fs.rm(filler);
  // Where nobody asks for it, room stays for what is being recorded.
  const byItself = { ...arrival, byItself: { reserve: 8 * 1024 * 1024 } };
  await expect(checkOut(small, byItself)).rejects.toMatchObject({ row: 'disk-full' });
  await checkOut(small, arrival);
  expect(await head(small)).toBe(to);
  expect(await statusLines(root)).toEqual([]);
});
