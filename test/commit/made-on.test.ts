import { type ChildProcess, spawn } from 'node:child_process';
import * as fs from 'node:fs/promises';
import path from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { commitSave } from '../../src/commit/commit.ts';
import { parentOf } from '../../src/commit/made-on.ts';
import type { DawProfile } from '../../src/daw/profile.ts';
import { git, gitLine } from '../../src/git/run.ts';
import { parseElapsed, parseStat, startTimes } from '../../src/system/processes.ts';
import { band, type Musician, noDaw } from '../support/band.ts';
import { saveOf, statusLines } from '../support/project.ts';
import { sandbox, write } from '../support/sandbox.ts';

const profile: DawProfile = { ...noDaw, programs: ['oxenvcs old daw'] };

async function startDaw(): Promise<ChildProcess> {
  const program = path.join(await sandbox(), 'oxenvcs old daw');
  await fs.copyFile('/bin/sleep', program);
  await fs.chmod(program, 0o755);
  const daw = spawn(program, ['60'], { stdio: 'ignore' });
  onTestFinished(() => void daw.kill('SIGKILL'));
  await new Promise((done) => daw.once('spawn', done));
  return daw;
}

/** The reflog counts in seconds. */
const aSecond = async () => await new Promise((done) => setTimeout(done, 1100));

/** What the watcher does with a save of these files. */
async function save({ project, root }: Musician, files: Record<string, string>): Promise<string> {
  await write(root, files);
  const made = await commitSave(
    project,
    await saveOf(project, { sessions: Object.keys(files) }),
    undefined,
    async (head) =>
      await parentOf(project, profile, (await saveOf(project, { sessions: Object.keys(files) })).captured, head),
  );
  if (made.outcome !== 'committed') throw new Error(made.outcome);
  return made.commit;
}

const parent = async ({ root }: Musician) => await gitLine(root, ['rev-parse', 'HEAD^']);

test('a DAW that was started before the team’s session was brought in saves on the version that it knows: a conflict, not an overwrite', async () => {
  const { Ann, Ben, files } = await band('Ann', 'Ben');
  const before = await Ann.head();
  const daw = await startDaw();
  await aSecond();
  await Ben.save({ 'Song.song': 'Ben’s', 'Take.wav': 't' });
  await Ben.push();
  // By hand, past all that keeps a session from being replaced under a DAW.
  await git(Ann.root, ['pull', '--quiet', '--ff-only']);
  await save(Ann, { 'Song.song': 'Ann’s, without Ben’s' });
  expect([await parent(Ann), await statusLines(Ann.root)]).toEqual([before, []]);
  expect(await Ann.push()).toMatchObject({ rescue: expect.stringContaining('rescue/ann') });
  expect(await files()).toEqual({ 'Song.song': 'Ben’s', 'Take.wav': 't' });
  // What it saves next is made on its own save.
  const first = await Ann.head();
  await save(Ann, { 'Song.song': 'Ann’s second' });
  expect(await parent(Ann)).toBe(first);
  daw.kill('SIGKILL');
});

test('a version that was made since, and is not published yet, comes along; other sessions and later DAWs are made on HEAD', async () => {
  const { Ann, Ben } = await band('Ann', 'Ben');
  const before = await Ann.head();
  const daw = await startDaw();
  await aSecond();
  await Ben.save({ 'Song.song': 'Ben’s' });
  await Ben.push();
  await git(Ann.root, ['pull', '--quiet', '--ff-only']);
  const other = await save(Ann, { 'Other.song': 'Ann’s' });
  expect(await parent(Ann)).toBe(await gitLine(Ann.root, ['rev-parse', 'origin/main']));
  await save(Ann, { 'Song.song': 'Ann’s' });
  expect(await gitLine(Ann.root, ['log', '-1', '--format=%s', 'HEAD^'])).toBe('Other.song saved');
  expect([await gitLine(Ann.root, ['rev-parse', 'HEAD~2']), await parent(Ann)]).toEqual([
    before,
    expect.not.stringMatching(other),
  ]);
  daw.kill('SIGKILL');
  await new Promise((done) => daw.once('exit', done));
  await git(Ann.root, ['reset', '--quiet', '--hard', 'origin/main']);
  await aSecond();
  await startDaw();
  await save(Ann, { 'Song.song': 'Ann’s, after Ben’s' });
  expect(await parent(Ann)).toBe(await gitLine(Ann.root, ['rev-parse', 'origin/main']));
});

test('what a person takes back of their own, with the session open, is their own affair: the next save is made on what lies there', async () => {
  const { Ann } = await band('Ann');
  await startDaw();
  await aSecond();
  const first = await save(Ann, { 'Song.song': 'first' });
  await save(Ann, { 'Song.song': 'second' });
  await git(Ann.root, ['reset', '--quiet', '--hard', first]);
  await save(Ann, { 'Song.song': 'third' });
  expect(await parent(Ann)).toBe(first);
});

test('when a process was started is read from each system’s own answer', async () => {
  const [at = 0] = await startTimes([process.pid]);
  expect(Math.abs(at - (Date.now() - process.uptime() * 1000))).toBeLessThan(5000);
  expect(parseStat('12 (a) b) S 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 4200 0', 1000)).toEqual([43_000]);
  expect([parseElapsed(' 02:03'), parseElapsed('1:02:03'), parseElapsed('2-01:02:03'), parseElapsed('')]).toEqual([
    [123_000],
    [3_723_000],
    [176_523_000],
    [],
  ]);
});
