import * as fs from 'node:fs/promises';
import path from 'node:path';
import { expect, test } from 'vitest';
import { git, gitLine } from '../../src/git/run.ts';
import { openProject } from '../../src/project/project.ts';
import { enqueue, noteIntent } from '../../src/queue/entries.ts';
import { oxenvcs } from '../support/cli.ts';
import { forget, ourRefs, versions } from '../support/queueing.ts';
import { fileRemote, serverHook } from '../support/remotes.ts';
import { sandbox, write } from '../support/sandbox.ts';

/** A project whose first version is published, and the commands in it. */
async function song() {
  const remote = await fileRemote();
  const root = path.join(await sandbox(), 'song');
  await write(root, { 'Song.als': 'one' });
  const env = { OXENVCS_NETWORK_MAX_RETRIES: '0' };
  const run = async (...args: string[]) => await oxenvcs(args, { cwd: root, env });
  await oxenvcs(['init', root, '--remote', remote.url, '--no-hooks'], { cwd: path.dirname(root) });
  expect((await run('push')).code).toBe(0);
  const list = async () =>
    (await run('queue', 'list', '--json')).json() as {
      entries: { id: string; commit: string; state: string; lastError: { code: string } | null }[];
      dropped: { id: string; commit: string }[];
    };
  const onRemote = async () => await gitLine(remote.dir, ['rev-parse', 'main']);
  return { remote, root, run, list, onRemote };
}

test('a refused push is halted and told by status with the way out; `queue retry` sends it once it is allowed', async () => {
  const { remote, root, run, list, onRemote } = await song();
  const [made = ''] = await versions({ root }, 1);
  await serverHook(remote, 'update', 'case $1 in refs/heads/*) echo "error: no space for you" >&2; exit 1;; esac');
  expect((await run('queue', 'sync')).code).toBe(6);
  const { entries } = await list();
  expect(entries).toMatchObject([{ commit: made, state: 'halted', lastError: { code: 'REMOTE_REFUSED' } }]);
  const subject = await gitLine(root, ['log', '-1', '--format=%s', made]);
  expect((await run('queue', 'list')).stdout.split('\n')).toEqual([
    expect.stringMatching(new RegExp(`^${made.slice(0, 8)}  ${subject}  \\(20.*\\) is not published$`)),
    expect.stringMatching(/^⚠ .*no space for you.* When that is mended: oxenvcs queue retry$/),
    '',
  ]);
  const status = (await run('status', '--json')).json();
  expect(status).toMatchObject({
    queue: { pending: 0, failed: 0, halted: 1 },
    unpublished: 1,
    problems: [{ code: 'REMOTE_REFUSED', hint: expect.stringContaining('oxenvcs queue retry') }],
  });
  await serverHook(remote, 'update', 'exit 0');
  const retried = await run('queue', 'retry', made.slice(0, 8), '--json');
  expect(retried.json()).toMatchObject({ outcome: 'pushed', commit: made, branch: 'main', attempts: 1 });
  expect(await onRemote()).toBe(made);
  expect((await run('status', '--json')).json()).toMatchObject({ queue: { halted: 0 }, problems: [] });
});

test('a remote that was made anew gets all of it again with a push by hand; while it is away that is said, and is no failure', async () => {
  const { remote, root, run, onRemote } = await song();
  // Neither goes out with a push.
  const project = await openProject(root);
  const [commit, createdAt] = [await gitLine(root, ['rev-parse', 'HEAD']), new Date().toISOString()];
  await noteIntent(project, { commit, branch: 'main', createdAt, base: null, paths: [] });
  const idea = await gitLine(root, ['commit-tree', '-m', 'idea', `${commit}^{tree}`]);
  await enqueue(project, idea, 'idea', createdAt);
  await fs.rm(remote.dir, { recursive: true });
  const away = await run('push');
  expect(away).toMatchObject({
    code: 0,
    stdout: expect.stringMatching(/^Everything is published\.\n.*cannot be reached/),
  });
  await git(path.dirname(root), ['init', '--quiet', '--bare', remote.dir]);
  expect((await run('push', '--verify', '--json')).json()).toMatchObject({
    outcome: 'pushed',
    verified: { complete: true },
  });
  expect(await onRemote()).toBe(await gitLine(root, ['rev-parse', 'HEAD']));
});

test('what is dropped does not come back by itself, is not lost, and is taken along by what builds on it', async () => {
  const { root, run, list, onRemote } = await song();
  const before = await onRemote();
  const [first = ''] = await versions({ root }, 1);
  const { entries } = await list();
  const id = entries[0]?.id ?? '';
  const careless = await run('queue', 'drop', id);
  expect(careless.code).toBe(2);
  expect(careless.stderr).toContain('--force');
  const dropped = await run('queue', 'drop', id, '--force');
  expect(dropped.stdout).toContain('Nothing is deleted');
  expect(dropped.stdout).toContain(`oxenvcs queue retry ${first.slice(0, 8)}`);
  await git(root, ['clean', '-fdxq']);
  expect(await list()).toMatchObject({ entries: [], dropped: [{ id, commit: first }] });
  expect((await run('push', '--json')).json()).toMatchObject({ outcome: 'up-to-date' });
  expect(await onRemote()).toBe(before);
  expect((await run('push')).stdout).toBe('Nothing waits; 1 version taken out of the queue is not published.\n');
  expect((await run('status', '--json')).json()).toMatchObject({ queue: { pending: 0 }, unpublished: 1 });
  // Rewritten away, it is kept like anything else that was saved.
  await git(root, ['reset', '--quiet', '--hard', 'HEAD~1']);
  await run('push');
  await forget({ root });
  expect(await gitLine(root, ['cat-file', '-t', first])).toBe('commit');
  expect(await ourRefs({ root }, 'dropped')).toEqual([]);

  await git(root, ['reset', '--quiet', '--hard', first]);
  await run('queue', 'drop', first.slice(0, 8), '--force');
  const [second = ''] = await versions({ root }, 1);
  expect((await run('push')).code).toBe(0);
  expect(await onRemote()).toBe(second);
  expect(await gitLine(root, ['rev-list', '--count', `${before}..origin/main`])).toBe('2');
  expect(await ourRefs({ root }, 'dropped')).toEqual([]);
});

test('the newest is dropped: what came before it is published; `queue retry` puts it back; an entry that is not there is named', async () => {
  const { root, run, list, onRemote } = await song();
  const [first = '', second = ''] = await versions({ root }, 2);
  expect((await run('queue', 'drop', second.slice(0, 8), '--force')).code).toBe(0);
  expect((await run('queue', 'sync', '--json')).json()).toMatchObject({ outcome: 'pushed', commit: first });
  expect(await onRemote()).toBe(first);
  expect((await run('queue', 'retry', second.slice(0, 8), '--json')).json()).toMatchObject({ commit: second });
  expect(await onRemote()).toBe(second);
  expect(await list()).toEqual({ entries: [], dropped: [] });
  for (const args of [
    ['drop', '0000000001-x', '--force'],
    ['retry', 'beef'],
  ]) {
    const refused = await run('queue', ...args, '--json');
    expect(refused.code).toBe(2);
    expect(refused.json()).toMatchObject({ error: { code: 'USAGE', message: expect.stringContaining(args[1] ?? '') } });
  }
});
