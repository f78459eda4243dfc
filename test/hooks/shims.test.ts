import * as fs from 'node:fs/promises';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { commitSave } from '../../src/commit/commit.ts';
import { bringIndexUp } from '../../src/commit/user-index.ts';
import { git, gitLine } from '../../src/git/run.ts';
import { cachedStatus, lockStatus } from '../../src/lock/status.ts';
import { acquireLock, releaseLock } from '../../src/lock/lease.ts';
import { listQueue } from '../../src/queue/entries.ts';
import { installHooks } from '../../src/setup/hooks.ts';
import { run } from '../../src/system/process.ts';
import { byHand, setUp, song, status } from '../setup/helpers.ts';
import { oxenvcs } from '../support/cli.ts';
import { fileRemote, httpRemote } from '../support/remotes.ts';
import { saveOf } from '../support/project.ts';
import { sandbox, write } from '../support/sandbox.ts';
import { type Member, team } from '../support/team.ts';

const commit = ['commit', '--allow-empty', '-qm', 'by hand'];
const queued = async (root: string): Promise<string[]> =>
  await fs.readdir(path.join(root, '.oxenvcs/queue')).catch(() => []);
const versions = async (root: string) => Number(await gitLine(root, ['rev-list', '--count', 'HEAD']));

/** The lock as it was seen last; the first fields are for the hook, what follows may hold anything. */
function seen(over: Record<string, unknown> = {}): string {
  const hour = (hours: number) => new Date(Date.now() + hours * 3_600_000).toISOString();
  const first = { v: 1, heldByOther: true, name: 'Ann Lee', host: 'studio', since: '2026-11-24T08:30:00.000Z' };
  const rest = { expiresAt: hour(1), branch: 'main', ...over, seen: { name: 'not "her" \\', expiresAt: hour(-9) } };
  return `${JSON.stringify({ ...first, ...rest })}\n`;
}

/** A project with hooks whose program is gone: they have only the files to judge from. */
async function shellOnly(lock?: string): Promise<string> {
  const root = await song();
  await setUp(root);
  await withoutProgram(root);
  if (lock !== undefined) await write(root, { '.oxenvcs/state/lock.json': lock });
  return root;
}

async function withoutProgram(root: string): Promise<void> {
  const helper = path.join(root, '.git/hooks/oxenvcs.sh');
  await fs.writeFile(helper, (await fs.readFile(helper, 'utf8')).replace(/^program=.*$/m, "program='/gone/hook.js'"));
}

const which = async (program: string) =>
  (await run('sh', ['-c', 'command -v "$1"', 'sh', program], { cwd: '/', env: process.env })).stdout.toString().trim();

/** Two clones of one remote, Ann's with hooks. */
async function annAndBob(url: string): Promise<[ann: Member, bob: Member]> {
  const [ann, bob] = await team(url, ['Ann', 'Bob']);
  if (!ann || !bob) throw new Error('two were asked for');
  await installHooks(ann.project);
  return [ann, bob];
}

