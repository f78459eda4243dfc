import * as fs from 'node:fs/promises';
import { expect, test } from 'vitest';
import { acquireLock } from '../../src/lock/lease.ts';
import { band, type Musician } from '../support/band.ts';
import { oxenvcs } from '../support/cli.ts';

const env = { OXENVCS_NETWORK_MAX_RETRIES: '0' };
const run = async ({ root }: Musician, args: string[]) => await oxenvcs(args, { cwd: root, env });

test('sync brings in and publishes, and says with its exit code what is left to do', async () => {
  const { Ann, Ben, remote, files } = await band('Ann', 'Ben');
  await Ben.save({ 'Bass.song': 'Ben’s' });
  await Ben.push();
  await Ann.save({ 'Song.song': 'Ann’s' });
  const joined = await run(Ann, ['sync', '--json']);
  // Joined on the remote, then brought in: Ben’s version and the join.
  expect([joined.code, joined.json()]).toEqual([0, { pulled: 2, published: 1, conflicts: [], outcome: 'in-sync' }]);
  expect(await files()).toEqual({ 'Song.song': 'Ann’s', 'Bass.song': 'Ben’s' });
  expect((await run(Ann, ['sync'])).stdout).toBe('Nothing new on either side.\n');

  await Ben.pull();
  expect((await acquireLock(Ben.ctx, { how: 'hand' })).outcome).toBe('acquired');
  await Ann.save({ 'Song.song': 'Ann’s second' });
  const held = await run(Ann, ['sync', '--json']);
  expect([held.code, held.json()]).toMatchObject([
    3,
    { published: 0, outcome: 'queued', error: { code: 'LOCK_HELD' } },
  ]);

  await fs.rename(remote.dir, `${remote.dir}.away`);
  const offline = await run(Ann, ['sync', '--json']);
  expect([offline.code, offline.json()]).toMatchObject([4, { outcome: 'queued', error: { code: 'OFFLINE' } }]);
  const said = await run(Ann, ['sync']);
  expect(said).toMatchObject({
    stdout: '',
    stderr: expect.stringMatching(/^The remote cannot be reached: .* safe here/),
  });
});

test('a conflict: told by sync, status and list with exit 5 and what to do, also offline, and resolved by its id', async () => {
  const { Ann, Ben, remote } = await band('Ann', 'Ben');
  await Ben.save({ 'Song.song': 'Ben’s' });
  await Ben.push();
  await Ann.save({ 'Song.song': 'Ann’s' });
  const sync = await run(Ann, ['sync', '--json']);
  const { conflicts } = sync.json() as { conflicts: [string] };
  const [id] = conflicts;
  expect([sync.code, sync.json()]).toEqual([5, { pulled: 0, published: 0, conflicts: [id], outcome: 'conflict' }]);
  const status = (await run(Ann, ['status', '--json'])).json();
  expect(status).toMatchObject({
    problems: [
      {
        code: 'CONFLICT',
        message: 'Ann and Ben have both worked on Song.song.',
        hint: expect.stringContaining(`oxenvcs conflict resolve ${id} --keep`),
      },
    ],
  });
  await fs.rename(remote.dir, `${remote.dir}.away`);
  const list = await run(Ann, ['conflict', 'list', '--json']);
  expect([list.code, list.json()]).toMatchObject([
    0,
    { conflicts: [{ id, branch: 'main', files: ['Song.song'], mine: { author: 'Ann' }, theirs: { author: 'Ben' } }] },
  ]);
  const told = await run(Ann, ['conflict', 'list']);
  expect(told.stdout).toContain(`${id}  Ann and Ben have both worked on:\n    Song.song\n`);
  expect(told.stderr).toContain('This is what is known from before.');
  await fs.rename(`${remote.dir}.away`, remote.dir);
  const resolved = await run(Ann, ['conflict', 'resolve', id, '--keep', 'both', '--json']);
  expect([resolved.code, resolved.json()]).toMatchObject([
    0,
    { outcome: 'resolved', id, keep: 'both', broughtIn: true },
  ]);
  expect((await fs.readdir(Ann.root)).filter((name) => name.endsWith('.song'))).toEqual([
    'Song (Ben).song',
    'Song.song',
  ]);
  expect((await run(Ann, ['conflict', 'list'])).stdout).toBe('There is no conflict.\n');
  expect((await run(Ann, ['conflict', 'resolve', id, '--keep', 'mine'])).code).toBe(2);
});
