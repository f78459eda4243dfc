import fs from 'node:fs';
import path from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { profileNamed } from '../../src/daw/match.ts';
import type { DawProfile } from '../../src/daw/profile.ts';
import { defaults } from '../../src/model/config.ts';
import { Failure } from '../../src/model/failures.ts';
import type { Captured, Committed, FileStat, PendingSave, Save } from '../../src/model/save.ts';
import { plenty } from '../../src/watch/known.ts';
import type { Difference } from '../../src/watch/look.ts';
import type { WatchEvent } from '../../src/watch/tell.ts';
import type { WakePorts } from '../../src/watch/wake.ts';
import { type WatchPorts, watchProject } from '../../src/watch/watch.ts';
import { sandbox } from '../support/sandbox.ts';
import { virtualClock } from '../support/virtual-clock.ts';

function byHand() {
  let done = () => undefined as void;
  return { promise: new Promise<void>((resolve) => (done = resolve)), done: () => done() };
}

/**
 * The watch on real files and a clock of our own, which runs only while the watch sleeps: when does it look, what does it do
 * beside it? What it hands over is noted in short, and `HEAD` is a map.
 */
async function start(files: Record<string, string>, ports: Partial<WatchPorts> = {}) {
  const root = await sandbox();
  const write = (changed: Record<string, string>) => {
    for (const [name, text] of Object.entries(changed)) fs.writeFileSync(path.join(root, name), text);
  };
  const read = (name: string) => fs.readFileSync(path.join(root, name), 'utf8');
  fs.mkdirSync(path.join(root, '.git'));
  write(files);
  const head = new Map(Object.entries(files));
  const inTheEnd = { takes: byHand(), all: byHand() };
  let [atWork, over] = [1, false];
  const virtual = virtualClock(undefined, () => atWork > 0 && !over);
  const clock = {
    ...virtual,
    sleep: async (ms: number, signal?: AbortSignal) => {
      // What is left in the end passes when the test says so.
      const left = { 2500: inTheEnd.takes, 1500: inTheEnd.all }[ms];
      if (left !== undefined)
        return await new Promise<void>((resolve, reject) => {
          void left.promise.then(resolve);
          signal?.addEventListener('abort', () => reject(signal.reason as Error));
        });
      atWork -= 1;
      await virtual.sleep(ms, signal).finally(() => (atWork += 1));
    },
  };
  /** s */
  const now = () => Math.round(virtual.monotonic()) / 1000;
  const seen = {
    /** When all was compared with HEAD, and when it was looked, s. */
    compared: [] as number[],
    looked: [] as number[],
    captured: [] as string[],
    /** What was handed over, with the time: `Song.als=two +Take.wav ?Take 2.wav`. */
    saves: [] as string[],
    noted: [] as string[],
    events: [] as WatchEvent[],
  };
  const short = ({ captured }: PendingSave) => captured.map(({ file }) => `${file.path}=${file.oid}`).join(' ');
  const stop = new AbortController();
  let wake: WakePorts | undefined;
  const desk = { root, write, clock, seen, inTheEnd };
  const all: WatchPorts = {
    root,
    settings: defaults.watch,
    profile: profileNamed('live') as DawProfile,
    clock,
    signal: stop.signal,
    changes: async () => {
      seen.compared.push(now());
      const names = [...new Set([...head.keys(), ...fs.readdirSync(root)])].filter((name) => name !== '.git');
      return names.flatMap((name): Difference[] => {
        if (!fs.existsSync(path.join(root, name))) return [{ path: name, status: 'deleted', staged: false }];
        const status = head.has(name) ? 'modified' : 'added';
        return head.get(name) === read(name) ? [] : [{ path: name, status, staged: false }];
      });
    },
    room: async () => {
      seen.looked.push(now());
      return plenty;
    },
    capture: async (name): Promise<Captured> => {
      seen.captured.push(`${now()}: ${name}=${read(name)}`);
      return { path: name, mode: '100644', oid: read(name) };
    },
    pending: { read: async () => [], note: async (saves) => void seen.noted.push(saves.map(short).join(' | ')) },
    commit: async (save) => handOver(save),
    tell: (event) => seen.events.push(event),
    drive: async () => null,
    wake: (given) => {
      wake = given;
      return { close: async () => undefined };
    },
    ...ports,
  };
  /** Makes a version of it, as git would. */
  const handOver = (save: Save): Committed => {
    for (const { path: name, oid } of save.captured) head.set(name, oid);
    for (const { path: name } of save.settled) head.set(name, read(name));
    for (const name of save.deleted) head.delete(name);
    const names = save.captured.map(({ path: name, oid }) => `${name}=${oid}`);
    names.push(...save.settled.map(({ path: name }) => `+${name}`), ...save.incomplete.map((name) => `?${name}`));
    seen.saves.push(`${now()}: ${names.join(' ')}`);
    return { outcome: 'committed', commit: `commit ${seen.saves.length}` };
  };
  const ended = watchProject(all).finally(() => (over = true));
  ended.catch(() => undefined); // awaited by `end`
  const end = async () => {
    stop.abort();
    await ended;
  };
  onTestFinished(async () => await end().catch(() => undefined));
  /** Until so many seconds after the start. */
  const until = async (second: number) => await virtual.sleep(second * 1000 - virtual.monotonic());
  while (wake === undefined) await new Promise((done) => setImmediate(done));
  if (!all.signal.aborted) await until(0.001);
  return { ...desk, handOver, end, ended, until, hear: wake.stirred, failed: wake.failed };
}

