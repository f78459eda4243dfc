import * as fs from 'node:fs/promises';
import path from 'node:path';
import { expect, test } from 'vitest';
import { git } from '../../src/git/run.ts';
import { oxenvcs } from '../support/cli.ts';
import { fileRemote } from '../support/remotes.ts';
import { repository } from '../support/sandbox.ts';
import { fillUp, smallDisk } from '../support/small-disk.ts';

test('on a disk that is full to the last byte status still answers, and says so; with room again all goes on', async () => {
  const disk = await smallDisk(4 * 1024 * 1024);
  const remote = await fileRemote();
  const song = await repository(path.join(disk, 'song'), {
    'Song.als': 'one',
    '.oxenvcs/config.json': '{"v":1,"disk":{"reserveBytes":65536}}\n',
    '.gitignore': '.oxenvcs/*\n!.oxenvcs/config.json\n',
  });
  await git(song, ['remote', 'add', 'origin', remote.url]);
  const run = async (...args: string[]) => await oxenvcs([...args, '--json'], { cwd: song });
  expect((await run('push')).code).toBe(0);
  await git(song, ['commit', '--quiet', '--allow-empty', '-m', 'a version that waits']);
  // Nothing is new on the remote: only when it was asked would be noted.
  await run('status');
  const first = await fillUp(disk);
  const asked = await run('status');
  expect(asked.stderr).toBe('');
  expect(asked.json()).toMatchObject({ remote: { reachable: true }, lock: { source: 'remote' } });
  await fs.rm(first);
  // Somebody else has changed the lock since, which cannot even be fetched.
  const other = path.join(path.dirname(remote.dir), 'other');
  await git(path.dirname(remote.dir), ['clone', '--quiet', remote.dir, other]);
  for (const args of [
    ['lock', 'acquire'],
    ['lock', 'release'],
  ])
    expect((await oxenvcs(args, { cwd: other })).code).toBe(0);
  const full = await fillUp(disk);
  const status = await run('status');
  expect(status.stderr).toBe('');
  expect(status.code).toBe(0);
  expect(status.json()).toMatchObject({
    project: song,
    queue: { pending: 1 },
    problems: [{ code: 'INTERNAL', message: expect.stringMatching(/^Only 0 bytes are left/) }],
  });
  for (const args of [['lock', 'status'], ['queue', 'list'], ['net', 'check'], ['net', 'stats'], ['log']])
    expect({ args, code: (await run(...args)).code }).toEqual({ args, code: 0 });
  // What has to write says what is wrong, and loses nothing.
  const pushed = await run('push');
  expect(pushed.code).toBe(1);
  expect(pushed.json()).toMatchObject({ error: { code: 'INTERNAL', message: /The disk is full/, retryable: true } });
  await fs.rm(full);
  expect((await run('push')).json()).toMatchObject({ outcome: 'pushed' });
  expect((await run('status')).json()).toMatchObject({ queue: { pending: 0 }, problems: [] });
});
