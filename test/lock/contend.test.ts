import { expect, test } from 'vitest';
import { git, gitLine } from '../../src/git/run.ts';
import { breakLock } from '../../src/lock/break.ts';
import { loadView } from '../../src/lock/cache.ts';
import { acquireLock, releaseLock, renewLock } from '../../src/lock/lease.ts';
import { lockRef } from '../../src/lock/names.ts';
import { lookAtLock } from '../../src/lock/view.ts';
import { acquireWaiting } from '../../src/lock/wait.ts';
import { publish } from '../../src/push/publish.ts';
import { type FakeClock, fakeClock } from '../support/fake-clock.ts';
import { fileRemote } from '../support/remotes.ts';
import { type Member, team, version } from '../support/team.ts';

const ref = lockRef('main');
const minute = 60_000;
const hour = 60 * minute;

interface Player extends Member {
  clock: FakeClock;
}

async function band(names = ['Ann', 'Ben']): Promise<{ ann: Player; ben: Player; bare: string }> {
  const remote = await fileRemote();
  const members = await team(remote.url, names);
  const [ann, ben] = members.map((member) => {
    const clock = fakeClock();
    return { ...member, clock, ctx: { ...member.ctx, clock } };
  });
  if (!ann || !ben) throw new Error('two were asked for');
  return { ann, ben, bare: remote.dir };
}

const both = (ms: number, ...players: Player[]) => {
  for (const { clock } of players) clock.pass(ms);
};
const tipOf = async (bare: string) => await gitLine(bare, ['rev-parse', ref]);

/** Puts any bytes there as the next record. */
async function plant(bare: string, message: string): Promise<string> {
  const tree = await gitLine(bare, ['hash-object', '-w', '-t', 'tree', '--stdin'], { input: '' });
  const parent = await git(bare, ['for-each-ref', '--format=-p%0a%(objectname)', ref]);
  const id = ['-c', 'user.name=x', '-c', 'user.email=x@x'];
  const args = [...id, 'commit-tree', ...parent.split('\n').filter(Boolean), tree];
  const commit = await gitLine(bare, args, { input: message });
  await git(bare, ['update-ref', ref, commit]);
  return commit;
}

test('a lease that ran out is taken over without force, but only by one who has watched it stand still', async () => {
  const { ann, ben } = await band();
  await acquireLock(ann.ctx, { how: 'save' });
  both(4 * hour + 6 * minute, ann, ben);
  expect(await acquireLock(ben.ctx, { how: 'save' })).toMatchObject({
    outcome: 'held',
    held: { record: { owner: { name: 'Ann' } } },
    takeableInMs: 20 * minute,
  });
  both(20 * minute, ann, ben);
  const taken = await acquireLock(ben.ctx, { how: 'save' });
  expect(taken).toMatchObject({ outcome: 'taken-over', held: { record: { event: 'taken-over', generation: 2 } } });
  // Ann is told by whom and why.
  expect(await renewLock(ann.ctx)).toMatchObject({
    outcome: 'not-ours',
    failure: { row: 'lock-lost', details: { name: 'Ben', reason: 'the lease of Ann was over' } },
    loss: { how: 'taken-over' },
  });
});

test('a clock that is days ahead does not take a lock that is being renewed', async () => {
  const { ann, ben } = await band();
  ben.clock.pass(0);
  ben.clock.set(ann.clock.now() + 3 * 24 * hour);
  await acquireLock(ann.ctx, { how: 'save' });
  for (let beat = 0; beat < 5; beat++) {
    expect((await acquireLock(ben.ctx, { how: 'save' })).outcome).toBe('held');
    both(10 * minute, ann, ben);
    expect((await renewLock(ann.ctx)).outcome).toBe('done');
  }
});

test('a takeover that loses against a late renewal leaves the lock with its holder', async () => {
  const { ann, ben } = await band();
  await acquireLock(ann.ctx, { how: 'save' });
  both(4 * hour + 6 * minute, ann, ben);
  await lookAtLock(ben.ctx);
  both(20 * minute, ann, ben);
  // Ben would be allowed to by now; Ann wakes first.
  expect((await renewLock(ann.ctx)).outcome).toBe('done');
  expect((await acquireLock(ben.ctx, { how: 'save' })).outcome).toBe('held');
});