/** As a file lay that was overwritten since. */
const lay: FileStat = { size: 3n, mtimeNs: 1n, ino: 1n };

const told = (events: readonly WatchEvent[], kind: WatchEvent['event']) => events.filter(({ event }) => event === kind);

test('where nothing happens all is compared ever more seldom; a file that stirs ends that, what may be anything does not', async () => {
  const { seen, until, hear } = await start({ 'Song.als': 'one' });
  await until(4000);
  expect(seen.compared).toEqual([0, 120, 360, 840, 1740, 2640, 3540]);
  hear(null);
  await until(5000);
  // The burst is let pass.
  expect(seen.compared.slice(7)).toEqual([4000.05, 4001.5, 4901.5]);
  hear('notes.txt');
  await until(5400);
  expect(seen.compared.slice(10)).toEqual([5000.05, 5001.5, 5061.5, 5181.5]);
});

test('a project in which nothing has happened for long is not looked at soon', async () => {
  const { seen, until } = await start({ 'Song.als': 'one' }, { quietMs: 420_000 });
  await until(2000);
  expect(seen.compared).toEqual([0, 900, 1800]);
});

test('while somebody works all is compared every minute, however quiet it was before', async () => {
  const { seen, until, write } = await start({ 'Song.als': 'one' });
  await until(400);
  expect(seen.compared).toEqual([0, 120, 360]);
  // Nobody tells of it.
  write({ 'Take.wav': 'take' });
  await until(1100);
  // At 1440 s the take becomes a version by itself.
  expect(seen.compared.slice(3)).toEqual([840, 900, 960, 1020, 1080]);
});

test('a session is stored while the last of its quiet time passes, and is a version the moment that has passed', async () => {
  const { seen, until, write, hear } = await start({ 'Song.als': 'one' });
  await until(10);
  write({ 'Song.als': 'two' });
  hear('Song.als');
  await until(20);
  expect(seen.captured).toEqual(['12.55: Song.als=two']);
  expect(seen.saves).toEqual(['13.05: Song.als=two']);
  expect(seen.events.map((event) => (event.event === 'state' ? event.state : event.event))).toEqual([
    'dirty',
    'changed',
    'settling',
    'committing',
    'clean',
  ]);
});

test('what is told all the time is looked at four times a second, not at each word', async () => {
  const { seen, until, write, hear } = await start({ 'Song.als': 'one' });
  for (let i = 1; i <= 100; i++) {
    await until(10 + i / 50);
    write({ 'Song.als': `${i}`.padEnd(i) });
    hear('Song.als');
  }
  expect(seen.looked.length).toBeGreaterThan(7);
  expect(seen.looked.length).toBeLessThan(12);
  await until(20);
  expect(seen.saves).toEqual([`15.07: Song.als=${'100'.padEnd(100)}`]);
});

