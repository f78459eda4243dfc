import { randomBytes } from 'node:crypto';
import type { IncomingMessage } from 'node:http';
import * as fs from 'node:fs/promises';
import path from 'node:path';
import { expect, test } from 'vitest';
import { git, gitLine } from '../../src/git/run.ts';
import { capabilities } from '../../src/lock/capabilities.ts';
import { stage } from '../../src/push/stage.ts';
import { trackTransfer } from '../../src/push/transfer.ts';
import { systemClock } from '../../src/system/clock.ts';
import { oxenvcs } from '../support/cli.ts';
import { fileRemote, httpRemote, isPush, serverHook } from '../support/remotes.ts';
import { write } from '../support/sandbox.ts';
import { annWithTakes, assertWhole, pushTip, record, stagingRefs } from '../support/takes.ts';

test.each(['pack exceeds maximum', '413'] as const)(
  'a host that limits the size of a push (%s): parts shrink, and the limit is remembered',
  async (how) => {
    const limit = 60_000;
    const remote =
      how === '413' ? await httpRemote() : await fileRemote({ config: { 'receive.maxInputSize': String(limit) } });
    let refused = 0;
    if ('trouble' in remote)
      remote.trouble = (request: IncomingMessage) => {
        if (!isPush(request) || Number(request.headers['content-length'] ?? Infinity) <= limit) return null;
        refused += 1;
        return { status: 413 };
      };
    const ann = await annWithTakes(remote);
    const tip = await record(ann, 16, 20_000);
    expect((await pushTip(ann, tip)).moved).toMatchObject({ outcome: 'published' });
    await assertWhole(remote.dir, tip);
    const { maxPushBytes } = await capabilities(ann.ctx);
    expect(maxPushBytes).toBeGreaterThanOrEqual(20_000);
    expect(maxPushBytes).toBeLessThan(limit);

    // What would have been one piece before is not any more.
    refused = 0;
    const next = await record(ann, 5, 20_000);
    expect(await pushTip(ann, next)).toMatchObject({ moved: { outcome: 'published' }, resumedParts: 0 });
    expect(refused).toBe(0);
    await assertWhole(remote.dir, next);

    // One file above the limit cannot be helped: that is told, and who can lift it.
    await expect(pushTip(ann, await record(ann, 1, 90_000))).rejects.toMatchObject({
      row: 'too-large',
      code: 'REMOTE_REFUSED',
    });
    expect(await gitLine(remote.dir, ['rev-parse', 'main'])).toBe(next);
  },
);

test('a piece that was turned down for its size is sent again in parts, at once', async () => {
  const remote = await fileRemote({ config: { 'receive.maxInputSize': '60000' } });
  const ann = await annWithTakes(remote);
  const tip = await record(ann, 4, 20_000);
  expect(await pushTip(ann, tip)).toMatchObject({ moved: { outcome: 'published' }, parts: expect.any(Number) });
  await assertWhole(remote.dir, tip);
});

test('a piece that broke off goes in parts the next time', async () => {
  const remote = await httpRemote();
  const ann = await annWithTakes(remote);
  const tip = await record(ann, 4, 25_000);
  remote.trouble = (request) => (isPush(request) ? { cutRequestAfter: 60_000 } : null);
  expect((await pushTip(ann, tip)).moved).toMatchObject({ outcome: 'unreachable' });
  expect(await pushTip(ann, tip)).toMatchObject({ moved: { outcome: 'published' }, parts: expect.any(Number) });
  await assertWhole(remote.dir, tip);
});

test.each([false, true])('a host that takes refs only among the branches, deletes denied: %s', async (denied) => {
  const config = { 'receive.hideRefs': 'refs/oxenvcs', 'receive.denyDeletes': String(denied) };
  const remote = await fileRemote({ config });
  const ann = await annWithTakes(remote);
  expect((await capabilities(ann.ctx)).namespace).toBe('refs/heads/oxenvcs/locks/');
  const tip = await record(ann, 8, 30_000);
  const pushed = await pushTip(ann, tip);
  expect(pushed.parts).toBeGreaterThan(2);
  await assertWhole(remote.dir, tip);
  const left = (await git(remote.dir, ['for-each-ref', '--format=%(refname)', 'refs/heads/oxenvcs/staging'])).length;
  expect(left > 0).toBe(denied);
  expect((await capabilities(ann.ctx)).deletes).toBe(!denied);
  const next = await record(ann, 8, 30_000);
  await serverHook(remote, 'pre-receive', 'cat >>received');
  expect(await pushTip(ann, next)).toMatchObject({ moved: { outcome: 'published' } });
  if (!denied) return;
  // What was turned down once is not tried again.
  expect(await fs.readFile(path.join(remote.dir, 'received'), 'utf8')).not.toMatch(/^\w+ 0+ /m);
  // Made anew: the first branch that it gets is the one that everybody is shown.
  for (const ref of (await git(remote.dir, ['for-each-ref', '--format=%(refname)'])).split('\n').filter(Boolean))
    await git(remote.dir, ['update-ref', '-d', ref]);
  const track = trackTransfer(ann.project, systemClock);
  expect(await stage(ann.ctx, { tip: next, track, patience: 0 })).toMatchObject({ parts: 0 });
  expect(await git(remote.dir, ['for-each-ref'])).toBe('');
});