test('a broken lock stays broken for its former holder, who hears who did it and why', async () => {
  const { ann, ben } = await band();
  await acquireLock(ann.ctx, { how: 'hand' });
  const broken = await breakLock(ben.ctx, { reason: 'Ann is on\nholiday' });
  expect(broken).toMatchObject({ outcome: 'broken', from: { record: { owner: { name: 'Ann' } } } });
  const tip = await version(ann);
  expect(await publish(ann.ctx, { tip })).toMatchObject({
    outcome: 'not-ours',
    failure: { code: 'LOCK_LOST', details: { name: 'Ben', reason: 'Ann is on holiday', how: 'broken' } },
  });
  // It stays known until the lock is hers again, also to the next process.
  expect((await loadView(ann.ctx)).lost).toMatchObject({ how: 'broken', by: { name: 'Ben' } });
  expect((await acquireLock(ben.ctx, { how: 'save' })).outcome).toBe('acquired');
  expect((await releaseLock(ben.ctx)).outcome).toBe('done');
  expect((await acquireLock(ann.ctx, { how: 'save' })).outcome).toBe('acquired');
  expect((await loadView(ann.ctx)).lost).toBeNull();
});

test('the one who broke it is named, even if somebody else has taken and renewed the lock since', async () => {
  const { ann, ben } = await band();
  await acquireLock(ann.ctx, { how: 'save' });
  await breakLock(ben.ctx, { reason: 'stuck' });
  await acquireLock(ben.ctx, { how: 'save' });
  for (let n = 0; n < 3; n++) await renewLock(ben.ctx);
  expect(await releaseLock(ann.ctx)).toMatchObject({ outcome: 'not-ours', loss: { how: 'broken', reason: 'stuck' } });
});

test('nothing is broken where nothing is held', async () => {
  const { ann, ben, bare } = await band();
  expect((await breakLock(ben.ctx, { reason: 'x' })).outcome).toBe('not-held');
  await acquireLock(ann.ctx, { how: 'save' });
  await releaseLock(ann.ctx);
  const tip = await tipOf(bare);
  expect((await breakLock(ben.ctx, { reason: 'x' })).outcome).toBe('not-held');
  expect(await tipOf(bare)).toBe(tip);
});

test('the same person’s other machine gets an idle, published lock in one step, written down as a handover', async () => {
  const { ann, ben } = await band(['Ann', 'Laptop']);
  const laptop = { ...ben, ctx: { ...ben.ctx, owner: { ...ann.ctx.owner, clone: 'laptop', host: 'laptop' } } };
  await acquireLock(ann.ctx, { how: 'save' });
  expect((await acquireLock(laptop.ctx, { how: 'save' })).outcome).toBe('held');
  await renewLock(ann.ctx, { idleSince: ann.clock.now() });
  const got = await acquireLock(laptop.ctx, { how: 'save' });
  expect(got).toMatchObject({ outcome: 'taken-over', held: { record: { event: 'handed-over' } } });
  expect(await renewLock(ann.ctx)).toMatchObject({ loss: { how: 'handed-over' } });
});

test('publishing says that one is at work again: an idle mark does not outlive it', async () => {
  const { ann } = await band();
  await acquireLock(ann.ctx, { how: 'save' });
  await renewLock(ann.ctx, { idleSince: ann.clock.now() });
  await publish(ann.ctx, { tip: await version(ann) });
  const { seen } = await loadView(ann.ctx);
  expect(seen).toMatchObject({ record: { event: 'published', idleSince: null } });
});

test('a record of a newer program counts as held and is never overwritten, not even by force', async () => {
  const { ann, bare } = await band();
  const tip = await plant(bare, '{"v":2,"state":"frozen"}');
  expect(await acquireLock(ann.ctx, { how: 'hand' })).toMatchObject({
    outcome: 'held',
    failure: { row: 'lock-newer' },
  });
  expect(await breakLock(ann.ctx, { reason: 'x' })).toMatchObject({ outcome: 'held', failure: { row: 'lock-newer' } });
  expect(await tipOf(bare)).toBe(tip);
});

test.each([
  ['not JSON', 'hello'],
  ['a megabyte', `{"v":1,"x":"${'x'.repeat(1e6)}"}`],
  ['escape sequences', '{"v":1,"state":"held","owner":{"name":"\\u001b[2J"}}'],
])('a damaged record (%s) counts as held, and a break frees it', async (_, message) => {
  const { ann, ben, bare } = await band();
  await acquireLock(ann.ctx, { how: 'save' });
  await plant(bare, message);
  expect(await acquireLock(ben.ctx, { how: 'save' })).toMatchObject({
    outcome: 'held',
    failure: { row: 'lock-damaged' },
  });
  expect((await breakLock(ben.ctx, { reason: 'damaged' })).outcome).toBe('broken');
  const got = await acquireLock(ben.ctx, { how: 'save' });
  expect(got).toMatchObject({ outcome: 'acquired', held: { record: { generation: 4 } } });
});