test('while a take is recorded it is looked at once a second, however often it is written, and git is asked nothing', async () => {
  const { seen, root, until, hear } = await start({ 'Song.als': 'one' });
  await until(130);
  for (let i = 0; i < 200; i++) {
    fs.appendFileSync(path.join(root, 'Take.wav'), 'flush');
    hear('Take.wav');
    await until(130 + i / 10);
  }
  // In the first second it may be anything.
  expect(seen.looked.filter((at) => at > 132).length).toBeLessThanOrEqual(19);
  expect(seen.compared.slice(2)).toEqual([130.05, 131.5]);
});

test('of takes only those that nobody had open when it was looked are in a version, however long the looking takes', async () => {
  let moment = 0;
  const { seen, root, until, write, hear, clock } = await start(
    { 'Song.als': 'one' },
    {
      room: async () => {
        // What lies still for 15 s counts as settled, unless somebody has it open.
        if (moment > 0) await clock.sleep(moment);
        return plenty;
      },
    },
  );
  const take = fs.openSync(path.join(root, 'Take.wav'), 'a');
  onTestFinished(() => fs.closeSync(take));
  fs.writeSync(take, 'flush');
  hear('Take.wav');
  await until(12);
  moment = 4000;
  write({ 'Song.als': 'two' });
  hear('Song.als');
  await until(40);
  expect(seen.saves).toEqual([]);
  // So long an idle descriptor is not waited for.
  await until(70);
  expect(seen.saves).toEqual([expect.stringMatching(/Song\.als=two \+Take\.wav$/)]);
});

test('what the system could not tell is looked for at once, and it is said once that it could not', async () => {
  const { seen, until, write, failed } = await start({ 'Song.als': 'one' });
  await until(130);
  write({ 'Song.als': 'two' });
  failed('events were lost', false);
  failed('events were lost', false);
  await until(140);
  expect(seen.saves).toEqual(['133.05: Song.als=two']);
  expect(told(seen.events, 'scanning')).toEqual([{ event: 'scanning', reason: 'events were lost' }]);
  // It goes on hearing.
  await until(400);
  expect(seen.compared.slice(2)).toEqual([130.05, 131.5, 133.05, 253.05]);
});

test('saves go on while a version is made, each is captured once, and none becomes a version before the one before it', async () => {
  let finish = () => undefined as void;
  const { seen, until, write, hear, handOver } = await start(
    { 'Song.als': 'one' },
    {
      commit: async (save) => {
        if (seen.saves.length === 0) await new Promise<void>((done) => (finish = done));
        return handOver(save);
      },
    },
  );
  for (const [i, text] of ['two', 'three', 'four 4'].entries()) {
    await until(10 + i * 10);
    write({ 'Song.als': text });
    hear('Song.als');
  }
  await until(35);
  expect(seen.saves).toEqual([]);
  expect(seen.noted.at(-1)).toBe('Song.als=two | Song.als=three | Song.als=four 4');
  finish();
  await until(36);
  const texts = ['two', 'three', 'four 4'];
  expect(seen.saves.map((save) => save.split(': ')[1])).toEqual(texts.map((text) => `Song.als=${text}`));
  expect(seen.captured.map((one) => one.split(': ')[1])).toEqual(texts.map((text) => `Song.als=${text}`));
  expect(seen.noted.at(-1)).toBe('');
});

test('what the process before this one had captured, and is overwritten by now, becomes a version first', async () => {
  const left: PendingSave[] = [
    {
      captured: [{ file: { path: 'Song.als', mode: '100644', oid: 'two' }, stat: lay }],
      deleted: [],
    },
  ];
  const noted: string[] = [];
  const { seen, until } = await start(
    { 'Song.als': 'three' },
    { pending: { read: async () => left, note: async (saves) => void noted.push(`${saves.length}`) } },
  );
  await until(10);
  expect(seen.saves).toEqual(['0: Song.als=two', expect.stringMatching(/: Song\.als=three$/)]);
  // Until it is a version it stays noted.
  expect(noted.slice(0, 2)).toEqual(['1', '1']);
  expect(noted.at(-1)).toBe('0');
});

