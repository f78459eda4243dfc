import * as fs from 'node:fs/promises';
import path from 'node:path';
import { expect, test } from 'vitest';
import { git, gitLine } from '../../src/git/run.ts';
import { capabilities } from '../../src/lock/capabilities.ts';
import { breakLock } from '../../src/lock/break.ts';
import { acquireLock, faster, renewLock } from '../../src/lock/lease.ts';
import { lockRef } from '../../src/lock/names.ts';
import { cachedStatus } from '../../src/lock/status.ts';
import { Failure } from '../../src/model/failures.ts';
import { publish } from '../../src/push/publish.ts';
import { fileRemote, httpRemote, isPush, type Remote, serverHook, sshRemote } from '../support/remotes.ts';
import { type Member, remoteMain, team, version } from '../support/team.ts';

const ref = lockRef('main');
const records = async (bare: string) => Number(await gitLine(bare, ['rev-list', '--count', ref]));

async function pair(remote?: Remote): Promise<{ ann: Member; ben: Member; remote: Remote }> {
  const where = remote ?? (await fileRemote());
  Object.assign(process.env, where.env);
  const [ann, ben] = await team(where.url, ['Ann', 'Ben']);
  if (!ann || !ben) throw new Error('two were asked for');
  return { ann, ben, remote: where };
}

/**
 * The server's hook strikes while the publish is inside it: the lock is broken there by somebody else's push, which the
 * server carries out before it goes on.
 */
async function breakInside(
  remote: Remote,
  breaker: Member,
  hook: 'pre-receive' | 'update',
): Promise<() => Promise<boolean>> {
  // The breaker's record is made beforehand by a break against a copy of the remote.
  const copy = path.join(path.dirname(remote.dir), 'copy.git');
  await fs.cp(remote.dir, copy, { recursive: true });
  const broken = await breakLock({ ...breaker.ctx, remote: { name: 'origin', url: copy } }, { reason: 'now' });
  if (broken.outcome !== 'broken') throw new Error(broken.outcome);
  const { commit } = broken.held;
  await git(breaker.project.root, ['push', '--quiet', remote.dir, `${commit}:refs/breaker/record`]);
  // Its own environment keeps what is pushed apart; a breaker is another process without it.
  const strike = `unset GIT_QUARANTINE_PATH $(git rev-parse --local-env-vars); git -C '${remote.dir}' update-ref ${ref} ${commit} ${broken.from?.commit}`;
  const struck = path.join(path.dirname(remote.dir), 'struck');
  const body = `case "$(cat) $1" in *refs/heads/main*) (${strike}) && touch '${struck}';; esac; exit 0`;
  await serverHook(remote, hook, body);
  return async () => (await gitLine(remote.dir, ['rev-parse', ref])) === commit;
}

test.each(['pre-receive', 'update'] as const)(
  'a breaker that strikes inside the server’s %s hook: the branch does not move after the lock was lost',
  async (hook) => {
    const { ann, ben, remote } = await pair();
    for (let round = 0; round < 3; round++) {
      await acquireLock(ann.ctx, { how: 'save' });
      const before = await remoteMain(remote.dir);
      const hasStruck = await breakInside(remote, ben, hook);
      const tip = await version(ann);
      const published = await publish(ann.ctx, { tip });
      expect(await hasStruck()).toBe(true);
      expect(published).toMatchObject({ outcome: 'not-ours', loss: { how: 'broken', by: { name: 'Ben' } } });
      expect(await remoteMain(remote.dir)).toBe(before);
      await fs.rm(path.join(remote.dir, 'hooks', hook));
      await fs.rm(path.join(path.dirname(remote.dir), 'copy.git'), { recursive: true });
    }
  },
);

test('a heartbeat and publishes at the same time, from one process, all succeed and skip no generation', async () => {
  const { ann, remote } = await pair();
  await acquireLock(ann.ctx, { how: 'save' });
  const tips = [await version(ann), await version(ann)];
  const all = await Promise.all([
    renewLock(ann.ctx),
    publish(ann.ctx, { tip: tips[0] ?? '' }),
    renewLock(ann.ctx),
    publish(ann.ctx, { tip: tips[1] ?? '' }),
    renewLock(ann.ctx),
  ]);
  expect(all.map(({ outcome }) => outcome)).toEqual(['done', 'published', 'done', 'published', 'done']);
  expect(await records(remote.dir)).toBe(6);
  expect(await remoteMain(remote.dir)).toBe(tips[1]);
});

