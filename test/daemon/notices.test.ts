import * as fs from 'node:fs/promises';
import path from 'node:path';
import { expect, test } from 'vitest';
import type { PipelineEvent } from '../../src/background/events.ts';
import { makeNotices } from '../../src/daemon/notices.ts';
import { Failure } from '../../src/model/failures.ts';
import type { Notice } from '../../src/system/notify.ts';
import { fakeClock } from '../support/fake-clock.ts';
import { sandbox } from '../support/sandbox.ts';
import { notifierFor, notify } from '../../src/system/notify.ts';

const heldBy = (name: string, since: string) =>
  new Failure('lock-held', { branch: 'main', name, host: 'studio', since, email: '', expiresAt: since });
const benSince = (hour: number) => heldBy('Ben', `2026-11-24T${hour}:00:00Z`);
const turn = async () => {
  for (let n = 0; n < 5; n++) await new Promise((resolve) => setImmediate(resolve));
};

/** Waits of this clock end when the test says so. */
function shown() {
  const notices: Notice[] = [];
  const clock = fakeClock();
  let due: (() => void)[] = [];
  const waits: number[] = [];
  const sleep = async (ms: number, signal?: AbortSignal) =>
    await new Promise<void>((resolve, reject) => {
      waits.push(ms);
      due.push(() => {
        clock.pass(ms);
        resolve();
      });
      signal?.addEventListener('abort', () => reject(new Error('ended')));
    });
  const made = makeNotices({ ...clock, sleep }, (notice) => notices.push(notice));
  return {
    ...made,
    clock,
    waits,
    bodies: () => notices.map(({ body }) => body),
    titles: () => notices.map(({ title }) => title),
    waitsEnd: async () => {
      const now = due;
      due = [];
      for (const end of now) end();
      await turn();
    },
  };
}

test('who has the lock, and since when, is shown once: taken, waiting, and that it is free again', async () => {
  const { take, bodies, titles, waitsEnd, clock } = shown();
  const song = '/music/Söng 🎸';
  take(song, { event: 'lock-elsewhere', failure: benSince(10) });
  await waitsEnd();
  expect(bodies()).toEqual([expect.stringMatching(/^Ben holds the lock of main, on studio since 2026-11-24/)]);
  for (const versions of [0, 1, 2]) take(song, { event: 'waiting', versions, failure: benSince(10) });
  expect(bodies()).toHaveLength(2);
  expect(bodies()[1]).toMatch(/Ben holds the lock.*What you save is kept here until it is free\.$/);
  take(song, { event: 'lock-free' });
  take(song, { event: 'lock-free' });
  expect(bodies().slice(2)).toEqual(['The lock is free again.']);
  // The next time is another time.
  clock.pass(120_000);
  take(song, { event: 'waiting', versions: 1, failure: benSince(14) });
  take(song, { event: 'lock-free' });
  expect(bodies().slice(3)).toEqual([expect.stringContaining('Ben holds the lock'), 'The lock is free again.']);
  expect(new Set(titles())).toEqual(new Set(['Söng 🎸']));
});

test('somebody who takes the lock for a push and gives it back within 20 s disturbs nobody', async () => {
  const { take, bodies, waits, waitsEnd } = shown();
  take('/one', { event: 'lock-elsewhere', failure: benSince(10) });
  await turn();
  take('/one', { event: 'lock-free' });
  await waitsEnd();
  expect([waits, bodies()]).toEqual([[20_000], []]);
});

test('of those who take the lock one after the other the last is told, once, and afterwards that it is free', async () => {
  const { take, bodies, waitsEnd } = shown();
  take('/one', { event: 'lock-elsewhere', failure: heldBy('Cay', '2026-11-24T09:00:00Z') });
  await turn();
  take('/one', { event: 'lock-elsewhere', failure: benSince(10) });
  await waitsEnd();
  expect(bodies()).toEqual([expect.stringMatching(/^Ben holds/)]);
  take('/one', { event: 'lock-free' });
  expect(bodies().slice(1)).toEqual(['The lock is free again.']);
  take('/one', { event: 'lock-elsewhere', failure: benSince(12) });
  await waitsEnd();
  expect(bodies().slice(2)).toEqual([expect.stringMatching(/^Ben holds/)]);
});