describe('post-commit', () => {
  it('queues a commit made by hand, so that the queue can read it, also with the bare PATH of a graphical program', async () => {
    const { project } = await setUp(await song({ 'Samples/Take.wav': 'RIFF' }));
    const { root } = project;
    const env = { PATH: '/usr/bin:/bin' };
    expect(await byHand(path.join(root, 'Samples'), commit, env)).toEqual({ code: 0, stdout: '', stderr: '' });
    const head = await gitLine(root, ['rev-parse', 'HEAD']);
    const { entries, damaged } = await listQueue(project);
    expect(damaged).toEqual([]);
    const createdAt = expect.any(String);
    expect(entries).toEqual([
      { v: 1, kind: 'publish', id: `0000000002-${head}`, commit: head, branch: 'main', seq: 2, createdAt },
    ]);
    expect(Math.abs(Date.parse(entries[0]?.createdAt ?? '') - Date.now())).toBeLessThan(60_000);
    expect(await queued(root)).toHaveLength(1);
  });

  it('does not queue another branch, a detached HEAD, or what oxenvcs commits itself', async () => {
    const root = await song();
    await setUp(root);
    await byHand(root, commit, { OXENVCS_SKIP: '1' });
    await byHand(root, commit, { OXENVCS_INTERNAL: '1' });
    await byHand(root, ['checkout', '-q', '-b', 'idea']);
    await byHand(root, commit);
    await byHand(root, ['checkout', '-q', '--detach']);
    await byHand(root, commit);
    expect(await versions(root)).toBe(5);
    expect(await queued(root)).toEqual([]);
  });

  it('follows the branch of the settings, however they are written, and branches in packed refs', async () => {
    const root = await song();
    await setUp(root, { branch: 'mix.2' });
    await write(root, { '.oxenvcs/config.json': '{"v":1,\r\n"branch" :\r\n "mix.2","daw":"live"}' });
    await byHand(root, ['pack-refs', '--all']);
    await byHand(root, commit);
    expect(await queued(root)).toHaveLength(1);
    await byHand(root, ['checkout', '-q', '-b', 'mixx2']);
    await byHand(root, commit);
    expect(await queued(root)).toHaveLength(1);
  });

  it('never fails, nor says anything, where no entry can be written or read: a queue that is a file, a branch with a quote', async () => {
    const root = await song();
    await setUp(root);
    await write(root, { '.oxenvcs/queue': 'a file' });
    expect(await byHand(root, commit)).toEqual({ code: 0, stdout: '', stderr: '' });
    const other = await song();
    await setUp(other, { branch: 'the"mix' });
    expect(await byHand(other, commit)).toMatchObject({ code: 0, stderr: '' });
    expect(await queued(other)).toEqual([]);
  });

  it('stays away from a linked worktree on a branch without a project', async () => {
    const root = await song();
    await git(path.dirname(root), ['init', '--quiet', '-b', 'main', root]);
    await git(root, ['commit', '--quiet', '--allow-empty', '-m', 'before']);
    await git(root, ['branch', 'bare']);
    await setUp(root);
    const other = path.join(path.dirname(root), 'other');
    await git(root, ['worktree', 'add', '--quiet', other, 'bare']);
    expect(await byHand(other, commit)).toMatchObject({ code: 0, stderr: '' });
    expect(await fs.readdir(other)).toEqual(['.git']);
  });
});