test('a long upload before the branch moves does not keep the heartbeat from renewing', async () => {
  const { ann, remote } = await pair();
  await acquireLock(ann.ctx, { how: 'save' });
  const before = async () => {
    expect((await renewLock(ann.ctx)).outcome).toBe('done');
  };
  expect((await publish(ann.ctx, { tip: await version(ann), before })).outcome).toBe('published');
  expect(await records(remote.dir)).toBe(3);
});

test('when what must come before fails, the branch does not move', async () => {
  const { ann, remote } = await pair();
  await acquireLock(ann.ctx, { how: 'save' });
  const was = await remoteMain(remote.dir);
  const before = async () => {
    throw new Error('no room for large files');
  };
  await expect(publish(ann.ctx, { tip: await version(ann), before })).rejects.toThrow('no room');
  expect(await remoteMain(remote.dir)).toBe(was);
});

test('when the branch turns out to be somewhere else, what must come before comes again, for that', async () => {
  const { ann, remote } = await pair();
  await acquireLock(ann.ctx, { how: 'save' });
  const was = await remoteMain(remote.dir);
  const between = await version(ann);
  const tip = await version(ann);
  const asked: (string | null)[] = [];
  const before = async (base: string | null) => {
    asked.push(base);
    // Ann herself, by hand.
    await git(ann.project.root, ['push', '--quiet', remote.dir, `${between}:refs/heads/main`]);
  };
  expect(await publish(ann.ctx, { tip, before })).toMatchObject({ outcome: 'published', commit: tip });
  expect(asked).toEqual([was, between]);
});

test('a branch that somebody has deleted is not made a second time', async () => {
  const { ann, remote } = await pair();
  await acquireLock(ann.ctx, { how: 'save' });
  await git(remote.dir, ['update-ref', '-d', 'refs/heads/main']);
  expect(await publish(ann.ctx, { tip: await version(ann) })).toMatchObject({ outcome: 'moved' });
  expect(await git(remote.dir, ['for-each-ref', 'refs/heads'])).toBe('');
});

test('publish and release in one push leave branch and lock in one step', async () => {
  const { ann, ben, remote } = await pair();
  await acquireLock(ann.ctx, { how: 'save' });
  const tip = await version(ann);
  expect(await publish(ann.ctx, { tip, release: true })).toMatchObject({ outcome: 'published' });
  expect(await records(remote.dir)).toBe(2);
  expect((await cachedStatus(ann.ctx)).held).toBe(false);
  await git(ben.project.root, ['pull', '--quiet']);
  expect((await acquireLock(ben.ctx, { how: 'save' })).outcome).toBe('acquired');
});

test.each(['publish', 'publish and release'])(
  'a %s whose answer was lost is found done by the next try',
  async (what) => {
    const remote = await httpRemote();
    const { ann } = await pair(remote);
    await acquireLock(ann.ctx, { how: 'save' });
    const tip = await version(ann);
    const options = { tip, release: what !== 'publish' };
    remote.trouble = (request) => (isPush(request) ? { cutAnswerAfter: 0 } : null);
    expect(await publish(ann.ctx, options)).toMatchObject({ outcome: 'unreachable', failure: { code: 'OFFLINE' } });
    expect(await remoteMain(remote.dir)).toBe(tip);
    remote.trouble = () => null;
    expect(await publish(ann.ctx, options)).toMatchObject({ outcome: 'published', commit: tip });
    expect(await records(remote.dir)).toBe(2);
  },
);

test('a publish whose answer was lost is not taken for that of the next version', async () => {
  const remote = await httpRemote();
  const { ann } = await pair(remote);
  await acquireLock(ann.ctx, { how: 'save' });
  remote.trouble = (request) => (isPush(request) ? { cutAnswerAfter: 0 } : null);
  await publish(ann.ctx, { tip: await version(ann) });
  remote.trouble = () => null;
  const tip = await version(ann);
  expect(await publish(ann.ctx, { tip })).toMatchObject({ outcome: 'published', commit: tip });
  expect(await remoteMain(remote.dir)).toBe(tip);
});

