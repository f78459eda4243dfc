import * as fs from 'node:fs/promises';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { git, gitLine } from '../../src/git/run.ts';
import { listQueue } from '../../src/queue/entries.ts';
import { byHand, setUp, song } from '../setup/helpers.ts';
import { write } from '../support/sandbox.ts';

const commit = ['commit', '--allow-empty', '-qm', 'by hand'];
const queued = async (root: string): Promise<string[]> =>
  await fs.readdir(path.join(root, '.oxenvcs/queue')).catch(() => []);

/** The lock as it was seen last; the first fields are for the hook, what follows may hold anything. */
function seen(over: Record<string, unknown> = {}): string {
  const hour = (hours: number) => new Date(Date.now() + hours * 3_600_000).toISOString();
  const first = { v: 1, heldByOther: true, name: 'Ann Lee', host: 'studio', since: '2026-11-24T08:30:00.000Z' };
  const rest = { expiresAt: hour(1), ...over, seen: { name: 'not "her" \\', expiresAt: hour(-9), host: 'x' } };
  return `${JSON.stringify({ ...first, ...rest })}\n`;
}

async function locked(over: Record<string, unknown> = {}): Promise<string> {
  const root = await song();
  await setUp(root);
  await write(root, { '.oxenvcs/state/lock.json': seen(over) });
  return root;
}

describe('post-commit', () => {
  it('queues a commit made by hand, so that the queue can read it', async () => {
    const { project } = await setUp(await song());
    const { root } = project;
    expect(await byHand(root, commit)).toEqual({ code: 0, stdout: '', stderr: '' });
    const head = await gitLine(root, ['rev-parse', 'HEAD']);
    const { entries, damaged } = await listQueue(project);
    expect(damaged).toEqual([]);
    expect(entries).toEqual([
      {
        v: 1,
        kind: 'publish',
        id: `0000000002-${head}`,
        commit: head,
        branch: 'main',
        seq: 2,
        createdAt: expect.any(String),
      },
    ]);
    expect(Math.abs(Date.parse(entries[0]?.createdAt ?? '') - Date.now())).toBeLessThan(60_000);
    expect(await queued(root)).toHaveLength(1);
  });

  it('queues from a folder below, and with the bare PATH of a graphical program', async () => {
    const root = await song({ 'Samples/Take.wav': 'RIFF' });
    await setUp(root);
    const { code } = await byHand(path.join(root, 'Samples'), commit, { PATH: '/usr/bin:/bin' });
    expect({ code, queued: (await queued(root)).length }).toEqual({ code: 0, queued: 1 });
  });

  it('does not queue another branch, a detached HEAD, or what oxenvcs commits itself', async () => {
    const root = await song();
    await setUp(root);
    await byHand(root, commit, { OXENVCS_SKIP: '1' });
    await git(root, commit);
    await byHand(root, ['checkout', '-q', '-b', 'main/2']).then(
      async () => await byHand(root, ['checkout', '-q', '-b', 'idea']),
    );
    await byHand(root, commit);
    await byHand(root, ['checkout', '-q', '--detach']);
    await byHand(root, commit);
    expect(await queued(root)).toEqual([]);
  });

  it('follows the branch of the settings, however they are written', async () => {
    const root = await song();
    await setUp(root, { branch: 'mix.2' });
    await write(root, { '.oxenvcs/config.json': '{"v":1,"branch" : "mix.2","daw":"live"}' });
    await byHand(root, commit);
    expect(await queued(root)).toHaveLength(1);
    await byHand(root, ['checkout', '-q', '-b', 'mixx2']);
    await byHand(root, commit);
    expect(await queued(root)).toHaveLength(1);
  });

  it('writes no entry that cannot be read: a branch with a quote in its name', async () => {
    const root = await song();
    await setUp(root, { branch: 'the"mix' });
    expect(await byHand(root, commit)).toMatchObject({ code: 0, stderr: '' });
    expect(await queued(root)).toEqual([]);
  });

  it('never fails, nor says anything, where the queue cannot be written', async () => {
    const root = await song();
    await setUp(root);
    await write(root, { '.oxenvcs/queue': 'a file' });
    expect(await byHand(root, commit)).toEqual({ code: 0, stdout: '', stderr: '' });
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
  it('stops a commit while somebody else holds the lock: who, where, since when, and how to go on', async () => {
    const root = await locked();
    const { code, stderr } = await byHand(root, commit);
    expect(code).toBe(1);
    expect(stderr).toContain('oxenvcs: Ann Lee holds the lock of main, on studio since 2026-11-24 08:30 UTC.\n');
    expect(stderr).toContain('oxenvcs lock acquire --wait');
    expect(stderr).toContain('--no-verify');
    expect(await gitLine(root, ['rev-list', '--count', 'HEAD'])).toBe('1');
  });

  it('lets the user past with --no-verify and OXENVCS_SKIP, and oxenvcs itself', async () => {
    const root = await locked();
    expect(await byHand(root, [...commit, '--no-verify'])).toMatchObject({ code: 0 });
    expect(await byHand(root, commit, { OXENVCS_SKIP: '1' })).toMatchObject({ code: 0, stderr: '' });
    await git(root, commit);
    expect(await gitLine(root, ['rev-list', '--count', 'HEAD'])).toBe('4');
  });

  it('does not stop work on other branches', async () => {
    const root = await locked();
    await byHand(root, ['checkout', '-q', '-b', 'idea']);
    expect(await byHand(root, commit)).toMatchObject({ code: 0, stderr: '' });
  });

  it.each([
    ['is our own', seen({ heldByOther: false })],
    ['has run out', seen({ expiresAt: '2026-01-01T00:00:00.000Z' })],
    ['has no end', seen({ expiresAt: undefined })],
    ['has an end that is no time', seen({ expiresAt: 'soon' })],
    ['cannot be read', '\0\0{"heldByOther'],
    ['is empty', ''],
  ])('allows what is unclear: the lock that was seen last %s', async (_, text) => {
    const root = await locked();
    await write(root, { '.oxenvcs/state/lock.json': text });
    expect(await byHand(root, commit)).toMatchObject({ code: 0, stdout: '' });
  });

  it('says what it knows of a lock from a newer version', async () => {
    const root = await locked({
      name: 'somebody',
      host: 'another computer',
      since: '',
      expiresAt: '9999-12-31T23:59:59Z',
    });
    expect((await byHand(root, commit)).stderr).toContain('somebody holds the lock of main, on another computer.\n');
  });

  it('lets nobody run a program through a name', async () => {
    const root = await locked({ name: '$(touch owned)`touch owned`%s\\n', host: '; touch owned' });
    expect((await byHand(root, commit)).code).toBe(1);
    expect(await fs.readdir(root)).not.toContain('owned');
  });
});