describe('pre-commit', () => {
  it('takes the lock where it is free, for no longer than half an hour where nobody would give it back; then it needs no Node', async () => {
    const [ann] = await annAndBob((await fileRemote()).url);
    const { root } = ann.project;
    expect(await byHand(root, commit)).toEqual({ code: 0, stdout: '', stderr: '' });
    const { status } = await lockStatus(ann.ctx);
    expect(status.mine).toBe(true);
    expect(Date.parse(status.lock?.expiresAt ?? '') - Date.now()).toBeLessThanOrEqual(30 * 60_000);
    await withoutProgram(root);
    expect(await byHand(root, commit)).toEqual({ code: 0, stdout: '', stderr: '' });
    // Published without a watcher it goes back at once, also after a push by git, which runs no hook afterwards.
    const isHeld = async () => (await lockStatus(ann.ctx)).status.held;
    expect(await oxenvcs(['push'], { cwd: root })).toMatchObject({ code: 0 });
    expect(await isHeld()).toBe(false);
    await acquireLock(ann.ctx, { how: 'save' });
    expect(await oxenvcs(['sync'], { cwd: root })).toMatchObject({ code: 0 });
    expect(await isHeld()).toBe(false);
  });

  it('stops a commit while somebody else holds the lock, and only that: who, where, since when, how to go on', async () => {
    const [ann, bob] = await annAndBob((await fileRemote()).url);
    const { root } = ann.project;
    await acquireLock(bob.ctx, { how: 'hand' });
    const { code, stderr } = await byHand(root, commit);
    expect(code).toBe(1);
    expect(stderr).toMatch(/^oxenvcs: Bob holds the lock of main, on \S+ since \d{4}-\d\d-\d\d \d\d:\d\d UTC\.\n/);
    expect(stderr).toContain('oxenvcs lock acquire --wait');
    expect(stderr).toContain('--no-verify');
    expect(stderr).not.toContain('could not be asked');
    expect(await byHand(root, [...commit, '--no-verify'])).toMatchObject({ code: 0, stderr: '' });
    expect(await byHand(root, commit, { OXENVCS_SKIP: '1' })).toMatchObject({ code: 0, stderr: '' });
    await git(root, commit);
    expect(await versions(root)).toBe(4);
    await byHand(root, ['checkout', '-q', '-b', 'idea']);
    expect(await byHand(root, commit)).toMatchObject({ code: 0, stderr: '' });
    await byHand(root, ['checkout', '-q', 'main']);
    // It was given back: what was seen last is not the last word.
    await releaseLock(bob.ctx);
    expect(await byHand(root, commit)).toMatchObject({ code: 0, stderr: '' });
    expect((await cachedStatus(ann.ctx)).mine).toBe(true);
  });

  it('only looks where the lock is not to be taken by itself', async () => {
    const [ann] = await annAndBob((await fileRemote()).url);
    const { root } = ann.project;
    await write(root, { '.oxenvcs/config.json': '{"v":1,"lock":{"auto":false}}' });
    expect(await byHand(root, commit)).toMatchObject({ code: 0, stderr: '' });
    expect((await lockStatus(ann.ctx)).status.held).toBe(false);
  });

  it('goes on without the newest versions of the team, but says so', async () => {
    const [ann, bob] = await annAndBob((await fileRemote()).url);
    await git(bob.project.root, commit);
    await git(bob.project.root, ['push', '--quiet']);
    const { code, stderr } = await byHand(ann.project.root, commit);
    expect({ code, stderr }).toEqual({ code: 0, stderr: expect.stringContaining('oxenvcs sync') });
  });

  it('answers from what was seen last where the remote does not, or is gone', async () => {
    const remote = await httpRemote();
    const [ann, bob] = await annAndBob(remote.url);
    const { root } = ann.project;
    // So only the hook's own patience can end it.
    await write(root, { '.oxenvcs/config.json': '{"v":1,"network":{"timeoutMs":600000}}' });
    remote.trouble = () => 'hang';
    expect(await byHand(root, commit)).toMatchObject({ code: 0, stderr: '' });
    remote.trouble = () => null;
    await acquireLock(bob.ctx, { how: 'hand' });
    await lockStatus(ann.ctx);
    await remote.stop();
    expect(await byHand(root, commit)).toMatchObject({
      code: 1,
      stderr: expect.stringMatching(/could not be asked now/),
    });
  });

  it('allows what is unclear: a lock that is our own, has run out, has no end, is of another branch, cannot be read', async () => {
    const root = await shellOnly();
    const cases = [
      seen({ heldByOther: false }),
      seen({ expiresAt: '2026-01-01T00:00:00.000Z' }),
      seen({ expiresAt: undefined }),
      seen({ expiresAt: 'soon' }),
      seen({ branch: 'other' }),
      seen({ branch: undefined }),
      '\0\0{"heldByOther',
      '',
    ];
    for (const text of cases) {
      await write(root, { '.oxenvcs/state/lock.json': text });
      expect({ text, ...(await byHand(root, commit)) }).toMatchObject({ text, code: 0, stdout: '' });
    }
  });

  it('says what it knows of a lock from a newer version, and that its program is gone', async () => {
    const over = { name: 'somebody', host: 'another computer', since: '', expiresAt: '9999-12-31T23:59:59Z' };
    const { code, stderr } = await byHand(await shellOnly(seen(over)), commit);
    expect(code).toBe(1);
    expect(stderr).toContain('somebody holds the lock of main, on another computer.\n');
    expect(stderr).toContain('oxenvcs hooks install');
  });

  it('lets nobody run a program through a name', async () => {
    const root = await shellOnly(seen({ name: '$(touch owned)`touch owned`%s\\n', host: '; touch owned' }));
    expect((await byHand(root, commit)).code).toBe(1);
    expect(await fs.readdir(root)).not.toContain('owned');
  });

  it('lets no commit take back what was saved while somebody held index.lock, though nobody has brought the index up yet, also with -a, of one file, with OXENVCS_SKIP', async () => {
    const { project } = await setUp(await song({ 'Song.als': 'one', 'notes.txt': 'one' }));
    const { root, gitDir } = project;
    const lock = path.join(gitDir, 'index.lock');
    for (const [n, how] of [[], ['-a'], ['notes.txt'], []].entries()) {
      await fs.writeFile(lock, '');
      await write(root, { 'Song.als': `save ${n}`, [`Take ${n}.wav`]: 'RIFF', 'notes.txt': `${n}` });
      await commitSave(project, await saveOf(project, { sessions: ['Song.als'], settled: [`Take ${n}.wav`] }));
      await fs.rm(lock);
      await byHand(root, ['add', 'notes.txt']);
      const done = await byHand(root, ['commit', '-qm', 'theirs', ...how], { OXENVCS_SKIP: '1' });
      expect({ how, ...done }).toEqual({ how, code: 0, stdout: '', stderr: '' });
      expect(await gitLine(root, ['diff', '--name-only', 'HEAD~', 'HEAD'])).toBe('notes.txt');
    }
    await bringIndexUp(project);
    expect(await status(root)).toEqual([]);
  });

  it('finds Node where it has moved', async () => {
    const root = await song();
    await setUp(root);
    const helper = path.join(root, '.git/hooks/oxenvcs.sh');
    await fs.writeFile(helper, (await fs.readFile(helper, 'utf8')).replace(/^node=.*$/m, "node='/gone/node'"));
    const home = await sandbox();
    await write(home, { 'bin/node': '#!/bin/sh\necho "volta $2" >&2\n' });
    await fs.chmod(path.join(home, 'bin/node'), 0o755);
    await fs.mkdir(path.join(home, 'tools'));
    for (const tool of ['git', 'sh', 'date', 'mkdir', 'mv', 'rm'])
      await fs.symlink(await which(tool), path.join(home, 'tools', tool));
    const env = { PATH: path.join(home, 'tools'), VOLTA_HOME: home };
    expect(await byHand(root, commit, env)).toMatchObject({ code: 0, stderr: 'volta lock\n' });
  });
});

