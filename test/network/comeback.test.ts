import { expect, test } from 'vitest';
import { Failure } from '../../src/model/failures.ts';
import { hostOf, isAway, untilOnline, untilOnlineOr } from '../../src/network/comeback.ts';
import type { Asked, Connectivity } from '../../src/network/connectivity.ts';
import { virtualClock } from '../support/virtual-clock.ts';

/** A network as the test has it: what each address answers, and who was asked when. */
function network(answers: (url: string) => Connectivity['state'] | Failure | Error) {
  const clock = virtualClock();
  const asked: [number, string][] = [];
  const ask = async ({ remote: { url } }: { remote: { url: string | null } }): Promise<Asked> => {
    asked.push([clock.monotonic(), String(url)]);
    const answer = answers(String(url));
    if (answer instanceof Error && !(answer instanceof Failure)) throw answer;
    const state = answer instanceof Failure ? 'offline' : answer;
    const connectivity = { state, remote: url, latencyMs: null, checkedAt: '', reason: null } as const;
    return { connectivity, failure: answer instanceof Failure ? answer : null };
  };
  const wait = async (url: string, signal = new AbortController().signal, intervalMs = 15_000) =>
    await untilOnline(
      { root: `/projects/${url}`, branch: 'main', remote: { url } },
      { clock, signal, firstMs: 1000, intervalMs, ask },
    );
  return { clock, asked, wait };
}

test('twenty projects wait for one host: one question at a time, and all go on within one interval of its return', async () => {
  const backAt = 600_000;
  const { clock, asked, wait } = network(() => (clock.monotonic() < backAt ? 'offline' : 'online'));
  const urls = Array.from({ length: 20 }, (_, n) => `ssh://git@band.example/song-${n}.git`);
  const back = await Promise.all(urls.map(async (url) => await wait(url)));
  expect(back.every(({ sawAway }) => sawAway)).toBe(true);
  expect(clock.monotonic()).toBeLessThanOrEqual(backAt + 15_000);
  const gaps = asked.map(([at], i) => at - (asked[i - 1]?.[0] ?? 0));
  // Soon at first, for a hiccup; then as seldom as the setting allows.
  expect(gaps[0]).toBeLessThanOrEqual(1000);
  for (const gap of gaps.slice(5)) expect(gap).toBeGreaterThanOrEqual(7500);
  expect(isAway(String(urls[0]))).toBe(false);
});

test('hosts do not wait for each other', async () => {
  const { clock, wait } = network((url) =>
    url.includes('ann.example') && clock.monotonic() < 60_000 ? 'offline' : 'online',
  );
  const ann = wait('https://ann.example/song.git');
  expect(isAway('https://x@ann.example/other.git')).toBe(true);
  expect(await wait('https://ben.example/song.git')).toMatchObject({ sawAway: false });
  expect(clock.monotonic()).toBeLessThanOrEqual(1000);
  expect(await ann).toMatchObject({ sawAway: true });
});

test('a repository that is gone from its host holds up none of the others there, and what cannot be asked is told', async () => {
  const { asked, wait } = network((url) =>
    url.endsWith('gone.git') ? 'unknown' : url.endsWith('vanished.git') ? new Error('no such folder') : 'online',
  );
  const stop = new AbortController();
  const gone = wait('https://band.example/gone.git', stop.signal);
  const vanished = wait('https://band.example/vanished.git');
  const here = wait('https://band.example/here.git');
  await expect(vanished).rejects.toThrow('no such folder');
  expect(await here).toMatchObject({ sawAway: false });
  expect(asked.map(([, url]) => url.split('/').at(-1))).toEqual(['gone.git', 'vanished.git', 'here.git']);
  stop.abort(new Error('enough'));
  await expect(gone).rejects.toThrow('enough');
});

test('a host that asks to be left alone is not even asked whether it is there', async () => {
  let left = 1;
  const { asked, wait } = network(() =>
    left-- > 0 ? new Failure('too-many-requests', { detail: 'x', retryAfterMs: 300_000 }) : 'online',
  );
  await wait('https://band.example/song.git');
  const [first, second] = asked.map(([at]) => at);
  expect((second ?? 0) - (first ?? 0)).toBeGreaterThanOrEqual(300_000);
});

test('who stops waiting stops at once; the questions end with the last of them, and not before', async () => {
  const { clock, asked, wait } = network(() => (clock.monotonic() < 100_000 ? 'offline' : 'online'));
  const [one, other] = [new AbortController(), new AbortController()];
  const first = wait('file:///nas/a.git', one.signal);
  const second = wait('file:///nas/a.git', other.signal);
  one.abort(new Error('first'));
  await expect(first).rejects.toThrow('first');
  expect(await second).toMatchObject({ sawAway: true });
  const third = wait('file:///nas/a.git', other.signal);
  other.abort(new Error('second'));
  await expect(third).rejects.toThrow('second');
  expect(isAway('file:///nas/a.git')).toBe(false);
  const before = asked.length;
  await clock.sleep(60_000);
  expect(asked).toHaveLength(before);
});

test.each([
  ['https://ann:secret@Band.example/a/song.git', 'https://band.example'],
  ['https://band.example:8443/song.git', 'https://band.example:8443'],
  ['ssh://git@band.example:22/song.git', 'ssh://band.example:22'],
  ['git@band.example:song.git', 'ssh://band.example'],
  ['band:songs/song.git', 'ssh://band'],
  ['/Volumes/NAS/song.git', '/Volumes/NAS/song.git'],
  ['file:///Volumes/NAS/song.git', '/Volumes/NAS/song.git'],
])('which remotes come back together: %s', (url, host) => {
  expect(hostOf(url)).toBe(host);
});

test('waiting for a time only gives the last answer when the time is over, and the first good one at once', async () => {
  const clock = virtualClock();
  let questions = 0;
  const remote = { root: '/projects/song', branch: 'main', remote: { url: 'https://band.example/song.git' } };
  const ask = async () => {
    const state = clock.monotonic() < 100_000 ? 'offline' : 'online';
    questions++;
    const checkedAt = String(clock.monotonic());
    return { connectivity: { state, remote: null, latencyMs: null, checkedAt, reason: null } as const, failure: null };
  };
  const ports = { clock, intervalMs: 10_000, ask };
  const short = await untilOnlineOr(remote, 30_000, ports);
  expect(short.state).toBe('offline');
  expect(clock.monotonic()).toBe(30_000);
  expect(Number(short.checkedAt)).toBeGreaterThan(0);
  expect(await untilOnlineOr(remote, 500_000, ports)).toMatchObject({ state: 'online' });
  expect(clock.monotonic()).toBeLessThanOrEqual(110_000);
  const before = questions;
  expect(await untilOnlineOr(remote, 500_000, ports)).toMatchObject({ state: 'online' });
  expect(questions).toBe(before + 1);
  const abort = AbortSignal.abort(new Error('enough'));
  await expect(untilOnlineOr(remote, 1000, { ...ports, signal: abort })).rejects.toThrow('enough');
});
