import { expect, test } from 'vitest';
import { git, gitLine } from '../../src/git/run.ts';
import { capabilities } from '../../src/lock/capabilities.ts';
import { acquireLock, releaseLock, renewLock } from '../../src/lock/lease.ts';
import { probeRemote } from '../../src/lock/probe.ts';
import { publish } from '../../src/push/publish.ts';
import { fileRemote, httpRemote, type Remote, serverHook, sshRemote } from '../support/remotes.ts';
import { type Member, remoteMain, team, version } from '../support/team.ts';

async function pair(remote: Remote): Promise<{ ann: Member; ben: Member }> {
  Object.assign(process.env, remote.env);
  const [ann, ben] = await team(remote.url, ['Ann', 'Ben']);
  if (!ann || !ben) throw new Error('two were asked for');
  return { ann, ben };
}
const refsOf = async (bare: string) =>
  (await git(bare, ['for-each-ref', '--format=%(refname)'])).split('\n').filter(Boolean);

/** All of a lock's life, by two people. */
async function wholeLife({ ann, ben }: { ann: Member; ben: Member }, bare: string): Promise<void> {
  expect((await acquireLock(ann.ctx, { how: 'save' })).outcome).toBe('acquired');
  expect((await acquireLock(ben.ctx, { how: 'save' })).outcome).toBe('held');
  expect((await renewLock(ann.ctx)).outcome).toBe('done');
  const tip = await version(ann);
  expect((await publish(ann.ctx, { tip })).outcome).toBe('published');
  expect((await releaseLock(ann.ctx)).outcome).toBe('done');
  expect(await remoteMain(bare)).toBe(tip);
  expect((await acquireLock(ben.ctx, { how: 'save' })).outcome).toBe('stale-base');
}

const remotes = { file: fileRemote, http: httpRemote, ssh: sshRemote };

test.each(['file', 'http', 'ssh'] as const)(
  'an open remote: all is allowed, and the probe leaves nothing behind (%s)',
  async (kind) => {
    const remote = await remotes[kind]();
    const { ann } = await pair(remote);
    const before = await remoteMain(remote.dir);
    const { probedAt: _, ...found } = await capabilitiesAfterProbe(ann);
    expect(found).toMatchObject({
      namespace: 'refs/oxenvcs/locks/',
      atomic: true,
      deletes: true,
      branch: true,
      said: null,
    });
    expect(await refsOf(remote.dir)).toEqual(['refs/heads/main']);
    expect(await remoteMain(remote.dir)).toBe(before);
  },
);

async function capabilitiesAfterProbe({ ctx }: Member) {
  expect((await probeRemote(ctx)).outcome).toBe('probed');
  return await capabilities(ctx);
}

test('a remote that denies deletes and all but fast-forwards: locks work all their life', async () => {
  const remote = await fileRemote({ config: { 'receive.denyDeletes': 'true', 'receive.denyNonFastForwards': 'true' } });
  // Git's own setting is for branches only; hosts go further.
  await serverHook(remote, 'update', 'case "$3" in *[!0]*) exit 0;; esac; echo "deletion prohibited" >&2; exit 1');
  const members = await pair(remote);
  expect(await capabilitiesAfterProbe(members.ann)).toMatchObject({ deletes: false, atomic: true, branch: true });
  // What could not be deleted is used again, not added to.
  expect(await capabilitiesAfterProbe(members.ann)).toMatchObject({ deletes: false });
  expect((await refsOf(remote.dir)).filter((ref) => ref.includes('probe'))).toHaveLength(1);
  await wholeLife(members, remote.dir);
});

test.each([
  ['hides refs/oxenvcs', { 'receive.hideRefs': 'refs/oxenvcs' }, null],
  ['has a hook that only knows branches', {}, 'case "$1" in refs/heads/*) exit 0;; *) exit 1;; esac'],
])('a remote that %s: the locks lie among the branches', async (_, config, hook) => {
  const remote = await fileRemote({ config });
  if (hook !== null) await serverHook(remote, 'update', hook);
  const members = await pair(remote);
  expect(await capabilitiesAfterProbe(members.ann)).toMatchObject({
    namespace: 'refs/heads/oxenvcs/locks/',
    atomic: true,
  });
  expect((await capabilities(members.ann.ctx)).said).toMatch(/hideRefs|hook/);
  await probeRemote(members.ben.ctx);
  await wholeLife(members, remote.dir);
  expect(await refsOf(remote.dir)).toContain('refs/heads/oxenvcs/locks/main');
});