describe('prepare-commit-msg', () => {
  it('gives a first line to start from, of what this commit holds, and only where there is none', async () => {
    const { project } = await setUp(await song({ 'Song.als': 'one', 'Other.als': 'one' }));
    const { root } = project;
    const editor = { GIT_EDITOR: 'true' };
    const subject = async () => await gitLine(root, ['log', '-1', '--format=%s']);
    await write(root, { 'Song.als': 'two', 'Other.als': 'two', 'Take.wav': 'RIFF' });
    await byHand(root, ['add', 'Take.wav']);
    // `commit FILE` has an index of its own: Take.wav is not in it.
    expect((await byHand(root, ['commit', '-q', 'Other.als'], editor)).code).toBe(0);
    expect(await subject()).toBe('Other.als saved');
    expect((await byHand(root, ['commit', '-qa'], editor)).code).toBe(0);
    expect(await subject()).toBe('Song.als saved; 1 new take');
    await write(root, { 'Song.als': 'three' });
    await byHand(root, ['commit', '-qam', 'mine']);
    await byHand(root, ['commit', '-q', '--amend', '--allow-empty'], editor);
    expect(await subject()).toBe('mine');
    await write(root, { 'Song.als': 'four', 'message.txt': '\nFrom a template\n' });
    await byHand(root, ['commit', '-qa', '-t', 'message.txt'], { GIT_EDITOR: 'sed -i.bak "1s/^/theirs/"' });
    expect(await subject()).toBe('theirs From a template');
  });
});

