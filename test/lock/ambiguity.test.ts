import * as fs from 'node:fs/promises';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { git, gitLine } from '../../src/git/run.ts';
import { readPending } from '../../src/lock/journal.ts';
import { acquireLock, releaseLock, renewLock } from '../../src/lock/lease.ts';
import { lockRef } from '../../src/lock/names.ts';
import { lockStatus } from '../../src/lock/status.ts';
import { lookAtLock } from '../../src/lock/view.ts';
import { publish } from '../../src/push/publish.ts';
import { fakeClock } from '../support/fake-clock.ts';
import { descendants, isRunning } from '../support/processes.ts';
import { proxy } from '../support/proxy.ts';
import { httpRemote, isPush, type Remote, serverHook, sshRemote } from '../support/remotes.ts';
import { type Member, team, version } from '../support/team.ts';

const ref = lockRef('main');
const records = async (bare: string) => Number(await gitLine(bare, ['rev-list', '--count', ref]));

async function ann(remote: Remote): Promise<Member> {
  Object.assign(process.env, remote.env);
  const [member] = await team(remote.url, ['Ann']);
  if (!member) throw new Error('one was asked for');
  return member;
}

test.each([0, 20, 60])(
  'an answer that was cut after %i bytes: the next run knows that the lock is ours',
  async (bytes) => {
    const remote = await httpRemote();
    const { ctx } = await ann(remote);
    remote.trouble = (request) => (isPush(request) ? { cutAnswerAfter: bytes } : null);
    expect(await acquireLock(ctx, { how: 'save' })).toMatchObject({
      outcome: 'unreachable',
      failure: { code: 'OFFLINE' },
    });
    remote.trouble = () => null;
    expect((await acquireLock(ctx, { how: 'save' })).outcome).toBe('acquired');
    expect(await records(remote.dir)).toBe(1);
  },
);

test.each([1, 300, 500])('a request that was cut after %i bytes: the next run takes the lock, once', async (bytes) => {
  const remote = await httpRemote();
  const { ctx } = await ann(remote);
  remote.trouble = (request) => (isPush(request) ? { cutRequestAfter: bytes } : null);
  expect((await acquireLock(ctx, { how: 'save' })).outcome).toBe('unreachable');
  remote.trouble = () => null;
  expect((await acquireLock(ctx, { how: 'save' })).outcome).toBe('acquired');
  expect(await records(remote.dir)).toBe(1);
});

test('a connection over ssh that breaks at any point leaves no doubt afterwards', async () => {
  const remote = await sshRemote();
  const { ctx } = await ann(remote);
  const line = await proxy({ port: remote.port });
  const far = { ...ctx, remote: { ...ctx.remote, url: line.url(remote.url) } };
  expect((await acquireLock(far, { how: 'save' })).outcome).toBe('acquired');
  await releaseLock(far);
  const sum = () => line.counts.up + line.counts.down;
  const [bytes, connections] = [sum(), line.counts.connections];
  expect((await acquireLock(far, { how: 'save' })).outcome).toBe('acquired');
  const whole = sum() - bytes;
  expect(line.counts.connections).toBe(connections + 1);
  await releaseLock(far);
  const outcomes: string[] = [];
  for (const share of [0.2, 0.7, 0.9, 0.97, 0.995]) {
    const before = await records(remote.dir);
    await line.set({ cutAfter: Math.floor(whole * share) });
    outcomes.push((await acquireLock(far, { how: 'save' })).outcome);
    await line.set('pass');
    expect(['acquired', 'already-mine']).toContain((await acquireLock(far, { how: 'hand' })).outcome);
    expect((await lookAtLock(far)).outcome === 'read' && (await records(remote.dir)) - before).toBeLessThanOrEqual(2);
    await releaseLock(far);
  }
  expect(outcomes.filter((outcome) => outcome === 'unreachable').length).toBeGreaterThan(2);
});

test.each(['before', 'during'])(
  'a push that lands after it was given up and was not there when looked for, %s the next try: ours, and once',
  async (when) => {
    const remote = await httpRemote();
    const { ctx } = await ann(remote);
    const go = path.join(path.dirname(remote.dir), 'go');
    // The second push finds that the first has overtaken it: the server turns it down.
    const isThere = `git --git-dir='${remote.dir}' rev-parse -q --verify ${ref} >/dev/null`;
    await serverHook(
      remote,
      'update',
      `case "$1" in refs/oxenvcs/*) if mkdir '${go}.first'; then until test -e '${go}'; do sleep 0.05; done
       else until ${isThere}; do sleep 0.05; done; fi;; esac; exit 0`,
    );
    const impatient = { ...ctx, settings: { ...ctx.settings, network: { ...ctx.settings.network, timeoutMs: 1500 } } };
    expect((await acquireLock(impatient, { how: 'save' })).outcome).toBe('unreachable');
    expect(await lookAtLock(ctx)).toMatchObject({ outcome: 'read', view: { onRemote: null } });
    const landed = async () => {
      await fs.writeFile(go, '');
      while ((await gitLine(remote.dir, ['for-each-ref', ref])) === '') await sleep(50);
    };
    if (when === 'before') await landed();
    const [next] = await Promise.all([acquireLock(ctx, { how: 'save' }), sleep(400).then(landed)]);
    expect(next.outcome).toBe('acquired');
    expect(await records(remote.dir)).toBe(1);
  },
);

