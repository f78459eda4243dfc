import * as fs from 'node:fs/promises';
import path from 'node:path';
import { expect, test } from 'vitest';
import { git, gitLine } from '../../src/git/run.ts';
import { acquireLock } from '../../src/lock/lease.ts';
import { trackTransfer } from '../../src/push/transfer.ts';
import { type Proof, readBack, verify } from '../../src/push/verify.ts';
import { oxenvcs } from '../support/cli.ts';
import { fileRemote, httpRemote, type Remote, serverHook, sshRemote } from '../support/remotes.ts';
import { write } from '../support/sandbox.ts';
import { annWithTakes, assertWhole, pushTip, record, stagingRefs } from '../support/takes.ts';
import type { Member } from '../support/team.ts';

const prove = async ({ ctx }: Member, tip: string, since: string | null) =>
  await verify(ctx, { tip, since, ref: 'refs/heads/main', track: trackTransfer(ctx, ctx.clock), patience: 1 });

const lose = async ({ dir }: Remote, id: string) => await fs.rm(path.join(dir, 'objects', id.slice(0, 2), id.slice(2)));

test.each([
  ['a folder', fileRemote, {}, { complete: true, samples: 8 }],
  ['http, as hosts have it', httpRemote, { 'uploadpack.allowFilter': 'true' }, { complete: true, samples: 8 }],
  ['http, as git has it', httpRemote, {}, { complete: false, samples: 8 }],
  ['ssh without protocol v2', sshRemote, { 'uploadpack.allowFilter': 'true' }, { complete: true, samples: 0 }],
] as const)('what a server can prove (%s)', async (_, start, config, proof) => {
  const remote = await start({ config });
  const ann = await annWithTakes(remote);
  const before = await gitLine(ann.project.root, ['rev-parse', 'origin/main']);
  await record(ann, 6, 30_000);
  const tip = await record(ann, 6, 30_000);
  await pushTip(ann, tip);
  expect(await prove(ann, tip, before)).toEqual({ ...proof, mended: 0 });
});

test('where the server cannot be asked for all of it, a sample finds the take that it has lost', async () => {
  const remote = await httpRemote({ config: { 'receive.unpackLimit': '1000' } });
  const ann = await annWithTakes(remote);
  const before = await gitLine(ann.project.root, ['rev-parse', 'origin/main']);
  const tip = await record(ann, 2, 10_000);
  await pushTip(ann, tip);
  const [, , id = ''] = (await gitLine(ann.project.root, ['ls-tree', '-r', tip, 'Takes'])).split(/[ \t]/);
  await lose(remote, id);
  expect(await prove(ann, tip, before)).toEqual({ complete: false, samples: 2, mended: 1 });
  await assertWhole(remote.dir, tip);
});

test('a take that the server has lost is found, in whichever version, and sent again; what it cannot take back in is told', async () => {
  const remote = await fileRemote({ config: { 'receive.unpackLimit': '1000' } });
  const ann = await annWithTakes(remote);
  const { root } = ann.project;
  const before = await gitLine(root, ['rev-parse', 'origin/main']);
  const first = await record(ann, 20, 10_000);
  await git(root, ['rm', '--quiet', '-r', 'Takes']);
  const tip = await record(ann, 20, 10_000);
  await pushTip(ann, tip);
  const takes = async (commit: string) =>
    (await git(root, ['ls-tree', '-r', commit, 'Takes'])).split('\n').map((line) => line.split(/[ \t]/)[2] ?? '');
  const [gone = ''] = await takes(first);
  const [, lost = ''] = await takes(tip);
  await lose(remote, gone);
  await lose(remote, lost);
  // What the last version lacks is always found; a take of an older one if it is among the samples.
  // Also where git takes no bare repository that it comes across.
  await write(remote.dir, { 'settings/git/config': '[safe]\n\tbareRepository = explicit\n' });
  const env = { XDG_CONFIG_HOME: path.join(remote.dir, 'settings') };
  const answer = (await oxenvcs(['push', '--verify', '--json'], { cwd: root, env })).json() as { verified: Proof };
  expect(answer).toMatchObject({ outcome: 'up-to-date', verified: { complete: true } });
  const { complete, mended } = await prove(ann, tip, before);
  expect([complete, mended + answer.verified.mended]).toEqual([true, 2]);
  expect(answer.verified.mended).toBeGreaterThanOrEqual(1);
  await assertWhole(remote.dir, tip);
  expect(await stagingRefs(remote.dir)).toEqual([]);

  // Damaged, not gone: a server never takes in again what it believes to have.
  const file = path.join(remote.dir, 'objects', lost.slice(0, 2), lost.slice(2));
  await fs.chmod(file, 0o644);
  await fs.writeFile(file, 'junk');
  const told = await oxenvcs(['push', '--verify'], { cwd: root });
  expect([told.code, told.stderr]).toEqual([6, expect.stringMatching(/damaged or incomplete/)]);
});

test('a branch that is set back right after the push is noticed, and what was pushed still waits', async () => {
  const remote = await fileRemote();
  const ann = await annWithTakes(remote);
  const { root } = ann.project;
  const before = await gitLine(root, ['rev-parse', 'origin/main']);
  await serverHook(remote, 'post-receive', `git update-ref refs/heads/main ${before}`);
  const tip = await record(ann, 1, 1000);
  expect((await oxenvcs(['push'], { cwd: root })).stderr).toMatch(
    /took the push, but its branch main is not at it now/,
  );
  expect((await oxenvcs(['queue', 'list', '--json'], { cwd: root })).json()).toMatchObject({
    entries: [{ commit: tip }],
  });
  await fs.rm(path.join(remote.dir, 'hooks', 'post-receive'));
  expect((await oxenvcs(['push'], { cwd: root })).code).toBe(0);
  // Somebody who has gone on from there has not undone it.
  const more = await record(ann, 1, 1000);
  await acquireLock(ann.ctx, { how: 'save' });
  await pushTip(ann, more);
  await readBack(ann.ctx, 'refs/heads/main', tip);
});
