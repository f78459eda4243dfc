import { spawn } from 'node:child_process';
import { once } from 'node:events';
import * as fs from 'node:fs/promises';
import path from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { openByJournal } from '../../src/watch/look.ts';
import { openForWriting, parseLsof } from '../../src/system/writers.ts';
import { sandbox, write } from '../support/sandbox.ts';

const opened = async (file: string, flags: string) => {
  const handle = await fs.open(file, flags);
  onTestFinished(async () => await handle.close());
};

test('who reads a file is no writer; who writes, appends or does both is', async () => {
  const dir = await sandbox();
  const names = ['read.wav', 'write.wav', 'append.wav', 'both.wav', 'closed.wav', 'a b/🎸\nodd.wav'];
  await write(dir, Object.fromEntries(names.map((name) => [name, 'x'])));
  await opened(path.join(dir, 'read.wav'), 'r');
  await opened(path.join(dir, 'write.wav'), 'w');
  await opened(path.join(dir, 'append.wav'), 'a');
  await opened(path.join(dir, 'both.wav'), 'r+');
  await opened(path.join(dir, 'a b/🎸\nodd.wav'), 'r+');
  expect(await openForWriting(dir, names)).toEqual(new Set(['write.wav', 'append.wav', 'both.wav', 'a b/🎸\nodd.wav']));
  expect(await openForWriting(dir, ['closed.wav'])).toEqual(new Set());
  expect(await openForWriting(dir, [])).toEqual(new Set());
});

test('another program is seen, through any path, and not once it has ended', async () => {
  const dir = await sandbox();
  await write(dir, { 'song/Take.wav': 'x', 'other/Take.wav': 'x' });
  await fs.symlink(path.join(dir, 'song'), path.join(dir, 'link'));
  const child = spawn('sh', ['-c', 'exec 3>>song/Take.wav; echo ready; read line'], { cwd: dir });
  await once(child.stdout, 'data');
  expect(await openForWriting(dir, ['song/Take.wav', 'other/Take.wav'])).toEqual(new Set(['song/Take.wav']));
  expect(await openForWriting(path.join(dir, 'link'), ['Take.wav'])).toEqual(new Set(['Take.wav']));
  child.stdin.end('\n');
  await once(child, 'close');
  expect(await openForWriting(dir, ['song/Take.wav'])).toEqual(new Set());
});

test('the descriptor of a file that was replaced says nothing of the new one', async () => {
  const dir = await sandbox();
  await write(dir, { 'Song.als': 'old', 'Song.tmp': 'new' });
  await opened(path.join(dir, 'Song.als'), 'r+');
  await fs.rename(path.join(dir, 'Song.tmp'), path.join(dir, 'Song.als'));
  expect(await openForWriting(dir, ['Song.als'])).toEqual(new Set());
  await fs.rm(path.join(dir, 'Song.als'));
  expect(await openForWriting(dir, ['Song.als'])).toEqual(new Set());
});

test('a system that does not tell is not taken for "nobody"', async () => {
  expect(await openForWriting(await sandbox(), ['Song.als'], 'win32')).toBe('unknown');
});

test('what lsof says: only w and u are writing, one process after the other, names as they are', () => {
  const said = [
    'p501',
    'f10',
    'ar',
    'n/Song/Take 1.wav',
    'f11',
    'aw',
    'n/Song/Take 2.wav',
    'p502',
    'fcwd',
    'n/Song/no access.wav',
    'f3',
    'au',
    'n/Song/new\\nline.wav',
    'f4',
    'aw',
    'n/Song/back\\\\slash.wav',
    'f5',
    'aw',
    'n/Song/\\xc3\\xbcber.wav',
    '',
  ];
  expect(parseLsof(said.join('\n'))).toEqual([
    '/Song/Take 2.wav',
    '/Song/new\nline.wav',
    '/Song/back\\slash.wav',
    '/Song/über.wav',
  ]);
  expect(parseLsof('')).toEqual([]);
});

test('where the system does not tell, a database is open as long as its journal holds something', async () => {
  const dir = await sandbox();
  await write(dir, { 'open.aup3': '', 'open.aup3-wal': 'x', 'empty.aup3': '', 'empty.aup3-wal': '', 'shut.aup3': '' });
  await write(dir, { 'Song.als': '', 'Song.als-wal': 'x' });
  expect(await openByJournal(dir, ['open.aup3', 'empty.aup3', 'shut.aup3', 'Song.als'])).toEqual(
    new Set(['open.aup3']),
  );
});
