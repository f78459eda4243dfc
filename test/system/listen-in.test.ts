import * as fs from 'node:fs/promises';
import path from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { listenIn } from '../../src/system/listen-in.ts';
import { sandbox, write } from '../support/sandbox.ts';

test('what is made, touched, replaced or removed is heard, also after the folder was swept away; what others do is not', async () => {
  const folder = path.join(await sandbox(), 'state');
  await write(folder, { bell: '' });
  const heard: string[] = [];
  onTestFinished(listenIn(folder, ['bell', 'paused.json', 'lock'], (name) => heard.push(name)));
  const next = async (work: () => Promise<unknown>) => {
    const before = heard.length;
    await work();
    await expect.poll(() => heard.length, { timeout: 20_000 }).toBeGreaterThan(before);
    return heard.slice(before);
  };
  await new Promise((done) => setTimeout(done, 100));
  await write(folder, { other: 'x' });
  expect(await next(async () => await write(folder, { bell: '' }))).toEqual(['bell']);
  expect(await next(async () => await write(folder, { 'paused.json': '{}' }))).toContain('paused.json');
  // That one was made, and then written, may come as two.
  expect(await next(async () => await fs.mkdir(path.join(folder, 'lock')))).toContain('lock');
  // As whoever holds it does from time to time.
  await fs.utimes(path.join(folder, 'lock'), 1, 1);
  expect(new Set(await next(async () => await write(folder, { bell: 'x' })))).toEqual(new Set(['bell']));
  expect(await next(async () => await fs.rmdir(path.join(folder, 'lock')))).toContain('lock');
  const replace = async () => {
    await write(folder, { 'new.tmp': '{ }' });
    await fs.rename(path.join(folder, 'new.tmp'), path.join(folder, 'paused.json'));
  };
  expect(await next(replace)).toContain('paused.json');
  expect(await next(async () => await fs.rm(path.join(folder, 'paused.json')))).toContain('paused.json');
  // Linux does not tell that a folder is gone while a file of it is open.
  const open = await fs.open(path.join(folder, 'other'));
  expect(await next(async () => await fs.rm(folder, { recursive: true }))).toContain('bell');
  expect(await next(async () => await write(folder, { bell: 'x' }))).toContain('bell');
  expect(await next(async () => await write(folder, { bell: 'xy' }))).toContain('bell');
  await open.close();
  expect(heard).not.toContain('other');
});
