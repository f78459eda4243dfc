import { spawn } from 'node:child_process';
import * as fs from 'node:fs/promises';
import path from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { writeJournal } from '../../src/checkout/journal.ts';
import { noteIndexBehind } from '../../src/commit/user-index.ts';
import type { DawProfile } from '../../src/daw/profile.ts';
import { git, gitLine } from '../../src/git/run.ts';
import type { Project } from '../../src/project/project.ts';
import { pull } from '../../src/sync/pull.ts';
import { parsePs, parseTasklist } from '../../src/system/processes.ts';
import { noDaw } from '../support/band.ts';
import { oxenvcs } from '../support/cli.ts';
import { statusLines } from '../support/project.ts';
import { fileRemote } from '../support/remotes.ts';
import { sandbox, write } from '../support/sandbox.ts';
import { team } from '../support/team.ts';

const daw = noDaw;

async function annAndBen(): Promise<{
  ann: Project;
  ben: Project;
  publish: (files: Record<string, string>) => Promise<string>;
  remote: string;
}> {
  const remote = await fileRemote();
  const [ann, ben] = await team(remote.url, ['Ann', 'Ben'], { 'Song.song': 'one' });
  if (!ann || !ben) throw new Error('two were asked for');
  const publish = async (files: Record<string, string>) => {
    await write(ann.project.root, files);
    await git(ann.project.root, ['add', '--all']);
    await git(ann.project.root, ['commit', '--quiet', '-m', 'Ann’s']);
    await git(ann.project.root, ['push', '--quiet', 'origin', 'main']);
    return await gitLine(ann.project.root, ['rev-parse', 'HEAD']);
  };
  return { ann: ann.project, ben: ben.project, publish, remote: remote.dir };
}

test('what the team published is brought in, and unchanged media keep their time', async () => {
  const { ben, publish } = await annAndBen();
  await publish({ 'Take.wav': 'audio' });
  await pull(ben, daw);
  const old = new Date('2020-01-01');
  await fs.utimes(path.join(ben.root, 'Take.wav'), old, old);
  const tip = await publish({ 'Song.song': 'two', 'Other.wav': 'more' });
  expect(await pull(ben, daw)).toEqual({ pulled: 1, commit: tip });
  expect(await fs.readFile(path.join(ben.root, 'Song.song'), 'utf8')).toBe('two');
  expect((await fs.stat(path.join(ben.root, 'Take.wav'))).mtime).toEqual(old);
  expect(await pull(ben, daw)).toEqual({ pulled: 0, commit: tip });
});

test('a session that was changed here is never overwritten', async () => {
  const { ben, publish } = await annAndBen();
  await publish({ 'Song.song': 'Ann’s' });
  await write(ben.root, { 'Song.song': 'Ben’s, not saved as a version yet' });
  await expect(pull(ben, daw)).rejects.toMatchObject({
    row: 'would-overwrite',
    code: 'CONFLICT',
    details: { files: 'Song.song' },
  });
  expect(await fs.readFile(path.join(ben.root, 'Song.song'), 'utf8')).toBe('Ben’s, not saved as a version yet');
});

test('a new file of the same name as one of theirs is never overwritten', async () => {
  const { ben, publish } = await annAndBen();
  await publish({ 'Take.wav': 'Ann’s' });
  await write(ben.root, { 'Take.wav': 'Ben’s' });
  await expect(pull(ben, daw)).rejects.toMatchObject({ row: 'would-overwrite' });
  expect(await fs.readFile(path.join(ben.root, 'Take.wav'), 'utf8')).toBe('Ben’s');
});

test('two histories that both went on are left alone, with exit 5', async () => {
  const { ben, publish } = await annAndBen();
  await publish({ 'Song.song': 'Ann’s' });
  await git(ben.root, ['commit', '--quiet', '--allow-empty', '-m', 'Ben’s']);
  const before = await gitLine(ben.root, ['rev-parse', 'HEAD']);
  await expect(pull(ben, daw)).rejects.toMatchObject({ row: 'diverged', exitCode: 5 });
  expect(await gitLine(ben.root, ['rev-parse', 'HEAD'])).toBe(before);
});

test('while the DAW runs nothing is replaced under it', async () => {
  const { ben, publish } = await annAndBen();
  await publish({ 'Song.song': 'Ann’s' });
  // A program of the DAW's name: its file is closed, but the session may be in memory.
  const program = path.join(await sandbox(), 'oxenvcs test daw');
  await fs.copyFile('/bin/sleep', program);
  await fs.chmod(program, 0o755);
  const running = spawn(program, ['60'], { stdio: 'ignore' });
  onTestFinished(() => void running.kill('SIGKILL'));
  const mine: DawProfile = { ...daw, programs: ['oxenvcs test daw'] };
  await expect(pull(ben, mine)).rejects.toMatchObject({ row: 'daw-runs' });
  expect(await fs.readFile(path.join(ben.root, 'Song.song'), 'utf8')).toBe('one');
  running.kill('SIGKILL');
  await new Promise((done) => running.once('exit', done));
  expect(await pull(ben, mine)).toMatchObject({ pulled: 1 });
});

test('in the middle of the user’s own merge nothing is brought in', async () => {
  const { ben, publish } = await annAndBen();
  await publish({ 'Song.song': 'Ann’s' });
  await fs.writeFile(path.join(ben.gitDir, 'MERGE_HEAD'), '');
  await expect(pull(ben, daw)).rejects.toMatchObject({ row: 'not-now' });
});

test('an unplugged remote is offline, a branch that was never published is nothing new', async () => {
  const { ben, remote } = await annAndBen();
  await git(remote, ['update-ref', '-d', 'refs/heads/main']);
  expect(await pull(ben, daw)).toMatchObject({ pulled: 0 });
  await fs.rename(remote, `${remote}.away`);
  await expect(pull(ben, daw)).rejects.toMatchObject({ code: 'OFFLINE' });
});

test('what ps and tasklist print is read, with spaces in names', () => {
  expect(parsePs('    1 /sbin/launchd\n  812 /Applications/Ableton Live 12 Suite.app/Contents/MacOS/Live\n\n')).toEqual(
    [
      { pid: 1, program: 'launchd' },
      { pid: 812, program: 'live' },
    ],
  );
  const csv =
    '"System Idle Process","0","Services","0","8 K"\r\n"Ableton Live 12 Suite.exe","4242","Console","1","500,000 K"\r\n';
  expect(parseTasklist(csv)).toEqual([
    { pid: 0, program: 'system idle process' },
    { pid: 4242, program: 'ableton live 12 suite' },
  ]);
});

test.each(['pull', 'sync'])(
  'a pull that was killed when only the index was left to follow is ended by the next %s, also offline',
  async (command) => {
    const { ben, publish, remote } = await annAndBen();
    const from = await gitLine(ben.root, ['rev-parse', 'HEAD']);
    const to = await publish({ 'Song.song': 'two', 'Take.wav': 'audio' });
    await git(ben.root, ['fetch', '--quiet', 'origin']);
    await writeJournal(ben, { from, to, why: 'oxenvcs pull', times: {} });
    await noteIndexBehind(ben, from, to);
    await write(ben.root, { 'Song.song': 'two', 'Take.wav': 'audio' });
    await git(ben.root, ['update-ref', 'HEAD', to]);
    await fs.rename(remote, `${remote}.away`);
    expect((await oxenvcs([command, '--no-retry'], { cwd: ben.root })).code).toBe(4);
    expect(await statusLines(ben.root)).toEqual([]);
  },
);
