import * as fs from 'node:fs/promises';
import path from 'node:path';
import { expect, test } from 'vitest';
import { git, gitLine } from '../../src/git/run.ts';
import { conflictsOf } from '../../src/sync/conflicts.ts';
import { publishQueue } from '../../src/sync/publish.ts';
import { systemClock } from '../../src/system/clock.ts';
import { band, type Musician } from '../support/band.ts';
import { background, oxenvcs } from '../support/cli.ts';
import { fileRemote, serverHook } from '../support/remotes.ts';
import { sandbox, write } from '../support/sandbox.ts';

const quick = {
  OXENVCS_WATCH_QUIET_SECONDS: '0.3',
  OXENVCS_WATCH_SCAN_SECONDS: '1',
  OXENVCS_NETWORK_INITIAL_BACKOFF_MS: '100',
  OXENVCS_NETWORK_MAX_BACKOFF_MS: '500',
};

/** Ann's project is published; Ben has a plain clone of it. */
async function annAndBen() {
  const remote = await fileRemote();
  const dir = await sandbox();
  const ann = path.join(dir, 'ann');
  await write(ann, { 'Song.als': 'one' });
  const run = async (args: string[]) => await oxenvcs(args, { cwd: ann, env: quick });
  await oxenvcs(['init', ann, '--remote', remote.url, '--no-hooks'], { cwd: dir });
  expect((await run(['push'])).code).toBe(0);
  const ben = path.join(dir, 'ben');
  await git(dir, ['clone', '--quiet', remote.url, ben]);
  const benPublishes = async (text: string) => {
    await write(ben, { 'Song.als': text });
    await git(ben, ['commit', '--quiet', '--all', '-m', text]);
    await git(ben, ['push', '--quiet', 'origin', 'main']);
    return await gitLine(ben, ['rev-parse', 'HEAD']);
  };
  const annCommits = async (text: string) => {
    await write(ann, { 'Song.als': text });
    await git(ann, ['commit', '--quiet', '--all', '-m', text]);
    return await gitLine(ann, ['rev-parse', 'HEAD']);
  };
  const refs = async () =>
    (await git(remote.dir, ['for-each-ref', '--format=%(refname) %(objectname)', 'refs/heads'])).trim().split('\n');
  return { remote, ann, ben, run, benPublishes, annCommits, refs };
}

test('work that the team went on without is kept on a rescue branch of the remote, and the team’s branch is left alone', async () => {
  const { ann, run, benPublishes, annCommits, refs } = await annAndBen();
  const theirs = await benPublishes('Ben’s');
  const ours = await annCommits('Ann’s');
  const pushed = await run(['push', '--json']);
  expect(pushed.code).toBe(5);
  expect(pushed.json()).toMatchObject({
    error: { code: 'CONFLICT', rescue: expect.stringMatching(/^oxenvcs\/rescue\/ann\/\d{8}T\d{6}Z$/) },
  });
  const [main, rescue, ...more] = await refs();
  expect(main).toBe(`refs/heads/main ${theirs}`);
  expect(rescue).toMatch(new RegExp(`^refs/heads/oxenvcs/rescue/ann/\\d{8}T\\d{6}Z ${ours}$`));
  expect(more).toEqual([]);
  // Here all is as it was, and nothing waits: it is on the remote.
  expect(await fs.readFile(path.join(ann, 'Song.als'), 'utf8')).toBe('Ann’s');
  expect(await gitLine(ann, ['rev-parse', 'HEAD'])).toBe(ours);
  expect((await run(['queue', 'list', '--json'])).json()).toMatchObject({ entries: [] });
  expect((await run(['status', '--json'])).json()).toMatchObject({ unpublished: 0, problems: [{ code: 'CONFLICT' }] });
  expect((await run(['log', '--json'])).json()).toMatchObject({
    versions: [{ message: 'Ann’s', published: true }, {}],
  });
});

test('later saves go to the same rescue branch, until the two are joined', async () => {
  const { ann, run, benPublishes, annCommits, refs } = await annAndBen();
  await benPublishes('Ben’s');
  await annCommits('Ann’s');
  await run(['push']);
  const second = await annCommits('Ann’s second');
  expect((await run(['push'])).code).toBe(5);
  expect(await refs()).toHaveLength(2);
  expect((await refs())[1]).toContain(second);
  await git(ann, ['fetch', '--quiet', 'origin']);
  await git(ann, ['merge', '--quiet', '-s', 'ours', '-m', 'Joined', 'origin/main']);
  expect((await run(['push'])).code).toBe(0);
  expect((await refs())[0]).toBe(`refs/heads/main ${await gitLine(ann, ['rev-parse', 'HEAD'])}`);
  expect((await run(['status', '--json'])).json()).toMatchObject({ problems: [] });
});