test('a lock ref that is no commit at all can be freed too', async () => {
  const { ben, bare } = await band();
  const blob = await gitLine(bare, ['hash-object', '-w', '--stdin'], { input: 'boo' });
  await git(bare, ['update-ref', ref, blob]);
  expect(await acquireLock(ben.ctx, { how: 'save' })).toMatchObject({
    outcome: 'held',
    failure: { row: 'lock-damaged' },
  });
  expect((await breakLock(ben.ctx, { reason: 'damaged' })).outcome).toBe('broken');
  expect((await acquireLock(ben.ctx, { how: 'save' })).outcome).toBe('acquired');
});

test('when the lock refs are deleted, others wait as for a lease that runs out; the holder carries on', async () => {
  const { ann, ben, bare } = await band();
  await acquireLock(ann.ctx, { how: 'save' });
  await lookAtLock(ben.ctx);
  await git(bare, ['update-ref', '-d', ref]);
  expect((await acquireLock(ben.ctx, { how: 'save' })).outcome).toBe('held');
  // The holder is at home: it makes the ref again, with its whole chain.
  const renewed = await renewLock(ann.ctx);
  expect(renewed).toMatchObject({ outcome: 'done', held: { record: { generation: 2 } } });
  expect(await gitLine(bare, ['rev-list', '--count', ref])).toBe('2');
  // And where it is not, its lease ends as always.
  await git(bare, ['update-ref', '-d', ref]);
  await lookAtLock(ben.ctx);
  both(4 * hour + 6 * minute, ann, ben);
  expect((await acquireLock(ben.ctx, { how: 'save' })).outcome).toBe('taken-over');
  expect(await gitLine(bare, ['rev-list', '--count', ref])).toBe('2');
  expect(await renewLock(ann.ctx)).toMatchObject({ outcome: 'not-ours', loss: { by: { name: 'Ben' } } });
});

test('a chain that was set back (a restored server) is carried on from its furthest record', async () => {
  const { ann, ben, bare } = await band();
  await acquireLock(ben.ctx, { how: 'save' });
  await releaseLock(ben.ctx);
  const old = await tipOf(bare);
  await acquireLock(ann.ctx, { how: 'save' });
  await lookAtLock(ben.ctx);
  await git(bare, ['update-ref', ref, old]);
  expect((await acquireLock(ben.ctx, { how: 'save' })).outcome).toBe('held');
  const renewed = await renewLock(ann.ctx);
  expect(renewed).toMatchObject({ outcome: 'done', held: { record: { generation: 4 } } });
  expect(await gitLine(bare, ['rev-list', '--count', ref])).toBe('4');
});

test('a lock that others began anew after the refs were lost is theirs', async () => {
  const { ann, ben, bare } = await band();
  await acquireLock(ann.ctx, { how: 'save' });
  await git(bare, ['update-ref', '-d', ref]);
  // Ben had never seen hers.
  expect((await acquireLock(ben.ctx, { how: 'save' })).outcome).toBe('acquired');
  expect(await renewLock(ann.ctx)).toMatchObject({
    outcome: 'not-ours',
    loss: { how: 'replaced', by: { name: 'Ben' } },
  });
});

test('who waits is told who holds it, and gets it when it is released', async () => {
  const { ann, ben } = await band();
  await acquireLock(ann.ctx, { how: 'hand', message: 'vocals' });
  const told: string[] = [];
  let looks = 0;
  const { clock } = ben;
  ben.ctx.clock = {
    ...clock,
    sleep: async (ms, signal) => {
      looks += 1;
      if (looks === 4) await releaseLock(ann.ctx);
      await clock.sleep(ms, signal);
    },
  };
  const onHeld = ({ failure }: { failure: Error }) => told.push(failure.message);
  const got = await acquireWaiting(ben.ctx, { how: 'hand' }, { waitMs: 10 * minute, onHeld });
  expect(got.outcome).toBe('acquired');
  expect(told).toHaveLength(1);
  expect(told[0]).toMatch(/^Ann holds the lock of main, on .* since /);
  expect(looks).toBe(4);
});

