import { expect, test } from 'vitest';
import { git } from '../../src/git/run.ts';
import { oxenvcs } from '../support/cli.ts';
import { projectWithRemote } from '../support/project.ts';
import { httpRemote } from '../support/remotes.ts';

const quick = { OXENVCS_NETWORK_INITIAL_BACKOFF_MS: '10', OXENVCS_NETWORK_MAX_BACKOFF_MS: '20' };

test('net check says whether the project’s own remote is there, net stats how it went; --no-retry asks exactly once', async () => {
  const { project } = await projectWithRemote();
  const remote = await httpRemote();
  await git(project.root, ['remote', 'set-url', 'origin', remote.url.replace('//', '//ann:secret@')]);
  const run = async (...args: string[]) => await oxenvcs(args, { cwd: project.root, env: quick });
  expect((await run('net', 'stats')).stdout).toBe('Nothing was tried with this remote yet.\n');

  const online = await run('net', 'check', '--json');
  expect(online.code).toBe(0);
  expect(online.json()).toEqual({
    state: 'online',
    remote: remote.url,
    latencyMs: expect.any(Number),
    checkedAt: expect.stringMatching(/^\d{4}-.*Z$/),
    reason: null,
  });

  remote.trouble = () => ({ status: 503 });
  const offline = await run('net', 'check');
  expect({ code: offline.code, lines: offline.stdout.split('\n').length }).toEqual({ code: 4, lines: 3 });
  expect(offline.stdout).toMatch(/^⚠ Offline: http:.*: The requested URL returned error: 503\.\n/);

  for (const args of [['push'], ['pull'], ['lock', 'acquire']]) {
    const before = remote.requests.length;
    const once = await run(...args, '--no-retry');
    expect({ args, code: once.code, asked: remote.requests.length - before }).toEqual({ args, code: 4, asked: 1 });
    expect(once.stdout).not.toContain('Retrying');
  }

  const answers = [503, 503];
  remote.trouble = () => (answers.length > 0 ? { status: answers.shift() ?? 0 } : null);
  expect((await run('push', '--json')).json()).toMatchObject({ outcome: 'pushed', attempts: 3 });
  // Nothing to push: nothing was tried.
  expect((await run('push', '--json')).json()).toMatchObject({ outcome: 'up-to-date' });
  expect((await run('net', 'stats', '--json')).json()).toMatchObject({
    remote: remote.url,
    tries: 8,
    operations: [
      { name: 'check', tries: 2, failed: 1 },
      { name: 'lock', tries: 1, failed: 1, medianMs: null },
      { name: 'pull', tries: 1, failed: 1 },
      { name: 'push', tries: 4, failed: 3 },
    ],
    retried: [{ operation: 'push', code: 'OFFLINE', count: 2, reason: 'The requested URL returned error: 503' }],
    lastFailure: { operation: 'push' },
    nextAttemptAt: null,
  });
  const { stdout } = await run('net', 'stats');
  expect(stdout).toMatch(/push {2}1 of 4 answered, usually in \d+ ms/);
  expect(stdout).toMatch(/Tried again:\n {2}push {2}2 times, last .*: The requested URL returned error: 503\n/);
  expect(stdout + offline.stdout).not.toContain('secret');
});
