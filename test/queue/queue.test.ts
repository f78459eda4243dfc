import { randomUUID } from 'node:crypto';
import * as fs from 'node:fs/promises';
import path from 'node:path';
import { expect, test } from 'vitest';
import { git, gitLine } from '../../src/git/run.ts';
import { Failure } from '../../src/model/failures.ts';
import { openProject, type Project } from '../../src/project/project.ts';
import { showQueue, readAttempt } from '../../src/queue/attempts.ts';
import { drain } from '../../src/queue/drain.ts';
import { enqueue, listQueue } from '../../src/queue/entries.ts';
import { rebuildQueue } from '../../src/queue/rebuild.ts';
import { systemClock } from '../../src/system/clock.ts';
import { projectWithRemote } from '../support/project.ts';
import { write } from '../support/sandbox.ts';

const at = '2026-01-01T00:00:00.000Z';
const signal = new AbortController().signal;

async function versions(project: Project, count: number): Promise<string[]> {
  const made: string[] = [];
  for (let i = 0; i < count; i++) {
    // The same message in the same second would be the same commit.
    await git(project.root, ['commit', '--quiet', '--allow-empty', '-m', `version ${randomUUID()}`]);
    made.push(await gitLine(project.root, ['rev-parse', 'HEAD']));
  }
  return made;
}

async function publishedUpToNow(project: Project): Promise<void> {
  await git(project.root, ['update-ref', 'refs/remotes/origin/main', 'HEAD']);
}

const commits = async (project: Project) => (await listQueue(project)).entries.map(({ commit }) => commit);
const queueFiles = async (project: Project) => await fs.readdir(path.join(project.root, '.oxenvcs', 'queue'));

test('entries are listed in the order of history, whatever order they were queued in', async () => {
  const { project } = await projectWithRemote();
  const made = await versions(project, 12);
  for (const commit of made.toReversed()) await enqueue(project, commit, 'main', at);
  expect(await commits(project)).toEqual(made);
});

test('queueing twice is the same as once', async () => {
  const { project } = await projectWithRemote();
  await publishedUpToNow(project);
  const [commit = ''] = await versions(project, 1);
  await enqueue(project, commit, 'main', at);
  await enqueue(project, commit, 'main', at);
  expect(await queueFiles(project)).toHaveLength(1);
});

test('a queue that was cleaned away comes back from Git, in order', async () => {
  const { project } = await projectWithRemote();
  await publishedUpToNow(project);
  const made = await versions(project, 3);
  for (const commit of made) await enqueue(project, commit, 'main', at);
  await git(project.root, ['clean', '-fdxq']);
  expect((await rebuildQueue(project, at)).entries.map(({ commit }) => commit)).toEqual(made);
  expect(await queueFiles(project)).toHaveLength(3);
});

test('a damaged entry is set aside and reported, and its commit is queued again', async () => {
  const { project } = await projectWithRemote();
  await publishedUpToNow(project);
  const made = await versions(project, 2);
  for (const commit of made) await enqueue(project, commit, 'main', at);
  const [first = ''] = await queueFiles(project);
  await fs.writeFile(path.join(project.root, '.oxenvcs', 'queue', first), '{"v":1,"kind":"pub');
  const { entries, damaged } = await rebuildQueue(project, at);
  expect(entries.map(({ commit }) => commit)).toEqual(made);
  expect(damaged).toHaveLength(1);
  expect(await fs.readFile(damaged[0]?.file ?? '', 'utf8')).toBe('{"v":1,"kind":"pub');
});

test('a commit that the user amended or reset away is kept, also through gc, while its entry ends', async () => {
  const { project } = await projectWithRemote();
  await publishedUpToNow(project);
  const [lost = ''] = await versions(project, 1);
  await enqueue(project, lost, 'main', at);
  await git(project.root, ['reset', '--quiet', '--hard', 'HEAD~1']);
  const [kept = ''] = await versions(project, 1);
  const { entries } = await rebuildQueue(project, at);
  expect(entries.map(({ commit }) => commit)).toEqual([kept]);
  await git(project.root, ['update-ref', '-d', 'ORIG_HEAD']);
  await git(project.root, ['reflog', 'expire', '--expire=now', '--all']);
  await git(project.root, ['gc', '--quiet', '--prune=now']);
  expect(await gitLine(project.root, ['cat-file', '-t', lost])).toBe('commit');
});