const full = (detail: string) => new Failure('disk-full', { detail });

test('a version that cannot be made, and a file that cannot be stored, are tried again, and told once', async () => {
  let isFull = true;
  const { seen, until, write, hear, handOver } = await start(
    { 'Song.als': 'one', 'Other.als': 'one' },
    {
      capture: async (name) => {
        if (isFull && name === 'Other.als') throw full('no room for it');
        return { path: name, mode: '100644', oid: name };
      },
      commit: async (save) => {
        if (isFull) throw full('no room');
        return handOver(save);
      },
    },
  );
  await until(10);
  write({ 'Song.als': 'two' });
  hear('Song.als');
  await until(40);
  expect(told(seen.events, 'trouble')).toMatchObject([{ failure: { details: { detail: 'no room' } } }]);
  expect(seen.events.at(-1)).toMatchObject({
    state: 'held',
    why: 'later',
    detail: full('no room').message.slice(0, -1),
  });
  isFull = false;
  await until(80);
  expect(seen.saves).toHaveLength(1);
  isFull = true;
  write({ 'Other.als': 'two' });
  hear('Other.als');
  await until(120);
  expect(told(seen.events, 'trouble').slice(1)).toMatchObject([{ failure: { details: { detail: 'no room for it' } } }]);
  isFull = false;
  await until(130);
  expect(seen.saves).toHaveLength(2);
});

test('a trouble is told once, and again after a version was made', async () => {
  let isFull = true;
  const { seen, until, write, hear } = await start(
    { 'Song.als': 'one' },
    {
      pending: {
        read: async () => [],
        note: async () => {
          if (isFull) throw full('no room');
        },
      },
    },
  );
  await until(10);
  const troubles = () => told(seen.events, 'trouble').length;
  expect(troubles()).toBe(1);
  write({ 'Song.als': 'two' });
  hear('Song.als');
  await until(20);
  // The session is a version all the same.
  expect(seen.saves).toEqual(['13.05: Song.als=two']);
  expect(troubles()).toBe(2);
  isFull = false;
  await until(200);
  expect(troubles()).toBe(2);
});

test.each([
  ['runs out of watches', 'ENOSPC: System limit for number of file watchers reached'],
  ['lies on a network drive', 'the project lies on a network drive, SMB'],
])('a project that %s is looked at all the time, and that is said', async (what, reason) => {
  const isDrive = what.endsWith('drive');
  const { seen, until, write, failed } = await start(
    { 'Song.als': 'one' },
    isDrive ? { drive: async () => 'SMB' } : {},
  );
  await until(10);
  if (!isDrive) failed(reason, true);
  await until(19);
  write({ 'Song.als': 'two' });
  await until(29);
  expect(seen.events).toContainEqual({ event: 'scanning', reason });
  expect(seen.saves).toEqual([expect.stringMatching(/^2[2-5][.\d]*: Song.als=two$/)]);
});

test('where nothing is told a drive that takes long to compare is compared the more seldom', async () => {
  let compare = async () => undefined as void;
  const { seen, until, clock } = await start(
    { 'Song.als': 'one' },
    {
      drive: async () => 'SMB',
      changes: async () => {
        await compare();
        return [];
      },
    },
  );
  const at: number[] = [];
  compare = async () => {
    at.push(clock.monotonic());
    await clock.sleep(400);
  };
  await until(26);
  expect(at).toEqual([3000, 11_000, 19_000]);
  expect(seen.saves).toEqual([]);
});

test('a project of which the system cannot tell where it lies is watched all the same', async () => {
  const drive = async () => await Promise.reject(new Error('no such tool'));
  const { seen, until, write, hear } = await start({ 'Song.als': 'one' }, { drive });
  await until(10);
  write({ 'Song.als': 'two' });
  hear('Song.als');
  await until(20);
  expect(seen.saves).toEqual(['13.05: Song.als=two']);
});

