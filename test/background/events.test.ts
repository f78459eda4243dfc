import { expect, test } from 'vitest';
import { describeEvent, newsOnly, type PipelineEvent } from '../../src/background/events.ts';
import { Failure } from '../../src/model/failures.ts';

function lines(...events: PipelineEvent[]): (string | null)[] {
  const said: (string | null)[] = [];
  const tell = newsOnly((event) => said.push(describeEvent(event)));
  for (const event of events) tell(event);
  return said;
}

test('who has the lock is said once, be it seen or met; once it was free it is news again', () => {
  const failure = new Failure('lock-held', { branch: 'main', name: 'Ben', host: 'studio', since: '10:00' });
  const seen = { event: 'lock-elsewhere', failure } as const;
  const waiting = (versions: number) => ({ event: 'waiting', versions, failure }) as const;
  const holds = 'Ben holds the lock of main, on studio since 10:00.';
  expect(lines(seen, waiting(0), seen, waiting(1), seen, { event: 'lock-free' }, seen)).toEqual([
    holds,
    `${holds} What you save is kept here until it is free.`,
    `${holds} 1 version kept here until it is free.`,
    'The lock is free again.',
    holds,
  ]);
  expect(lines(waiting(2), seen, { event: 'locked', outcome: 'acquired' }, seen)).toHaveLength(3);
});

test('a trouble that several meet is said once, and again when it was over meanwhile', () => {
  const trouble = (detail: string) => ({ event: 'trouble', failure: new Failure('not-trusted', { detail }) }) as const;
  const version = { event: 'version', commit: 'c', message: 'Song.als saved' } as const;
  const seen = lines(trouble('one'), trouble('one'), trouble('two'), version, trouble('two'));
  expect(seen.map((line) => line?.match(/one|two|saved/)?.[0])).toEqual(['one', 'two', 'saved', 'two']);
});

test('what the remote turns down is said once, with what to do, and where the versions are is not said twice', () => {
  const refused = new Failure('auth', { detail: 'no', remote: 'r' });
  const trouble = { event: 'trouble', failure: refused } as const;
  const kept = { event: 'not-published', versions: 1, failure: refused, retryMs: null } as const;
  const published = { event: 'published', commit: 'c', versions: 1, bytesSent: 1, rescue: null, waits: false } as const;
  expect(lines(kept, trouble, published, trouble)).toEqual([
    expect.stringMatching(/refused the credentials: no\. 1 version kept here\. Check the user/),
    expect.stringContaining('published'),
    expect.stringContaining('tried again by itself'),
  ]);
  const renamed = new Failure('branch-renamed', { branch: 'main', other: 'trunk' });
  expect(lines({ ...kept, failure: renamed })[0]).toMatch(/on trunk now\. Your versions are kept here\. Follow it/);
});