test('a host without atomic pushes takes parts, too', async () => {
  const remote = await fileRemote({ config: { 'receive.advertiseAtomic': 'false' } });
  const ann = await annWithTakes(remote);
  const tip = await record(ann, 8, 30_000);
  expect((await pushTip(ann, tip)).parts).toBeGreaterThan(2);
  await assertWhole(remote.dir, tip);
  expect(await stagingRefs(remote.dir)).toEqual([]);
});

test('a part whose answer was lost is found; one that was damaged on the way is sent again', async () => {
  const remote = await httpRemote();
  const ann = await annWithTakes(remote, { maxPartBytes: 130_000 });
  const tip = await record(ann, 16, 30_000);
  let pushes = 0;
  let wire = 0;
  remote.trouble = (request) => {
    if (!isPush(request)) return null;
    pushes += 1;
    request.on('data', (chunk: Buffer) => {
      wire += chunk.length;
    });
    if (pushes === 2) return { cutAnswerAfter: 0 };
    return pushes === 4 ? { damageAt: 20_000 } : null;
  };
  const pushed = await pushTip(ann, tip);
  expect(pushed.moved).toMatchObject({ outcome: 'published' });
  await assertWhole(remote.dir, tip);
  expect(pushes).toBeGreaterThan(4);
  // The damaged one (one to four takes) went twice, the one whose answer was lost (four) once: else it were 21 at least.
  expect(wire).toBeGreaterThan(16.9 * 30_000);
  expect(wire).toBeLessThan(20.5 * 30_000);
  // What is told is what the remote took, each byte once.
  expect(pushed.bytesSent).toBeGreaterThan(16 * 30_000);
  expect(pushed.bytesSent).toBeLessThan(16.5 * 30_000);
});

test('a piece of the sessions whose answer was lost is found, and not pushed again', async () => {
  const remote = await httpRemote();
  const ann = await annWithTakes(remote);
  for (let save = 0; save < 2; save++) {
    await write(ann.project.root, { 'Song.rpp': randomBytes(120_000) });
    await record(ann, 1, 10);
  }
  const tip = await gitLine(ann.project.root, ['rev-parse', 'HEAD']);
  let pushes = 0;
  remote.trouble = (request) => {
    if (!isPush(request)) return null;
    pushes += 1;
    return pushes === 2 ? { cutAnswerAfter: 0 } : null;
  };
  expect(await pushTip(ann, tip)).toMatchObject({ moved: { outcome: 'published' } });
  await assertWhole(remote.dir, tip);
  // The takes, two pieces of sessions, the branch, and what removes the parts.
  expect(pushes).toBe(5);
});

test('what the remote has lost of a part, its folder or the very commit, does not keep the push from arriving whole', async () => {
  const remote = await fileRemote({ config: { 'receive.unpackLimit': '1000' } });
  const ann = await annWithTakes(remote, { maxPartBytes: 130_000 });
  const tip = await record(ann, 12, 30_000);
  const stop = new AbortController();
  const onTransfer = ({ part }: { part: number }) => part === 2 && stop.abort(new Error('enough'));
  await expect(pushTip({ ctx: { ...ann.ctx, signal: stop.signal } }, tip, { onTransfer })).rejects.toThrow('enough');
  const [one = '', two] = await stagingRefs(remote.dir);
  const another = 'refs/oxenvcs/staging/another1-20261124/x.1.0';
  await git(remote.dir, ['update-ref', another, one]);
  const ids = [
    await gitLine(remote.dir, ['rev-parse', one]),
    await gitLine(remote.dir, ['rev-parse', `${two}^{tree}`]),
  ];
  for (const id of ids) await fs.rm(path.join(remote.dir, 'objects', id.slice(0, 2), id.slice(2)));
  // A ref to nothing: such a server takes no push at all, not even of the lock.
  expect((await oxenvcs(['lock', 'renew'], { cwd: ann.project.root })).code).toBe(6);
  const env = { OXENVCS_PUSH_MIN_PART_BYTES: '8192' };
  expect((await oxenvcs(['push', '--json'], { cwd: ann.project.root, env })).json()).toMatchObject({
    outcome: 'pushed',
  });
  await assertWhole(remote.dir, tip);
  expect(await stagingRefs(remote.dir)).toEqual([]);
});