test('a version that was left behind has its time, too, where the end has come before the start', async () => {
  const left = [
    { captured: [{ file: { path: 'Song.als', mode: '100644' as const, oid: 'two' }, stat: lay }], deleted: [] },
  ];
  let asked = 0;
  const { ended, inTheEnd } = await start(
    { 'Song.als': 'three' },
    {
      signal: AbortSignal.abort(),
      pending: { read: async () => left, note: async () => undefined },
      commit: async (_, noTimeLeft) => {
        asked += 1;
        await new Promise<void>((done) => noTimeLeft.addEventListener('abort', () => done()));
        return { outcome: 'later', reason: 'it had no time' };
      },
    },
  );
  await expect.poll(() => asked).toBe(1);
  inTheEnd.takes.done();
  inTheEnd.all.done();
  await ended;
});

test('an event that comes before what it tells of does not hide it until the next scan', async () => {
  const { seen, until, write, hear } = await start({ 'Song.als': 'one' });
  await until(10);
  hear('Song.als');
  await until(10.1);
  write({ 'Song.als': 'two' });
  await until(16);
  expect(seen.saves).toEqual(['14.5: Song.als=two']);
});

test('in the end a version has 2.5 s for its takes and 4 s in all; what cannot be made then stays noted', async () => {
  const asked: string[][] = [];
  const { seen, until, write, hear, end, inTheEnd } = await start(
    { 'Song.als': 'one' },
    {
      commit: async ({ settled }, noTimeLeft) => {
        asked.push(settled.map(({ path: name }) => name));
        await new Promise<void>((done) => noTimeLeft.addEventListener('abort', () => done()));
        throw new Failure('busy', {});
      },
    },
  );
  write({ 'Take.wav': 'take', 'Empty.txt': '' });
  hear('Take.wav');
  await until(20);
  write({ 'Song.als': 'two' });
  hear('Song.als');
  await until(24);
  const ended = end();
  await new Promise((done) => setImmediate(done));
  expect(asked.map((names) => names.toSorted())).toEqual([['Empty.txt', 'Take.wav']]);
  inTheEnd.takes.done();
  await expect.poll(() => asked.slice(1)).toEqual([['Empty.txt']]);
  inTheEnd.all.done();
  await ended;
  expect(asked).toHaveLength(2);
  expect(seen.noted.at(-1)).toBe('Song.als=two');
  // That it was broken off is no trouble.
  expect(told(seen.events, 'trouble')).toEqual([]);
});

test('the end does not wait for the next look', async () => {
  const { until, clock, end } = await start({ 'Song.als': 'one' });
  await until(10);
  await end();
  expect(clock.monotonic()).toBe(10_000);
});

test('in the end a session alone has all the time that is left, and none is begun after it', async () => {
  const first = byHand();
  const { seen, until, write, hear, end, inTheEnd, handOver } = await start(
    { 'Song.als': 'one' },
    {
      commit: async (save, noTimeLeft) => {
        await first.promise;
        return noTimeLeft.aborted ? { outcome: 'later', reason: 'it had no time' } : handOver(save);
      },
    },
  );
  for (const [i, text] of ['two', 'three', 'four 4'].entries()) {
    await until(10 + i * 10);
    write({ 'Song.als': text });
    hear('Song.als');
  }
  await until(40);
  const ended = end();
  inTheEnd.takes.done();
  await new Promise((done) => setImmediate(done));
  first.done();
  await expect.poll(() => seen.saves.length).toBe(3);
  await ended;
  expect(seen.noted.at(-1)).toBe('');
});

test('in the end no version is begun when the time is over', async () => {
  const first = byHand();
  const { seen, until, write, hear, end, inTheEnd, handOver } = await start(
    { 'Song.als': 'one' },
    {
      commit: async (save) => {
        await first.promise;
        return handOver(save);
      },
    },
  );
  for (const [i, text] of ['two', 'three'].entries()) {
    await until(10 + i * 10);
    write({ 'Song.als': text });
    hear('Song.als');
  }
  await until(30);
  const ended = end();
  for (const left of [inTheEnd.takes, inTheEnd.all]) {
    left.done();
    await new Promise((done) => setImmediate(done));
  }
  first.done();
  await ended;
  expect(seen.saves.map((save) => save.split(': ')[1])).toEqual(['Song.als=two']);
  expect(seen.noted.at(-1)).toBe('Song.als=three');
});
