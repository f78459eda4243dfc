import * as fs from 'node:fs/promises';
import path from 'node:path';
import { expect, test } from 'vitest';
import { acquireLock } from '../../src/lock/lease.ts';
import { run } from '../../src/system/process.ts';
import { background, main, oxenvcs } from '../support/cli.ts';
import { fileRemote } from '../support/remotes.ts';
import { sandbox, write } from '../support/sandbox.ts';
import { team } from '../support/team.ts';

test.each([
  [['staus'], 'There is no command "staus"; did you mean "status"?', 'See `oxenvcs --help`.'],
  [['--project', '.', 'staus'], 'There is no command "staus"; did you mean "status"?', 'See `oxenvcs --help`.'],
  [['frobnicate'], 'There is no command "frobnicate".', 'See `oxenvcs --help`.'],
  [['lock', 'acqire'], 'There is no command "lock acqire"; did you mean "lock acquire"?', 'See `oxenvcs lock --help`.'],
  [[], 'Name a command.', 'See `oxenvcs --help`.'],
  [['status', '--project'], 'Not enough arguments following: project.', 'See `oxenvcs status --help`.'],
  [
    ['conflict', 'resolve', 'x', '--keep', 'hers'],
    'Invalid values: Argument: keep, Given: "hers", Choices: "mine", "theirs", "both".',
    'See `oxenvcs conflict resolve --help`.',
  ],
  [['init', ''], 'The name of the folder is empty.', 'See `oxenvcs --help`.'],
  [['remove', ''], 'The name of the folder is empty.', 'See `oxenvcs --help`.'],
  [['init', '--project='], 'The name of the folder is empty.', 'See `oxenvcs --help`.'],
  [['init', '--remote', '--json'], 'Not enough arguments following: remote.', 'See `oxenvcs init --help`.'],
])('a slip in the command line is told as one, with a hint that works: %j', async (args, message, hint) => {
  const { code, stderr } = await oxenvcs(args, { cwd: await sandbox() });
  expect({ code, lines: stderr.trimEnd().split('\n') }).toEqual({ code: 2, lines: [message, hint] });
});

test('a folder named after -- is the one that is meant, not the one around it', async () => {
  const dir = await sandbox();
  await write(dir, { '-song/Song.als': 'one', 'other/Song.als': 'two' });
  for (const name of ['-song', 'other']) {
    const { code, stderr } = await oxenvcs(['init', '--', name], { cwd: dir });
    expect({ name, code, stderr }).toEqual({ name, code: 0, stderr: '' });
    expect(await fs.readdir(path.join(dir, name))).toContain('.git');
  }
  expect(await fs.readdir(dir)).not.toContain('.git');
});

test('no sentence names a command that does not exist', async () => {
  const src = path.resolve(import.meta.dirname, '../../src');
  const named = new Set<string>();
  for (const name of await fs.readdir(src, { recursive: true })) {
    if (!name.endsWith('.ts')) continue;
    const text = await fs.readFile(path.join(src, name), 'utf8');
    for (const [, words = ''] of text.matchAll(/`oxenvcs ((?:lock |queue |conflict )?[a-z]+)/g)) named.add(words);
  }
  expect(named.size).toBeGreaterThan(5);
  for (const words of named) {
    const { stderr } = await oxenvcs([...words.split(' '), '--no-such-option'], { cwd: await sandbox() });
    expect(stderr).not.toContain('There is no command');
  }
});

test('a lease for ever is refused: it could not be read by anybody, and would lock the team out', async () => {
  const { code, stderr } = await oxenvcs(['lock', 'acquire', '--timeout', '1e9'], { cwd: await sandbox() });
  expect(code).toBe(2);
  expect(stderr).toContain('at most 8760');
});

test('a number that is none is told, and not taken for none at all', async () => {
  for (const args of [
    ['lock', 'history', '--limit', 'ten'],
    ['log', '--limit', '0'],
    ['daemon', 'logs', '--lines', '-1'],
  ]) {
    const { code, stderr } = await oxenvcs(args, { cwd: await sandbox() });
    expect([code, stderr]).toEqual([2, expect.stringContaining('takes a whole number above 0')]);
  }
});

test('a program that interrupts gets its JSON result, too', async () => {
  const { url } = await fileRemote();
  const [ann, ben] = await team(url, ['Ann', 'Ben']);
  if (!ann || !ben) throw new Error('two were asked for');
  await acquireLock(ann.ctx, { how: 'hand' });
  const waiting = background(['lock', 'acquire', '--wait', '60s', '--json-stream'], { cwd: ben.project.root });
  await waiting.waitForLine(/"event":"waiting"/);
  expect(await waiting.kill('SIGINT')).toMatchObject({ code: 130 });
  const result = waiting.lines.find((line) => line.startsWith('{"event":"result"'));
  expect(JSON.parse(result ?? '')).toMatchObject({ error: { retryable: true } });
});

test('a current folder that was deleted is told by its name, without a stack trace; other projects can be asked for', async () => {
  const dir = await sandbox();
  const script = 'mkdir gone && cd gone && rmdir ../gone && exec "$@"';
  const ask = async (...args: string[]) =>
    await run('sh', ['-c', script, 'sh', process.execPath, main, ...args], { cwd: dir, env: process.env });
  const gone = `There is no folder ${path.join(dir, 'gone')}.\nCheck the name, or make the folder first.\n`;
  for (const word of ['status', 'init']) expect(await ask(word)).toMatchObject({ exitCode: 2, stderr: gone });
  const other = await ask('status', '--project', dir);
  expect(other).toMatchObject({ exitCode: 7, stderr: expect.stringContaining('is not an oxenvcs project') });
});

test('a file in the place of our folder, a folder in that of a file: told as that, and all stays as it is', async () => {
  const dir = await sandbox();
  await write(dir, { 'one/.oxenvcs': 'mine', 'two/.gitignore/mine': 'mine' });
  for (const name of ['one', 'two']) {
    const { code, stderr } = await oxenvcs(['init', name], { cwd: dir });
    expect({ code, stderr }).toEqual({
      code: 1,
      stderr: expect.stringMatching(/^There is a file where a folder .*\nMove it /),
    });
  }
  expect(await fs.readFile(path.join(dir, 'one/.oxenvcs'), 'utf8')).toBe('mine');
  expect(await fs.readdir(path.join(dir, 'two/.gitignore'))).toEqual(['mine']);
});
