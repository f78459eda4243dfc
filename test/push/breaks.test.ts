import * as fs from 'node:fs/promises';
import path from 'node:path';
import { expect, test } from 'vitest';
import type { Written } from '../../src/git/progress.ts';
import { git, gitLine } from '../../src/git/run.ts';
import { breakLock } from '../../src/lock/break.ts';
import { lockContext } from '../../src/lock/context.ts';
import { acquireLock } from '../../src/lock/lease.ts';
import { swap } from '../../src/lock/swap.ts';
import { publishPrepared } from '../../src/push/prepare.ts';
import { publishRescue } from '../../src/push/rescue.ts';
import { openProject } from '../../src/project/project.ts';
import { background, oxenvcs } from '../support/cli.ts';
import { killTree } from '../support/processes.ts';
import { proxy } from '../support/proxy.ts';
import { fileRemote, httpRemote, isPush } from '../support/remotes.ts';
import { sandbox } from '../support/sandbox.ts';
import { annWithTakes, assertWhole, pushTip, record, smallParts, stagingRefs } from '../support/takes.ts';
import type { Member } from '../support/team.ts';

/** Ends the push as a signal does, when so many parts are through. */
async function stopAfter(ann: Member, tip: string, parts: number): Promise<void> {
  const stop = new AbortController();
  const ctx = { ...ann.ctx, signal: stop.signal };
  const onTransfer = ({ part }: { part: number }) => {
    if (part >= parts) stop.abort(new Error('that is enough'));
  };
  await expect(pushTip({ ctx }, tip, { onTransfer })).rejects.toThrow('that is enough');
}

test('a connection that resets after so many bytes: the push gets through, in parts that fit', async () => {
  const remote = await httpRemote();
  const ann = await annWithTakes(remote);
  const tip = await record(ann, 40, 40_000);
  const net = await proxy(remote);
  const ctx = { ...ann.ctx, remote: { name: 'origin', url: net.url(remote.url) } };
  await git(ann.project.root, ['remote', 'set-url', 'origin', ctx.remote.url]);
  await acquireLock(ctx, { how: 'save' });
  await net.set({ cutAfter: 250_000 });
  const pushed = await pushTip({ ctx }, tip);
  expect(pushed).toMatchObject({ moved: { outcome: 'published' } });
  // One part was too large (curl tries one that fits its buffer twice by itself): what got through before it is the measure then.
  expect(net.counts.up).toBeLessThan(1_600_000 + 2 * 250_000 + 100_000);
  await assertWhole(remote.dir, tip);
});

test('what git throws away after a break is not told as written: the next part would begin, and break off too', async () => {
  const remote = await httpRemote();
  const ann = await annWithTakes(remote);
  const tip = await record(ann, 1, 16_000_000);
  const net = await proxy(remote);
  const told: Written[] = [];
  const ctx = {
    ...ann.ctx,
    remote: { name: 'origin', url: net.url(remote.url) },
    onWritten: (one: Written) => void told.push(one),
  };
  await net.set({ cutAfter: 300_000 });
  const moves = [{ ref: 'refs/heads/take', old: null, next: tip }];
  expect(await swap(ctx, moves, { atomic: false })).toMatchObject({ outcome: 'unclear' });
  expect(told.filter(({ done }) => done)).toEqual([]);
});

test('a push that is killed, with git and all, goes on where it was: from the same folder, after an update, from another clone', async () => {
  const remote = await httpRemote();
  const ann = await annWithTakes(remote);
  const { root } = ann.project;
  const net = await proxy(remote);
  await git(root, ['remote', 'set-url', 'origin', net.url(remote.url)]);
  await record(ann, 30, 40_000);
  const env = { OXENVCS_PUSH_MIN_PART_BYTES: '8192', OXENVCS_PUSH_MAX_PART_BYTES: '130000' };
  await net.set({ bytesPerSecond: 400_000 });
  const running = background(['push', '--json-stream'], { cwd: root, env });
  await running.waitForLine(/"event":"transfer","part":3/);
  killTree(running.pid);
  const staged = (await stagingRefs(remote.dir)).length;
  expect(staged).toBeGreaterThanOrEqual(9);
  expect(staged).toBeLessThan(30);

  // Another clone of the same work, which knows nothing of the first try: only the remote does.
  const other = path.join(await sandbox(), 'other');
  await git(root, ['clone', '--quiet', root, other]);
  await git(other, ['remote', 'set-url', 'origin', net.url(remote.url)]);
  await git(other, ['fetch', '--quiet', 'origin']);
  expect(
    (await oxenvcs(['lock', 'break', '--force', '--reason', 'the first computer is gone'], { cwd: other })).code,
  ).toBe(0);
  await net.set('pass');
  const before = net.counts.up;
  const pushed = (await oxenvcs(['push', '--json'], { cwd: other, env })).json() as Record<string, number>;
  expect(pushed).toMatchObject({ outcome: 'pushed', resumedParts: expect.any(Number) });
  expect(pushed['resumedParts']).toBeGreaterThanOrEqual(3);
  const left = (30 - staged) * 40_000;
  expect(net.counts.up - before).toBeLessThan(left + 60_000);
  await assertWhole(remote.dir, await gitLine(other, ['rev-parse', 'HEAD']));
  // What the first clone has staged is not the other's to remove.
  expect((await stagingRefs(remote.dir)).length).toBeGreaterThanOrEqual(staged);
});