test('a release whose answer was lost is never told as a loss', async () => {
  const remote = await httpRemote();
  const { ctx } = await ann(remote);
  await acquireLock(ctx, { how: 'save' });
  remote.trouble = (request) => (isPush(request) ? { cutAnswerAfter: 0 } : null);
  expect((await releaseLock(ctx)).outcome).toBe('unreachable');
  remote.trouble = () => null;
  expect(await lookAtLock(ctx)).toMatchObject({ view: { lost: null }, verdict: { is: 'free' } });
});

test('a status after a lost answer finds out first: what it says stays true', async () => {
  const remote = await httpRemote();
  const { ctx } = await ann(remote);
  remote.trouble = (request) => (isPush(request) ? { cutRequestAfter: 1 } : null);
  await acquireLock(ctx, { how: 'save' });
  remote.trouble = () => null;
  expect((await lockStatus(ctx)).status).toMatchObject({ mine: true, source: 'remote' });
  expect(await readPending(ctx)).toBeNull();
});

test('a record that was noted half a lease ago is not sent any more: it would be a worn lease', async () => {
  const remote = await httpRemote();
  const { ctx } = await ann(remote);
  const clock = fakeClock();
  const old = { ...ctx, clock };
  remote.trouble = (request) => (request.url?.includes('receive-pack') ? { status: 503 } : null);
  await acquireLock(old, { how: 'save' });
  remote.trouble = () => null;
  const sent = (await readPending(old))?.commit;
  clock.pass(3 * 3_600_000);
  const got = await acquireLock(old, { how: 'save' });
  expect(got.outcome).toBe('acquired');
  expect(got.outcome === 'acquired' && got.held.commit).not.toBe(sent);
  expect(await records(remote.dir)).toBe(1);
});

test.each([
  ['landed', { cutAnswerAfter: 0 }, 'moved'],
  ['did not land', { status: 503 }, 'published'],
] as const)(
  'a publish that %s without an answer and whose version is gone here since (amended, tidied away) does not block the lock',
  async (_, trouble, next) => {
    const remote = await httpRemote();
    const member = await ann(remote);
    const { ctx, project } = member;
    await acquireLock(ctx, { how: 'save' });
    const before = await gitLine(project.root, ['rev-parse', 'HEAD']);
    remote.trouble = (request) => (isPush(request) ? trouble : null);
    const tip = await version(member);
    expect((await publish(ctx, { tip })).outcome).toBe('unreachable');
    remote.trouble = () => null;
    await git(project.root, ['reset', '--quiet', '--hard', before]);
    await fs.rm(path.join(project.root, '.git', 'objects', tip.slice(0, 2), tip.slice(2)));
    expect((await renewLock(ctx)).outcome).toBe('done');
    // What somebody may have by now is not overwritten.
    // (In the same second the same words would make the very same commit again.)
    expect((await publish(ctx, { tip: await version(member, 'another') })).outcome).toBe(next);
  },
);

test('a power cut that took the record’s object, but not the journal: the identical record is sent again', async () => {
  const remote = await httpRemote();
  const { ctx, project } = await ann(remote);
  remote.trouble = (request) => (isPush(request) ? { cutAnswerAfter: 0 } : null);
  expect((await acquireLock(ctx, { how: 'save' })).outcome).toBe('unreachable');
  remote.trouble = () => null;
  const commit = (await readPending(ctx))?.commit ?? '';
  await fs.rm(path.join(project.root, '.git', 'objects', commit.slice(0, 2), commit.slice(2)));
  expect(await acquireLock(ctx, { how: 'save' })).toMatchObject({ outcome: 'acquired', held: { commit } });
  expect(await records(remote.dir)).toBe(1);
});

test('an old record that did land is found', async () => {
  const remote = await httpRemote();
  const { ctx } = await ann(remote);
  const clock = fakeClock();
  const old = { ...ctx, clock };
  remote.trouble = (request) => (isPush(request) ? { cutAnswerAfter: 0 } : null);
  await acquireLock(old, { how: 'save' });
  remote.trouble = () => null;
  clock.pass(3 * 3_600_000);
  expect((await lockStatus(old)).status.mine).toBe(true);
  expect(await readPending(old)).toBeNull();
});

test('who interrupts gets the prompt back at once, and nothing of it goes on running', async () => {
  const remote = await httpRemote();
  const { ctx } = await ann(remote);
  remote.trouble = (request) => (isPush(request) ? 'hang' : null);
  const stop = new AbortController();
  remote.requests.length = 0;
  const asked = acquireLock({ ...ctx, signal: stop.signal }, { how: 'save' });
  while (!remote.requests.some((request) => request === 'POST /song.git/git-receive-pack')) await sleep(20);
  stop.abort();
  expect((await asked).outcome).toBe('unreachable');
  await expect.poll(() => descendants(process.pid).filter((pid) => isRunning(pid))).toEqual([]);
  expect(await readPending(ctx)).not.toBeNull();
});