test('a watcher whose lock was taken by somebody else keeps its saves on the rescue branch, and publishes them when it is free again', async () => {
  const { ann, ben, refs } = await annAndBen();
  // The heartbeat notices the break; a lease as short as that would run out on a busy machine.
  const env = { ...quick, OXENVCS_LOCK_HEARTBEAT_MINUTES: String(1 / 60), OXENVCS_PULL_POLL_SECONDS: '1' };
  const watching = background(['watch', ann], { cwd: ann, env });
  await watching.waitForLine(/Watching/);
  await write(ann, { 'Song.als': 'with the lock' });
  await watching.waitForLine(/1 version published/);
  const other = async (args: string[]) => await oxenvcs(args, { cwd: ben, env: quick });
  await git(ben, ['pull', '--quiet', '--ff-only']);
  await git(ben, ['config', 'user.name', 'Ben']);
  expect((await other(['lock', 'break', '--force', '--reason', 'deadline'])).code).toBe(0);
  expect((await other(['lock', 'acquire'])).code).toBe(0);
  await watching.waitForLine(/taken from you by Ben: deadline/);
  await write(ann, { 'Song.als': 'after the lock was lost' });
  await watching.waitForLine(/Ben holds the lock .* taken from you, .* kept on the remote as oxenvcs\/rescue\//);
  const [main, rescue] = await refs();
  const tip = await gitLine(ann, ['rev-parse', 'HEAD']);
  expect(main).not.toContain(tip);
  expect(rescue).toContain(tip);
  // Nobody has to decide anything: it waits for the lock, and is told so.
  const status = await oxenvcs(['status', '--json'], { cwd: ann, env });
  expect(status.json()).toMatchObject({ unpublished: 1, queue: { pending: 1 }, problems: [{ code: 'LOCK_LOST' }] });
  expect((await other(['lock', 'release'])).code).toBe(0);
  await expect.poll(refs, { timeout: 30_000 }).toEqual([`refs/heads/main ${tip}`]);
});

test('one push publishes what was made under a lock that was broken, and says who broke it and why', async () => {
  const { ann, ben, run, annCommits, refs } = await annAndBen();
  expect((await run(['lock', 'acquire'])).code).toBe(0);
  const tip = await annCommits('under the lock');
  await git(ben, ['config', 'user.name', 'Ben']);
  const broken = await oxenvcs(['lock', 'break', '--force', '--reason', 'deadline'], { cwd: ben, env: quick });
  expect(broken.code).toBe(0);
  const pushed = await run(['push']);
  expect(pushed.code).toBe(0);
  expect(pushed.stderr).toMatch(/taken from you by Ben: deadline/);
  expect((await refs())[0]).toBe(`refs/heads/main ${tip}`);
  expect(await gitLine(ann, ['rev-parse', 'HEAD'])).toBe(tip);
});

test('a push by hand takes the lock beside a watcher, too', async () => {
  const { ann, run, refs } = await annAndBen();
  const watching = background(['watch', ann], { cwd: ann, env: { ...quick, OXENVCS_PUSH_AUTO: 'false' } });
  await watching.waitForLine(/Watching/);
  // No file changes, so the watcher has no reason to take it.
  await git(ann, ['commit', '--quiet', '--allow-empty', '-m', 'by hand']);
  const tip = await gitLine(ann, ['rev-parse', 'HEAD']);
  expect(await run(['push'])).toMatchObject({ code: 0, stderr: '' });
  expect((await refs())[0]).toBe(`refs/heads/main ${tip}`);
});

test('both sides are told: the others hear of the rescue branch, and of what the team published', async () => {
  const { ben, run, benPublishes, annCommits } = await annAndBen();
  await oxenvcs(['init', '--no-hooks'], { cwd: ben, env: quick });
  await git(ben, ['push', '--quiet', 'origin', 'main']);
  // Ben publishes by hand, past the lock.
  const env = { ...quick, OXENVCS_PULL_POLL_SECONDS: '0.5', OXENVCS_LOCK_AUTO: 'false' };
  const watching = background(['watch', ben], { cwd: ben, env });
  await watching.waitForLine(/Watching/);
  await benPublishes('Ben’s');
  await annCommits('Ann’s');
  expect((await run(['push'])).code).toBe(5);
  await watching.waitForLine(
    /Ann’s versions could not go .* kept on the remote as oxenvcs\/rescue\/ann\/.*conflict list/,
  );
  expect(watching.lines.join('\n')).not.toContain('published a new version');
});

/** Ann and Ben have both worked on the session; Ben was first. */
async function parted() {
  const { ann, ben, remote } = await band('ann', 'ben');
  const made = [await ann.save({ 'Song.song': 'Ann’s' })];
  await ben.save({ 'Song.song': 'Ben’s' });
  await ben.push();
  const branches = async () =>
    (await git(remote.dir, ['for-each-ref', '--format=%(objectname)', 'refs/heads/oxenvcs']))
      .split('\n')
      .filter(Boolean);
  return { ann, ben, remote, made, branches };
}

test.each(['amend', 'rebase', 'reset'] as const)(
  '%s in the middle of a rescue loses nothing of what was rescued',
  async (how) => {
    const { ann, remote, made, branches } = await parted();
    await ann.push();
    expect(await branches()).toEqual(made);
    if (how === 'amend') await git(ann.root, ['commit', '--quiet', '--amend', '-m', 'said otherwise']);
    if (how === 'rebase') await git(ann.root, ['rebase', '--quiet', '-X', 'theirs', 'origin/main']);
    if (how === 'reset') await git(ann.root, ['reset', '--quiet', '--hard', 'origin/main']);
    if (how === 'reset') await ann.save({ 'Song.song': 'on Ben’s' });
    const now = await ann.head();
    const pushed = await ann.push();
    // What builds on the team's goes there; else it is a rescue of its own. What was rescued before stays.
    expect(pushed?.rescue === null).toBe(how !== 'amend');
    expect(await branches()).toEqual(how === 'amend' ? [...made, now] : made);
    if (how !== 'amend') expect(await gitLine(remote.dir, ['rev-parse', 'main'])).toBe(now);
    // After a rebase all of it is on the team's branch.
    expect((await branchesInConflict(ann)).includes(made[0] ?? '')).toBe(how !== 'rebase');
  },
);

const branchesInConflict = async ({ project }: Musician): Promise<string[]> =>
  (await conflictsOf(project)).map(({ mine, theirs }) => [mine.commit, theirs.commit]).flat();

test.each(['before we look', 'while we push'])(
  'a rescue branch that the same person begins in that very second on another computer stays as it is (%s)',
  async (when) => {
    const { ann, remote, made, branches } = await parted();
    const ref = 'refs/heads/oxenvcs/rescue/ann/20261124T100000Z';
    const other = await gitLine(remote.dir, ['commit-tree', '-m', 'elsewhere', 'main^{tree}']);
    // A server's git inside a hook works on objects that are not accepted yet: this steps out of it.
    const outside = 'unset GIT_QUARANTINE_PATH GIT_OBJECT_DIRECTORY GIT_ALTERNATE_OBJECT_DIRECTORIES';
    const begin = `git rev-parse --quiet --verify ${ref} || git update-ref ${ref} ${other}`;
    if (when === 'before we look') await git(remote.dir, ['update-ref', ref, other]);
    else await serverHook(remote, 'pre-receive', `grep -q ${ref} || exit 0; ${outside}; ${begin}`);
    const clock = { ...systemClock, now: () => Date.parse('2026-11-24T10:00:00Z') };
    const ports = { clock, signal: new AbortController().signal, patienceMs: 0, urgency: 'by-hand' } as const;
    let drained = await publishQueue(ann.project, ports);
    if (when === 'while we push') {
      expect(drained).toMatchObject([{ outcome: 'not-yet' }]);
      drained = await publishQueue(ann.project, ports);
    }
    expect(drained.at(-1)).toMatchObject({ published: { rescue: 'oxenvcs/rescue/ann/20261124T100001Z' } });
    expect(await branches()).toEqual([other, ...made]);
    expect(await publishQueue(ann.project, ports)).toEqual([]);
  },
);

test('a rescue branch that somebody has taken off the remote is made again with the next save', async () => {
  const { ann, remote, made, branches } = await parted();
  await ann.push();
  const ref = await gitLine(remote.dir, ['for-each-ref', '--format=%(refname)', 'refs/heads/oxenvcs']);
  const second = await ann.save({ 'Song.song': 'Ann’s again' });
  // Between our look and our push: as if it had not been seen.
  await serverHook(remote, 'pre-receive', `unset GIT_QUARANTINE_PATH; rm -f "$0"; git update-ref -d ${ref}`);
  await expect(ann.push()).rejects.toMatchObject({ row: 'remote-moved' });
  expect(await branches()).toEqual([]);
  await ann.push();
  expect(await branches()).toEqual([second]);
  expect(await gitLine(remote.dir, ['rev-parse', `${second}^`])).toBe(made[0]);
});
