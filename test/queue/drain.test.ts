import { expect, test } from 'vitest';
import { git } from '../../src/git/run.ts';
import { Failure, type FailureName } from '../../src/model/failures.ts';
import type { Project } from '../../src/project/project.ts';
import { isDue, readAttempts } from '../../src/queue/attempts.ts';
import { drain } from '../../src/queue/drain.ts';
import { enqueue, noteIntent, noteRescue } from '../../src/queue/entries.ts';
import { fakeClock } from '../support/fake-clock.ts';
import { at, consumer, ourRefs, publishedUpTo, queueFiles, queueing, shown, versions } from '../support/queueing.ts';

const rescueBranch = 'oxenvcs/rescue/ann/20260101T000000Z';

/** A version that lies beside the branch and has to go to a rescue branch, and one on the branch. */
async function rescueAndVersion(project: Project): Promise<{ lost: string; made: string }> {
  const [lost = ''] = await versions(project, 1);
  await noteRescue(project, { commit: lost, branch: rescueBranch, createdAt: at });
  await git(project.root, ['reset', '--quiet', '--hard', 'HEAD~1']);
  const [made = ''] = await versions(project, 1);
  return { lost, made };
}

const failing = (row: FailureName, only?: string) => ({
  publish: async ({ branch }: { branch: string }) => {
    if (only === undefined || only === branch) throw new Failure(row, { detail: 'no' });
    return '';
  },
});

test('consecutive entries go out as one push of the last commit, and each gets its end', async () => {
  const { project } = await queueing();
  const made = await versions(project, 4);
  const { ports, pushed } = consumer(project);
  expect(await drain(project, ports)).toMatchObject([{ outcome: 'published', versions: 4, kind: 'publish' }]);
  expect(pushed).toEqual([{ kind: 'publish', branch: 'main', tip: made.at(-1) }]);
  expect(await queueFiles(project)).toEqual([]);
  expect(await ourRefs(project, 'queue')).toEqual([]);
  expect(await drain(project, ports)).toEqual([]);
  expect(pushed).toHaveLength(1);
});

test('a consumer that was killed between the push and the entries’ ends: the next one ends them, and pushes nothing', async () => {
  const { project } = await queueing();
  const [made = ''] = await versions(project, 1);
  await enqueue(project, made, 'main', at);
  await publishedUpTo(project, made);
  const { ports, pushed } = consumer(project);
  expect(await drain(project, ports)).toEqual([]);
  expect({ pushed, files: await queueFiles(project), refs: await ourRefs(project, 'queue') }).toEqual({
    pushed: [],
    files: [],
    refs: [],
  });
});

test.each([
  ['offline', 'failed'],
  ['remote-full', 'failed'],
  ['disk-full', 'failed'],
  ['lock-held', 'waiting'],
  ['stale-base', 'waiting'],
  ['auth', 'halted'],
  ['remote-refused', 'halted'],
  ['too-large', 'halted'],
  ['remote-not-found', 'halted'],
] as const)(
  'a push that fails (%s) leaves every entry, %s, with the reason and the time of the next try',
  async (row, state) => {
    const { project } = await queueing();
    await versions(project, 2);
    const clock = fakeClock(Date.parse(at));
    const backoffMs = (attempts: number) => attempts * 1000;
    const { ports } = consumer(project, { clock, backoffMs, urgency: 'by-hand', ...failing(row) });
    await drain(project, ports);
    const retryAt = state === 'halted' ? null : Date.parse(at) + 2000;
    expect(await drain(project, ports)).toMatchObject([{ outcome: 'not-yet', versions: 2, retryAt, tried: true }]);
    const nextAttemptAt = state === 'halted' ? null : '2026-01-01T00:00:02.000Z';
    const lastError = { code: new Failure(row).code };
    const all = await shown(project);
    expect(all).toHaveLength(2);
    for (const entry of all) expect(entry).toMatchObject({ state, attempts: 2, nextAttemptAt, lastError });
  },
);

test('the time of the next try holds also after a restart; a person, or a remote that lets us in, need not wait', async () => {
  const { project } = await queueing();
  await versions(project, 1);
  const clock = fakeClock();
  const { ports, pushed } = consumer(project, { clock, ...failing('offline') });
  await drain(project, ports);
  await versions(project, 1);
  expect(await drain(project, ports)).toMatchObject([
    { outcome: 'not-yet', tried: false, failure: { code: 'OFFLINE' } },
  ]);
  expect((await shown(project)).map(({ state }) => state)).toEqual(['failed', 'pending']);
  expect(pushed).toHaveLength(1);
  await drain(project, { ...ports, urgency: 'by-hand' });
  await drain(project, { ...ports, urgency: 'reachable' });
  expect(pushed).toHaveLength(3);
  clock.pass(1000);
  await drain(project, ports);
  expect(pushed).toHaveLength(4);
});