describe('pre-push', () => {
  it('stops a push to the published branch while somebody else holds the lock, and no other', async () => {
    const { url, dir } = await fileRemote();
    const [ann, bob] = await annAndBob(url);
    const { root } = ann.project;
    await acquireLock(bob.ctx, { how: 'hand' });
    await git(root, commit);
    const { code, stderr } = await byHand(root, ['push', '-q', 'origin', 'main']);
    expect(code).toBe(1);
    expect(stderr).toContain('Bob holds the lock of main');
    expect(stderr).toContain('git push --no-verify');
    expect((await byHand(root, ['push', '-q', url, 'HEAD:main'])).code).toBe(1);
    for (const refspec of ['main:idea', 'main:mainly', 'main:refs/tags/main', ':idea'])
      expect({ refspec, ...(await byHand(root, ['push', '-q', 'origin', refspec])) }).toMatchObject({
        refspec,
        code: 0,
      });
    const copy = path.join(await sandbox(), 'copy.git');
    await git(root, ['init', '--quiet', '--bare', copy]);
    expect(await byHand(root, ['push', '-q', copy, 'main'])).toMatchObject({ code: 0 });
    expect(await byHand(root, ['push', '-q', '--no-verify', 'origin', 'main'])).toMatchObject({ code: 0 });
    expect(await gitLine(dir, ['rev-parse', 'main'])).toBe(await gitLine(root, ['rev-parse', 'HEAD']));
  });

  it('takes the lock for a push by hand, and lets it through', async () => {
    const { url, dir } = await fileRemote();
    const [ann] = await annAndBob(url);
    await git(ann.project.root, commit);
    expect(await byHand(ann.project.root, ['push', '-q'])).toMatchObject({ code: 0, stderr: '' });
    expect(await gitLine(dir, ['rev-parse', 'main'])).toBe(await gitLine(ann.project.root, ['rev-parse', 'HEAD']));
    expect((await lockStatus(ann.ctx)).status.mine).toBe(true);
  });
});

it('post-rewrite: the queue follows an amend and a rebase; what they replaced is kept', async () => {
  const { project } = await setUp(await song());
  const { root } = project;
  const onBranch = async () =>
    (await gitLine(root, ['rev-list', '--reverse', 'main']))
      .split('\n')
      .map((one, i) => `${String(i + 1).padStart(10, '0')}-${one}`);
  const entries = async () => (await listQueue(project)).entries.map(({ id }) => id);
  for (const name of ['a', 'b', 'c']) {
    await write(root, { [`${name}.txt`]: name });
    await byHand(root, ['add', '.']);
    await byHand(root, ['commit', '-qm', name]);
  }
  const before = (await gitLine(root, ['rev-list', '-2', 'main'])).split('\n');
  await byHand(root, ['commit', '-q', '--amend', '-m', 'c, better']);
  expect(await entries()).toEqual(await onBranch());
  const reorder = { GIT_SEQUENCE_EDITOR: `sed -i.bak -e '1{h;d;}' -e '2G'` };
  expect(await byHand(root, ['rebase', '-q', '-i', 'HEAD~2'], reorder)).toMatchObject({ code: 0 });
  expect(await gitLine(root, ['log', '-2', '--format=%s'])).toBe('b\nc, better');
  expect(await entries()).toEqual(await onBranch());
  const kept = (await git(root, ['rev-list', '--glob=refs/oxenvcs/kept/*'])).split('\n');
  expect(kept).toEqual(expect.arrayContaining(before));
});