test('who a save waits for is told by that alone; and nothing is shown after the end', async () => {
  const { take, bodies, waitsEnd, stop } = shown();
  take('/one', { event: 'lock-elsewhere', failure: benSince(10) });
  take('/one', { event: 'waiting', versions: 1, failure: benSince(10) });
  await waitsEnd();
  expect(bodies()).toHaveLength(1);
  take('/two', { event: 'lock-elsewhere', failure: benSince(10) });
  stop();
  await waitsEnd();
  expect(bodies()).toHaveLength(1);
});

const large = (path: string) => new Failure('left-out', { file: path, size: '3 GB', limit: '2 GB' });
const published = { commit: 'c', versions: 1, bytesSent: 1 };

test.each<[string, PipelineEvent[], (string | RegExp)[]]>([
  [
    'who published, not each version',
    [['Ann'], ['Ann'], ['Ann', 'Ben'], ['Ann']].map((authors, n) => ({
      event: 'team-published',
      commit: `c${n}`,
      versions: 1,
      authors,
    })),
    ['Ann published a new version.', 'Ann and Ben published a new version.'],
  ],
  [
    'work that lies on a rescue branch, somebody’s and one’s own',
    [
      { event: 'rescued-elsewhere', branch: 'oxenvcs/rescue/ann/1', author: 'Ann', id: '1' },
      { event: 'published', ...published, rescue: 'oxenvcs/rescue/me/2', waits: false },
    ],
    [/^Ann’s versions could not go/, /^The team went on without this.*oxenvcs\/rescue\/me\/2/],
  ],
  [
    'nothing of what is published, or goes out by itself later',
    [
      { event: 'published', ...published, rescue: null, waits: false },
      { event: 'published', ...published, rescue: 'oxenvcs/rescue/me/2', waits: true },
    ],
    [],
  ],
  [
    'a disk that runs low, and that it got worse',
    (['disk-runs-low', 'disk-low', 'disk-runs-low'] as const).map((row) => ({
      event: 'disk',
      failure: new Failure(row, { dir: '/one', free: '1 GB', reserve: '2 GB', ours: '1 GB' }),
    })),
    [/runs low/, /./],
  ],
  [
    'each file that is too large',
    ['a.wav', 'b.wav', 'a.wav'].map((path) => ({ event: 'left-out', path, failure: large(path) })),
    [/a\.wav/, /b\.wav/],
  ],
])('%s: shown in words alone', (_, events, wanted) => {
  const { take, bodies } = shown();
  for (const event of events) take('/one', event);
  expect(bodies()).toEqual(wanted.map((one) => (one instanceof RegExp ? expect.stringMatching(one) : one)));
  for (const body of bodies()) expect(body).toMatch(/^\p{L}/u);
});

test('that it was shown is known of the last thousand: it runs for months', () => {
  const { take, bodies, clock } = shown();
  const tell = (n: number) => {
    take('/one', { event: 'rescued-elsewhere', branch: 'b', author: 'Ann', id: `${n}` });
    clock.pass(60_001);
  };
  for (let n = 0; n <= 1000; n++) tell(n);
  expect(bodies()).toHaveLength(1001);
  for (const n of [1, 500, 1000]) tell(n);
  expect(bodies()).toHaveLength(1001);
  tell(0);
  expect(bodies()).toHaveLength(1002);
});