test('a clock that was set back by a year does not put off the next try by a year', () => {
  const attempt = { kind: 'publish', branch: 'main', commit: 'c', seq: 1, pid: 1, attempts: 1 } as const;
  const failure = { row: 'offline' as const, details: {} };
  const failed = { ...attempt, state: 'failed' as const, nextAttemptAt: 1_000_000, delayMs: 30_000, failure };
  expect(isDue(failed, 'when-due', 970_000)).toBe(false);
  expect(isDue(failed, 'when-due', 969_999)).toBe(true);
  expect(isDue(failed, 'when-due', 1_000_000)).toBe(true);
});

test('what is halted waits for a person, also when later versions build on it, and over a restart', async () => {
  const { project } = await queueing();
  await versions(project, 1);
  const refused = consumer(project, failing('remote-refused'));
  await drain(project, refused.ports);
  await versions(project, 1);
  expect(await drain(project, refused.ports)).toMatchObject([{ outcome: 'not-yet', retryAt: null, tried: false }]);
  await drain(project, { ...refused.ports, urgency: 'reachable' });
  expect(refused.pushed).toHaveLength(1);
  const mended = consumer(project, { urgency: 'by-hand' });
  expect(await drain(project, mended.ports)).toMatchObject([{ outcome: 'published', versions: 2 }]);
  expect(await readAttempts(project)).toEqual([]);
});

test('a halted version that was rewritten away stands in nobody’s way: a blob too large, amended', async () => {
  const { project } = await queueing();
  await versions(project, 1);
  await drain(project, consumer(project, failing('too-large')).ports);
  await git(project.root, ['commit', '--quiet', '--amend', '--allow-empty', '-m', 'without the large one']);
  expect((await shown(project)).map(({ state }) => state)).toEqual(['pending']);
  expect(await drain(project, consumer(project).ports)).toMatchObject([{ outcome: 'published', versions: 1 }]);
});

test('refused credentials are tried again by themselves with the next save, and once the remote has let us in', async () => {
  const { project } = await queueing();
  await versions(project, 1);
  await drain(project, consumer(project, failing('auth')).ports);
  expect(await drain(project, consumer(project).ports)).toMatchObject([{ tried: false }]);
  await versions(project, 1);
  expect(await drain(project, consumer(project, failing('auth')).ports)).toMatchObject([{ tried: true, versions: 2 }]);
  expect(await drain(project, consumer(project).ports)).toMatchObject([{ tried: false }]);
  expect(await drain(project, consumer(project, { urgency: 'reachable' }).ports)).toMatchObject([
    { outcome: 'published' },
  ]);
});

test('a rescue that is refused does not hold up the team’s branch, nor does an intent', async () => {
  const { project } = await queueing();
  const { lost, made } = await rescueAndVersion(project);
  await noteIntent(project, { commit: made, branch: 'main', createdAt: at, base: null, paths: [] });
  const { ports } = consumer(project, failing('remote-refused', rescueBranch));
  expect(await drain(project, ports)).toMatchObject([
    { kind: 'rescue', branch: rescueBranch, outcome: 'not-yet', retryAt: null },
    { kind: 'publish', branch: 'main', outcome: 'published', versions: 1 },
  ]);
  expect(await shown(project)).toEqual(
    expect.arrayContaining([
      expect.objectContaining({ kind: 'intent', state: 'pending' }),
      expect.objectContaining({ kind: 'rescue', commit: lost, state: 'halted' }),
    ]),
  );
  const later = consumer(project, { urgency: 'by-hand' });
  expect(await drain(project, later.ports)).toMatchObject([{ kind: 'rescue', outcome: 'published' }]);
  expect(later.pushed).toEqual([{ kind: 'rescue', branch: rescueBranch, tip: lost }]);
  expect(await ourRefs(project, 'queue')).toEqual([]);
});

test('where the remote as a whole cannot be used, nothing else is tried', async () => {
  const { project } = await queueing();
  await rescueAndVersion(project);
  const { ports, pushed } = consumer(project, failing('auth'));
  await drain(project, ports);
  expect(pushed).toHaveLength(1);
  expect((await shown(project)).map(({ state }) => state)).toEqual(['halted', 'halted']);
});

test('a try that was interrupted because the program ends counts as none', async () => {
  const { project } = await queueing();
  await versions(project, 1);
  const stop = new AbortController();
  const { ports } = consumer(project, {
    signal: stop.signal,
    publish: async () => {
      stop.abort();
      throw new Failure('remote-unclear', { detail: 'it was interrupted' });
    },
  });
  await drain(project, ports);
  expect(await shown(project)).toMatchObject([{ state: 'pending', attempts: 0, lastError: null }]);
});

test('two consumers at once: the second says that the first is at work', async () => {
  const { project } = await queueing();
  await versions(project, 1);
  let go = (): void => undefined;
  const mayEnd = new Promise<void>((resolve) => (go = resolve));
  let began = (): void => undefined;
  const started = new Promise<void>((resolve) => (began = resolve));
  const publish = async () => {
    began();
    await mayEnd;
    return '';
  };
  const { ports } = consumer(project, { publish });
  const first = drain(project, ports);
  await started;
  await expect(drain(project, ports)).rejects.toMatchObject({ code: 'BUSY' });
  expect((await shown(project))[0]?.state).toBe('working');
  go();
  expect(await first).toMatchObject([{ outcome: 'published' }]);
});