test('without a probe before, the first refusal leads to one, and the lock is taken where it may lie', async () => {
  const remote = await fileRemote({ config: { 'receive.hideRefs': 'refs/oxenvcs' } });
  const members = await pair(remote);
  await wholeLife(members, remote.dir);
});

test('where the team has its lock already, everybody’s is, also of those who could have another', async () => {
  const remote = await fileRemote({ config: { 'receive.hideRefs': 'refs/oxenvcs' } });
  const members = await pair(remote);
  await probeRemote(members.ann.ctx);
  await acquireLock(members.ann.ctx, { how: 'save' });
  await git(remote.dir, ['config', '--unset', 'receive.hideRefs']);
  expect(await capabilitiesAfterProbe(members.ben)).toMatchObject({ namespace: 'refs/heads/oxenvcs/locks/' });
  expect((await acquireLock(members.ben.ctx, { how: 'save' })).outcome).toBe('held');
});

test('a remote with neither branch nor room for other refs wants its first version first', async () => {
  const remote = await fileRemote({ config: { 'receive.hideRefs': 'refs/oxenvcs' } });
  const { ann } = await pair(remote);
  await git(remote.dir, ['update-ref', '-d', 'refs/heads/main']);
  expect((await probeRemote(ann.ctx)).outcome).toBe('publish-first');
  expect(await refsOf(remote.dir)).toEqual([]);
});

test('a remote that allows nothing is told as what it is, with the reason', async () => {
  const remote = await fileRemote();
  const { ann } = await pair(remote);
  await serverHook(remote, 'pre-receive', 'echo "read only today" >&2; exit 1');
  const probed = await probeRemote(ann.ctx);
  expect(probed).toMatchObject({ outcome: 'refused', failure: { code: 'REMOTE_REFUSED' } });
  expect(probed.outcome === 'refused' && probed.failure.message).toMatch(
    /a hook on the server forbids it: read only today/,
  );
  expect(await acquireLock(ann.ctx, { how: 'save' })).toMatchObject({ outcome: 'refused' });
});

test.each([
  ['a hook', async (remote: Remote) => await serverHook(remote, 'update', 'test "$1" != refs/heads/main')],
  [
    'branch protection',
    async (remote: Remote) =>
      await serverHook(
        remote,
        'pre-receive',
        'grep -q " refs/heads/main$" || exit 0; echo "GitLab: You are not allowed to push code to protected branches on this project." >&2; exit 1',
      ),
  ],
])(
  'a branch that may not be moved is found out without moving it, and what forbids it is named (%s)',
  async (setting, protect) => {
    const remote = await fileRemote();
    const { ann } = await pair(remote);
    const before = await remoteMain(remote.dir);
    await protect(remote);
    expect(await capabilitiesAfterProbe(ann)).toMatchObject({ branch: false, atomic: true });
    expect((await capabilities(ann.ctx)).said).toContain(setting);
    expect(await remoteMain(remote.dir)).toBe(before);
  },
);

test('a remote that is somebody’s work folder: the checked-out branch cannot be moved, and git’s setting is named', async () => {
  const remote = await fileRemote();
  const { ann } = await pair(remote);
  await git(remote.dir, ['config', 'core.bare', 'false']);
  expect(await capabilitiesAfterProbe(ann)).toMatchObject({ branch: false });
  expect((await capabilities(ann.ctx)).said).toContain('receive.denyCurrentBranch');
});

test('a server that says it is atomic and is not is found out before a save rests on it', async () => {
  const remote = await fileRemote();
  const { ann } = await pair(remote);
  // When it has come to the ref that cannot be made, it has already carried out the one before.
  await serverHook(
    remote,
    'update',
    `case "$1" in
       refs/*probe-*/x) (unset $(git rev-parse --local-env-vars); cat was > "\${1%/x}") ;;
       refs/*probe-*) echo "$3" > was ;;
     esac`,
  );
  expect(await capabilitiesAfterProbe(ann)).toMatchObject({ atomic: false, branch: null });
});

test('a probe that cannot reach the remote says so and remembers nothing', async () => {
  const remote = await httpRemote();
  const { ann } = await pair(remote);
  await remote.stop();
  expect(await probeRemote(ann.ctx)).toMatchObject({ outcome: 'unreachable', failure: { code: 'OFFLINE' } });
  expect((await capabilities(ann.ctx)).probedAt).toBeNull();
});

test('a probe never touches the work, the index or the branch here', async () => {
  const remote = await fileRemote();
  const { ann } = await pair(remote);
  const state = async () => await gitLine(ann.project.root, ['status', '--porcelain=v2', '--branch']);
  const before = await state();
  await probeRemote(ann.ctx);
  expect(await state()).toBe(before);
});