test('a publish that landed although its lock was broken right after is still told as published', async () => {
  const remote = await httpRemote();
  const { ann, ben } = await pair(remote);
  await acquireLock(ann.ctx, { how: 'save' });
  const tip = await version(ann);
  remote.trouble = (request) => (isPush(request) ? { cutAnswerAfter: 0 } : null);
  await publish(ann.ctx, { tip });
  remote.trouble = () => null;
  await breakLock(ben.ctx, { reason: 'x' });
  expect(await publish(ann.ctx, { tip })).toMatchObject({ outcome: 'published', commit: tip });
  expect(await publish(ann.ctx, { tip: await version(ann) })).toMatchObject({
    outcome: 'not-ours',
    loss: { how: 'broken' },
  });
});

test('a tip that lacks what somebody pushed by hand does not overwrite it, though the lease would permit it', async () => {
  const { ann, ben, remote } = await pair();
  await acquireLock(ann.ctx, { how: 'save' });
  const theirs = await version(ben);
  await git(ben.project.root, ['push', '--quiet', 'origin', 'main']);
  // Fetched, but not joined: as a base it would make a non-fast-forward.
  await git(ann.project.root, ['fetch', '--quiet', 'origin']);
  expect(await publish(ann.ctx, { tip: await version(ann) })).toMatchObject({
    outcome: 'moved',
    failure: { code: 'CONFLICT' },
  });
  expect(await remoteMain(remote.dir)).toBe(theirs);
});

const remotes = { file: fileRemote, http: httpRemote, ssh: sshRemote };

test.each(['file', 'http', 'ssh'] as const)(
  'a host without atomic pushes: it is said to be advisory, and saves still arrive in order (%s)',
  async (kind) => {
    const config = { 'receive.advertiseAtomic': 'false' };
    const { ann, ben, remote } = await pair(await remotes[kind]({ config }));
    expect((await acquireLock(ann.ctx, { how: 'save' })).outcome).toBe('acquired');
    expect((await capabilities(ann.ctx)).atomic).toBe(false);
    expect((await cachedStatus(ann.ctx)).fencing).toBe('advisory');
    const tip = await version(ann);
    expect((await publish(ann.ctx, { tip })).outcome).toBe('published');
    expect((await publish(ann.ctx, { tip })).outcome).toBe('up-to-date');
    const last = await version(ann);
    expect((await publish(ann.ctx, { tip: last, release: true })).outcome).toBe('published');
    expect(await remoteMain(remote.dir)).toBe(last);
    // The base is still checked: Ben lacks two versions.
    expect((await acquireLock(ben.ctx, { how: 'save' })).outcome).toBe('stale-base');
    await git(ben.project.root, ['pull', '--quiet']);
    expect((await acquireLock(ben.ctx, { how: 'save' })).outcome).toBe('acquired');
    expect((await publish(ann.ctx, { tip: await version(ann) })).outcome).toBe('not-ours');
  },
);

test('a branch that the host protects: refused, with the setting’s name, and the lock still stands', async () => {
  const { ann, remote } = await pair();
  await serverHook(
    remote,
    'update',
    'test "$1" != refs/heads/main && exit 0; echo "error: GH006: Protected branch update failed for $1." >&2; exit 1',
  );
  await acquireLock(ann.ctx, { how: 'save' });
  const published = await publish(ann.ctx, { tip: await version(ann) });
  expect(published).toMatchObject({ outcome: 'refused', failure: { code: 'REMOTE_REFUSED' } });
  expect(published.outcome === 'refused' && published.failure.message).toMatch(/branch protection forbids it: .*GH006/);
  expect((await renewLock(ann.ctx)).outcome).toBe('done');
});

test('a lock of git’s that stays on the remote’s branch is told as that, and is no refusal', async () => {
  const { ann } = await pair();
  const detail =
    "cannot lock ref 'refs/heads/main': Unable to create '/nas/song.git/refs/heads/main.lock': File exists";
  const told = faster(ann.ctx, new Failure('remote-busy', { detail, remote: 'origin' }));
  expect(told).toMatchObject({ outcome: 'unreachable', failure: { code: 'BUSY', retryable: true } });
  expect(told.failure.message).toContain('main.lock');
});