test('a queued commit survives the user’s gc before anything has looked at the queue', async () => {
  const { project } = await projectWithRemote();
  await publishedUpToNow(project);
  const [commit = ''] = await versions(project, 1);
  await enqueue(project, commit, 'main', at);
  await git(project.root, ['reset', '--quiet', '--hard', 'HEAD~1']);
  await git(project.root, ['update-ref', '-d', 'ORIG_HEAD']);
  await git(project.root, ['reflog', 'expire', '--expire=now', '--all']);
  await git(project.root, ['gc', '--quiet', '--prune=now']);
  expect(await gitLine(project.root, ['cat-file', '-t', commit])).toBe('commit');
});

test('consecutive entries go out as one push of the last commit, and each gets its end', async () => {
  const { project } = await projectWithRemote();
  await publishedUpToNow(project);
  const made = await versions(project, 4);
  const pushed: string[] = [];
  const ports = {
    clock: systemClock,
    patienceMs: 0,
    backoffMs: () => 1000,
    signal,
    publish: async (tip: string) => {
      pushed.push(tip);
      await publishedUpToNow(project);
    },
  };
  expect(await drain(project, ports)).toMatchObject({ outcome: 'published', entries: 4 });
  expect(pushed).toEqual([made.at(-1)]);
  expect(await queueFiles(project)).toEqual([]);
  expect(await git(project.root, ['for-each-ref', 'refs/oxenvcs/queue'])).toBe('');
  expect(await drain(project, ports)).toEqual({ outcome: 'nothing-to-do' });
  expect(pushed).toHaveLength(1);
});

test.each([
  ['offline', 'failed'],
  ['lock-held', 'waiting'],
  ['auth', 'halted'],
  ['remote-refused', 'halted'],
] as const)(
  'a push that fails (%s) leaves every entry, %s, with the reason and the time of the next try',
  async (row, state) => {
    const { project } = await projectWithRemote();
    await publishedUpToNow(project);
    await versions(project, 2);
    const ports = {
      clock: { ...systemClock, now: () => Date.parse(at) },
      patienceMs: 0,
      backoffMs: (attempts: number) => attempts * 1000,
      signal,
      publish: async () => {
        throw new Failure(row, { detail: 'no' });
      },
    };
    await drain(project, ports);
    const drained = await drain(project, ports);
    const retryAt = state === 'halted' ? null : Date.parse(at) + 2000;
    expect(drained).toMatchObject({ outcome: 'not-yet', entries: 2, retryAt });
    const shown = showQueue((await listQueue(project)).entries, await readAttempt(await openProject(project.root)));
    const nextAttemptAt = state === 'halted' ? null : '2026-01-01T00:00:02.000Z';
    for (const entry of shown)
      expect(entry).toMatchObject({ state, attempts: 2, nextAttemptAt, lastError: { code: new Failure(row).code } });
  },
);

test('a version that came after the failed try is pending, not failed', async () => {
  const { project } = await projectWithRemote();
  await publishedUpToNow(project);
  await versions(project, 1);
  const publish = async () => {
    throw new Failure('offline', { detail: 'no' });
  };
  await drain(project, { clock: systemClock, patienceMs: 0, backoffMs: () => 1000, signal, publish });
  await versions(project, 1);
  const { entries } = await rebuildQueue(project, at);
  expect(showQueue(entries, await readAttempt(project)).map(({ state }) => state)).toEqual(['failed', 'pending']);
});

test('two consumers at once: the second says that the first is at work', async () => {
  const { project } = await projectWithRemote();
  await publishedUpToNow(project);
  await versions(project, 1);
  let go = (): void => undefined;
  const mayEnd = new Promise<void>((resolve) => (go = resolve));
  let began = (): void => undefined;
  const started = new Promise<void>((resolve) => (began = resolve));
  const ports = { clock: systemClock, patienceMs: 0, backoffMs: () => 1000, signal };
  const publish = async () => {
    began();
    await mayEnd;
    await publishedUpToNow(project);
  };
  const first = drain(project, { ...ports, publish });
  await started;
  await expect(drain(project, { ...ports, publish })).rejects.toMatchObject({ code: 'BUSY' });
  expect(showQueue((await listQueue(project)).entries, await readAttempt(project))[0]?.state).toBe('working');
  go();
  expect(await first).toMatchObject({ outcome: 'published' });
});

test('an entry of a hook without a ref gets one', async () => {
  const { project } = await projectWithRemote();
  await publishedUpToNow(project);
  const [commit = ''] = await versions(project, 1);
  const file = `.oxenvcs/queue/0000000002-${commit}.json`;
  await write(project.root, {
    [file]: `{"v":1,"kind":"publish","commit":"${commit}","branch":"main","seq":2,"createdAt":"${at}"}\n`,
  });
  await rebuildQueue(project, at);
  expect(await gitLine(project.root, ['rev-parse', `refs/oxenvcs/queue/${commit}`])).toBe(commit);
});