test('a stopped push goes on: new versions on top, a repack, a moved remote, other settings, a part that somebody deleted, a rewritten history', async () => {
  const remote = await fileRemote();
  const ann = await annWithTakes(remote, { maxPartBytes: 130_000 });
  const { root } = ann.project;
  await record(ann, 20, 30_000);
  await stopAfter(ann, await record(ann, 1, 3000), 3);
  const staged = await stagingRefs(remote.dir);
  expect(staged.length).toBeGreaterThanOrEqual(12);

  // A moved remote is another one by its address; what lies on it tells.
  const moved = path.join(await sandbox(), 'moved.git');
  await fs.rename(remote.dir, moved);
  await git(root, ['remote', 'set-url', 'origin', moved]);
  const ctx = { ...smallParts(ann.ctx, { minPartBytes: 100_000 }), remote: { name: 'origin', url: moved } };
  await git(root, ['repack', '-adq']);
  await git(moved, ['update-ref', '-d', staged[2] ?? '']);
  await acquireLock(ctx, { how: 'save' });
  const tip = await record(ann, 2, 35_000);
  await stopAfter({ ...ann, ctx }, tip, 4);
  const more = (await stagingRefs(moved)).length;
  const pushed = await pushTip({ ctx }, tip);
  expect(pushed.resumedParts).toBeGreaterThanOrEqual(3);
  expect(pushed.bytesSent).toBeLessThan((24 - more) * 36_000);
  await assertWhole(moved, tip);
  expect(await stagingRefs(moved)).toEqual([]);

  // Rewritten: what was staged for the old history is not waited for, and removed all the same.
  await stopAfter({ ...ann, ctx }, await record(ann, 12, 30_000), 2);
  await git(root, ['reset', '--quiet', '--hard', tip]);
  const short = await record(ann, 1, 1000);
  expect(await pushTip({ ctx }, short)).toMatchObject({ parts: 1, resumedParts: 0 });
  expect(await stagingRefs(moved)).toEqual([]);
  await assertWhole(moved, short);
});

test('the answer to the last push of all is lost: the command tells what it has sent, all tries together', async () => {
  const remote = await httpRemote();
  const ann = await annWithTakes(remote);
  const tip = await record(ann, 9, 30_000);
  remote.trouble = (request) => {
    if (!isPush(request)) return null;
    let isLast = false;
    request.on('data', (chunk: Buffer) => (isLast ||= chunk.includes(' refs/heads/main')));
    request.on('end', () => isLast && request.socket.destroy());
    return null;
  };
  const env = { OXENVCS_PUSH_MIN_PART_BYTES: '8192', OXENVCS_NETWORK_INITIAL_BACKOFF_MS: '20' };
  const pushed = (await oxenvcs(['push', '--json'], { cwd: ann.project.root, env })).json();
  expect(pushed).toMatchObject({ outcome: 'pushed', attempts: 2, parts: expect.any(Number) });
  const { parts, bytesSent } = pushed as Record<'parts' | 'bytesSent', number>;
  expect(parts).toBeGreaterThan(1);
  expect(bytesSent).toBeGreaterThan(9 * 30_000);
  expect(bytesSent).toBeLessThan(10 * 30_000);
  await assertWhole(remote.dir, tip);
});

test('a remote that was restored from an old backup gets all that it lacks, in parts', async () => {
  const remote = await fileRemote();
  const ann = await annWithTakes(remote);
  const backup = path.join(await sandbox(), 'backup.git');
  await pushTip(ann, await record(ann, 1, 1000));
  await fs.cp(remote.dir, backup, { recursive: true });
  await pushTip(ann, await record(ann, 8, 40_000));
  await stopAfter(ann, await record(ann, 8, 40_000), 1);
  await fs.rm(remote.dir, { recursive: true });
  await fs.rename(backup, remote.dir);
  const tip = await record(ann, 1, 1000);
  const pushed = await pushTip(ann, tip);
  expect(pushed.moved).toMatchObject({ outcome: 'published' });
  expect(pushed.resumedParts).toBe(0);
  expect(pushed.parts).toBeGreaterThanOrEqual(3);
  await assertWhole(remote.dir, tip);
});

test('when the lock is lost meanwhile, what is on the remote serves the rescue branch: nothing is sent again', async () => {
  const remote = await httpRemote();
  const ann = await annWithTakes(remote);
  const folder = path.join(await sandbox(), 'ben');
  await git(ann.project.root, ['clone', '--quiet', remote.url, folder]);
  const ben = await lockContext(await openProject(folder));
  const tip = await record(ann, 15, 40_000);
  const breaking: Promise<unknown>[] = [];
  const onTransfer = () => {
    if (breaking.length === 0) breaking.push(breakLock(ben, { reason: 'deadline' }));
  };
  const pushed = await pushTip(ann, tip, { onTransfer });
  await Promise.all(breaking);
  expect(pushed.moved).toMatchObject({ outcome: 'not-ours', loss: { how: 'broken' } });
  expect(await gitLine(remote.dir, ['rev-parse', 'main'])).not.toBe(tip);
  const ref = 'refs/heads/oxenvcs/rescue/ann/20261124T100000Z';
  const rescued = await publishPrepared(ann.ctx, { tip, patience: 0 }, async (using, before) => {
    await before(null);
    return await publishRescue(using, { ref }, tip);
  });
  expect(rescued.moved).toMatchObject({ outcome: 'rescued' });
  expect(rescued.bytesSent).toBeLessThan(2000);
  expect(await gitLine(remote.dir, ['rev-parse', ref])).toBe(tip);
  expect(await stagingRefs(remote.dir)).toEqual([]);
});