test('what a person must know is shown once each, what goes by itself is not, and never a flood', async () => {
  const { take, bodies, clock } = shown();
  const offline = new Failure('offline', { detail: 'no answer' });
  const refused = new Failure('auth', { detail: 'no', remote: 'r' });
  const events: PipelineEvent[] = [
    { event: 'not-published', versions: 1, failure: offline, retryMs: 1000 },
    { event: 'not-published', versions: 1, failure: refused, retryMs: null },
    { event: 'not-published', versions: 2, failure: refused, retryMs: null },
    {
      event: 'lock-lost',
      failure: new Failure('lock-lost', { branch: 'main', name: 'Ben', reason: 'Ann is on a plane' }),
    },
    { event: 'team-published', commit: 'c1', versions: 2, authors: ['Ann'] },
    { event: 'version', commit: 'c2', message: 'Song saved' },
    { event: 'lock-released' },
  ];
  for (const event of [...events, ...events]) take('/one', event);
  expect(bodies()).toEqual([
    expect.stringContaining('refused the credentials'),
    expect.stringContaining('taken from you by Ben: Ann is on a plane'),
    'Ann published 2 new versions.',
  ]);
  for (let n = 0; n < 50; n++) take(`/${n}`, { event: 'team-published', commit: 'c3', versions: 1, authors: ['Ann'] });
  expect(bodies()).toHaveLength(5);
  expect(bodies().at(-1)).toContain('More has happened');
  clock.pass(120_000);
  take('/x', { event: 'team-published', commit: 'c4', versions: 1, authors: ['Ann'] });
  expect(bodies()).toHaveLength(6);
});

test('half an hour later that somebody publishes is news again, and what is turned down once it had gone through', () => {
  const { take, bodies, clock } = shown();
  const team = (commit: string): PipelineEvent => ({ event: 'team-published', commit, versions: 1, authors: ['Ann'] });
  for (let n = 0; n < 10; n++) {
    take('/one', team(`c${n}`));
    clock.pass(200_000);
  }
  expect(bodies()).toEqual(['Ann published a new version.', 'Ann published a new version.']);
  const failure = new Failure('auth', { detail: 'no', remote: 'r' });
  const refused: PipelineEvent = { event: 'not-published', versions: 1, failure, retryMs: null };
  for (const event of [
    refused,
    refused,
    { event: 'published' as const, ...published, rescue: null, waits: false },
    refused,
  ])
    take('/one', event);
  expect(bodies().slice(2)).toHaveLength(2);
});

test('words are never part of a script or of an option, whatever a song is called', () => {
  const notice = { title: '-e "$(evil)" & quit', body: '<b>$env:PATH</b> `x`' };
  for (const platform of ['darwin', 'win32'] as const) {
    const notifier = notifierFor(platform, notice);
    const script = (notifier?.args ?? []).filter((arg) => arg !== notice.title && arg !== notice.body).join(' ');
    expect(script).not.toContain('evil');
    expect(Buffer.from(notifier?.args.at(-1) ?? '', 'base64').toString('utf16le')).not.toContain('evil');
  }
  expect(notifierFor('darwin', notice)?.args.slice(-3)).toEqual(['--', notice.title, notice.body]);
  expect(notifierFor('win32', notice)?.env).toEqual({ OXENVCS_TITLE: notice.title, OXENVCS_BODY: notice.body });
  expect(notifierFor('linux', notice)?.args.slice(1)).toEqual(['--', notice.title, '&lt;b&gt;$env:PATH&lt;/b&gt; `x`']);
  expect(notifierFor('aix', notice)).toBeNull();
});

test('it is shown by the program of the system; without one, with a broken one, or when told not to, nothing is lost', async () => {
  const dir = await sandbox();
  const program = path.join(dir, 'notify-send');
  const told = path.join(dir, 'told');
  await fs.writeFile(program, `#!/bin/sh\nprintf '%s|' "$@" >>'${told}'\nexit 7\n`, { mode: 0o755 });
  const env = { PATH: `${dir}:/usr/bin:/bin` };
  const notice = { title: 'My\nSong', body: 'Ben has it' };
  await notify(notice, 'linux', env);
  expect(await fs.readFile(told, 'utf8')).toBe('--app-name=oxenvcs|--|My Song|Ben has it|');
  await notify(notice, 'linux', { ...env, OXENVCS_NOTIFY: 'none' });
  await notify(notice, 'linux', { PATH: '/nowhere' });
  expect(await fs.readFile(told, 'utf8')).toBe('--app-name=oxenvcs|--|My Song|Ben has it|');
});