test('waiting ends with its time, and a remote that is away for a moment does not end it early', async () => {
  const { ann, ben } = await band();
  await acquireLock(ann.ctx, { how: 'hand' });
  const { url } = ben.ctx.remote;
  let looks = 0;
  const { clock } = ben;
  ben.ctx.clock = {
    ...clock,
    sleep: async (ms, signal) => {
      looks += 1;
      ben.ctx.remote.url = looks === 2 ? 'http://127.0.0.1:9/nothing' : url;
      await clock.sleep(ms, signal);
    },
  };
  const start = ben.clock.now();
  const got = await acquireWaiting(ben.ctx, { how: 'hand' }, { waitMs: minute });
  expect(got.outcome).toBe('held');
  expect(ben.clock.now() - start).toBe(minute);
});

test('a clone that knows nothing of the remote’s branch asks before it locks an old version', async () => {
  const { ann, ben } = await band();
  await acquireLock(ann.ctx, { how: 'save' });
  await publish(ann.ctx, { tip: await version(ann) });
  await releaseLock(ann.ctx);
  await git(ben.project.root, ['update-ref', '-d', 'refs/remotes/origin/main']);
  expect((await acquireLock(ben.ctx, { how: 'save' })).outcome).toBe('stale-base');
});

test('a branch that was deleted on the remote does not keep anyone from the lock; it may have been renamed, so it is not made again unseen', async () => {
  const { ann, bare } = await band();
  await git(bare, ['update-ref', '-d', 'refs/heads/main']);
  expect((await acquireLock(ann.ctx, { how: 'save' })).outcome).toBe('acquired');
  const tip = await version(ann);
  expect((await publish(ann.ctx, { tip })).outcome).toBe('moved');
  // Somebody has looked (sync/team.ts).
  await git(ann.project.root, ['update-ref', '-d', 'refs/remotes/origin/main']);
  expect((await publish(ann.ctx, { tip })).outcome).toBe('published');
  expect(await gitLine(bare, ['rev-parse', 'main'])).toBe(tip);
});

test('an empty remote: the lock first, then the first version', async () => {
  const { ann, bare } = await band();
  await git(bare, ['update-ref', '-d', 'refs/heads/main']);
  await git(ann.project.root, ['update-ref', '-d', 'refs/remotes/origin/main']);
  expect(await acquireLock(ann.ctx, { how: 'save' })).toMatchObject({
    outcome: 'acquired',
    held: { record: { base: null } },
  });
  expect((await publish(ann.ctx, { tip: await version(ann) })).outcome).toBe('published');
});

test('what was known of another remote says nothing about this one', async () => {
  const { ann } = await band();
  const other = await fileRemote();
  await acquireLock(ann.ctx, { how: 'save' });
  await git(ann.project.root, ['push', '--quiet', other.url, 'main']);
  const moved = { ...ann.ctx, remote: { name: 'origin', url: other.url } };
  expect(await acquireLock(moved, { how: 'save' })).toMatchObject({
    outcome: 'acquired',
    held: { record: { generation: 1 } },
  });
});

test('after `git clean -fdx` the holder still knows its lock', async () => {
  const { ann, bare } = await band();
  await acquireLock(ann.ctx, { how: 'save' });
  await git(ann.project.root, ['clean', '-fdxq']);
  expect((await acquireLock(ann.ctx, { how: 'save' })).outcome).toBe('already-mine');
  await git(ann.project.root, ['clean', '-fdxq']);
  expect((await publish(ann.ctx, { tip: await version(ann) })).outcome).toBe('published');
  expect(await gitLine(bare, ['rev-list', '--count', ref])).toBe('2');
});

test.each([
  ['a fraction of an hour', 0.001 * hour],
  ['a blink', 0.25],
  ['for ever', 1e9 * hour],
])('a lease of %s makes a record that everybody can read', async (_, leaseMs) => {
  const { ann, ben } = await band();
  expect((await acquireLock(ann.ctx, { how: 'hand', leaseMs })).outcome).toBe('acquired');
  expect(await acquireLock(ben.ctx, { how: 'hand' })).toMatchObject({ failure: { row: 'lock-held' } });
  expect((await renewLock(ann.ctx)).outcome).toBe('done');
});

test('a branch whose name holds what no terminal should show can be locked like any other', async () => {
  const { ann, ben } = await band();
  const branch = 'mix\u202e2';
  for (const { ctx, project } of [ann, ben]) {
    ctx.branch = branch;
    await git(project.root, ['switch', '--quiet', '-c', branch]);
  }
  expect((await acquireLock(ann.ctx, { how: 'save' })).outcome).toBe('acquired');
  expect((await publish(ann.ctx, { tip: await version(ann) })).outcome).toBe('published');
  expect(await acquireLock(ben.ctx, { how: 'save' })).toMatchObject({ failure: { row: 'lock-held' } });
});
