import { execFileSync } from 'node:child_process';
import * as fs from 'node:fs/promises';
import path from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { startNews } from '../../src/background/news.ts';
import { nothingWaits, type PublisherEvent, startPublisher } from '../../src/background/publisher.ts';
import { git, gitLine } from '../../src/git/run.ts';
import { lockContext } from '../../src/lock/context.ts';
import { acquireLock, releaseLock } from '../../src/lock/lease.ts';
import { cachedStatus } from '../../src/lock/status.ts';
import { defaults } from '../../src/model/config.ts';
import { Failure } from '../../src/model/failures.ts';
import { readTries } from '../../src/network/tries.ts';
import { type Project, remoteUrl } from '../../src/project/project.ts';
import { readAttempts } from '../../src/queue/attempts.ts';
import { beginRescue, endRescue, noteRescued } from '../../src/push/rescue.ts';
import { listQueue, noteRescue, removeEntries } from '../../src/queue/entries.ts';
import { lookAtQueue } from '../../src/queue/rebuild.ts';
import { publishQueue } from '../../src/sync/publish.ts';
import { type Clock, systemClock } from '../../src/system/clock.ts';
import { readText } from '../../src/system/disk.ts';
import { noDaw } from '../support/band.ts';
import { fileRemote, httpRemote, isPush } from '../support/remotes.ts';
import { projectWithRemote } from '../support/project.ts';
import { team, version } from '../support/team.ts';

const network = { maxRetries: 0, initialBackoffMs: 100, maxBackoffMs: 200, timeoutMs: 30_000, probeSeconds: 0.4 };

interface Background {
  project: Project;
  events: PublisherEvent[];
  publisher: ReturnType<typeof startPublisher>;
  save: () => Promise<string>;
}

/** A project with one version to publish, and its publisher. Ends with the test. */
async function background(
  url: string | null,
  settings: Partial<Project['config']> = {},
  { clock = systemClock, noRoom }: { clock?: Clock; noRoom?: () => Promise<Failure | null> } = {},
): Promise<Background> {
  const made = await projectWithRemote();
  const project = {
    ...made.project,
    config: { ...made.project.config, network, pull: { auto: true, pollSeconds: 0.1 }, ...settings },
  };
  if (url !== null) await git(project.root, ['remote', 'set-url', 'origin', url]);
  const events: PublisherEvent[] = [];
  const publisher = startPublisher(project, clock, (event) => events.push(event), noRoom);
  onTestFinished(async () => await publisher.stop());
  const save = async () => {
    await git(project.root, ['commit', '--quiet', '--allow-empty', '-m', 'a save']);
    publisher.wantLock(['Song.als']);
    publisher.wake();
    return await gitLine(project.root, ['rev-parse', 'HEAD']);
  };
  return { project, events, publisher, save };
}

async function until(what: string, holds: () => boolean | Promise<boolean>): Promise<void> {
  for (const end = Date.now() + 30_000; !(await holds()); await systemClock.sleep(20))
    if (Date.now() > end) throw new Error(`it never came to be that ${what}`);
}

const published = ({ events }: Background) => events.some(({ event }) => event === 'published');
const waits = ({ events }: Background) => events.some(({ event }) => event === 'not-published');

test('while the host is away one project asks for all, nothing is pushed blindly, and all is published when it is back', async () => {
  const remote = await httpRemote();
  const other = path.join(path.dirname(remote.dir), 'other.git');
  await git(path.dirname(remote.dir), ['clone', '--quiet', '--bare', remote.dir, other]);
  await git(other, ['config', 'http.receivepack', 'true']);
  remote.trouble = () => ({ status: 503 });
  const ann = await background(remote.url);
  await until('the first one waits', () => waits(ann));
  const ben = await background(remote.url.replace('song.git', 'other.git'));
  await until('both wait', () => waits(ben));
  const of = (name: string) => remote.requests.filter((request) => request.includes(`/${name}.git/`)).length;
  const asked = { song: of('song'), other: of('other') };
  const saves = [await ann.save(), await ben.save()];
  const news = startNews(ben.project, noDaw, systemClock, () => undefined);
  await until('the first one has asked three times more', () => of('song') >= asked.song + 3);
  expect(of('other')).toBe(asked.other);
  await news.stop();
  // The work goes on, and what it began on is noted.
  const { entries } = await lookAtQueue(ben.project);
  expect(entries.map(({ kind }) => kind).toSorted()).toEqual(['intent', 'publish', 'publish']);
  expect(ben.events).toContainEqual(expect.objectContaining({ event: 'not-published', versions: 2 }));
  remote.trouble = () => null;
  await until('both are published', () => published(ann) && published(ben));
  expect([await gitLine(remote.dir, ['rev-parse', 'main']), await gitLine(other, ['rev-parse', 'main'])]).toEqual(
    saves,
  );
  expect((await lookAtQueue(ben.project)).entries).toEqual([]);
});

test('work that begins as the host goes away is noted with what it began on, though a save is made before that is known', async () => {
  const remote = await httpRemote();
  const ann = await background(remote.url);
  await until('the first version is published', () => published(ann));
  await releaseLock(await lockContext(ann.project, systemClock));
  const { root } = ann.project;
  const base = await gitLine(root, ['rev-parse', 'HEAD']);
  remote.trouble = () => {
    execFileSync('git', ['commit', '--quiet', '--allow-empty', '-m', 'a save'], { cwd: root });
    remote.trouble = () => ({ status: 503 });
    return { status: 503 };
  };
  ann.publisher.wantLock(['Song.als']);
  await until('it is noted', async () => (await listQueue(ann.project, 'intent')).entries.length > 0);
  const { entries } = await listQueue(ann.project, 'intent');
  expect(entries).toMatchObject([{ commit: base, base, paths: ['Song.als'] }]);
  expect(await gitLine(root, ['rev-parse', 'HEAD~'])).toBe(base);
});

test('a save on a branch that is not published takes the lock from nobody', async () => {
  const ann = await background(null);
  await until('the first version is published', () => published(ann));
  await ann.publisher.stop();
  const ctx = await lockContext(ann.project, systemClock);
  await releaseLock(ctx);
  await git(ann.project.root, ['switch', '--quiet', '--create', 'idea']);
  const events: PublisherEvent[] = [];
  const publisher = startPublisher(ann.project, systemClock, (event) => events.push(event));
  onTestFinished(async () => await publisher.stop());
  publisher.wantLock(['Song.als']);
  await systemClock.sleep(500);
  expect([events, await cachedStatus(ctx)]).toMatchObject([[], { held: false }]);
  // Back on the team's branch it is wanted again.
  await git(ann.project.root, ['switch', '--quiet', 'main']);
  publisher.wantLock(['Song.als']);
  await until('it is ours', () => events.some(({ event }) => event === 'locked'));
});

test('a remote that answers but fails each push is tried ever more seldom; by hand it is tried at once', async () => {
  const remote = await httpRemote();
  const tries: string[] = [];
  remote.trouble = (request) => {
    if (!isPush(request)) return null;
    tries.push(String(request.url));
    return { status: 500 };
  };
  const { project, events, publisher, save } = await background(remote.url);
  // A push that was under way when the lock's failed gets what is left of that wait: the waits grow, but not each one.
  const growing = [50, 200, 400, 800];
  let [grown, last] = [0, -1];
  await until('the waits have grown four times', async () => {
    // A save that comes meanwhile is no reason to try sooner.
    await save();
    const [attempt] = await readAttempts(project);
    const isNew = attempt?.state === 'failed' && attempt.delayMs !== last;
    if (isNew && attempt.delayMs >= (growing[grown] ?? 0)) grown++;
    last = attempt?.delayMs ?? last;
    return grown === growing.length;
  });
  // Each try is two pushes at most: the lock, and the branch. Every 0.1 s there would be one without a breaker.
  expect(tries.length).toBeLessThanOrEqual(12);
  const before = tries.length;
  await publishQueue(project, {
    clock: systemClock,
    signal: new AbortController().signal,
    patienceMs: 10_000,
    urgency: 'by-hand',
  });
  expect(tries.length).toBeGreaterThan(before);
  // No save comes, and nobody asks for it: it goes out by itself when it can.
  remote.trouble = () => null;
  await until('it is published', () => events.some(({ event }) => event === 'published'));
  expect(await gitLine(remote.dir, ['rev-parse', 'main'])).toBe(await gitLine(project.root, ['rev-parse', 'HEAD']));
  await publisher.stop();
  const told = (await readTries(project.root, (await remoteUrl(project)) ?? '')).map(
    ({ op, failure }) => `${op} ${failure?.code ?? 'ok'}`,
  );
  expect(told).toEqual(expect.arrayContaining(['push OFFLINE', 'push ok']));
  // What was not due yet was no try.
  expect(told.filter((one) => one === 'push OFFLINE').length).toBeLessThanOrEqual(before);
});

test('who has turned it off sends nothing and takes no lock, and what waits is in the queue all the same', async () => {
  const ann = await background(null, {
    lock: { ...defaults.lock, auto: false },
    push: { ...defaults.push, auto: false },
  });
  await ann.save();
  await until('it waits', async () => (await listQueue(ann.project)).entries.length === 2);
  await systemClock.sleep(300);
  await ann.publisher.stop();
  expect(ann.events).toEqual([]);
});

test('what finds no room on the disk waits in the queue, and goes out by itself within a minute of there being room', async () => {
  const waits: number[] = [];
  const sleep: Clock['sleep'] = async (ms, signal) => {
    waits.push(ms);
    await systemClock.sleep(Math.min(ms, 200), signal);
  };
  const full = new Failure('disk-low', { dir: '/', free: '1 GB', reserve: '2 GB', ours: '1 GB' });
  let isFull = true;
  const noRoom = async () => (isFull ? full : null);
  const ann = await background(null, {}, { clock: { ...systemClock, sleep }, noRoom });
  await until('it is told', () => ann.events.length > 0);
  const [first] = ann.events;
  expect(first).toMatchObject({ event: 'not-published', versions: 1, failure: { row: 'disk-low' } });
  // It is told when it is really looked again.
  expect(first?.event === 'not-published' && first.retryMs).toBeGreaterThan(55_000);
  expect((await listQueue(ann.project)).entries).toHaveLength(1);
  await until('it has been looked again', () => waits.filter((ms) => ms === 60_000).length > 1);
  // It is told once.
  expect(ann.events).toHaveLength(1);
  isFull = false;
  await until('it is published', () => published(ann));
});

test('what goes wrong on this computer is told once and tried ever more seldom, up to a minute; then all is as before', async () => {
  const waits: number[] = [];
  const sleep: Clock['sleep'] = async (ms, signal) => {
    if (ms < 86_400_000) waits.push(ms);
    await systemClock.sleep(ms < 86_400_000 ? 1 : ms, signal);
  };
  let isWrong = true;
  const noRoom = async () => {
    if (isWrong) throw new Error('too many open files');
    return null;
  };
  const ann = await background(null, {}, { clock: { ...systemClock, sleep }, noRoom });
  await until('it was tried ten times', () => waits.length >= 10);
  isWrong = false;
  await until('it is published', () => published(ann));
  const seconds = waits.slice(0, 10).map((ms) => Math.round(ms) / 1000);
  for (const [i, longest] of [1, 2, 4, 8, 16, 32, 60, 60, 60, 60].entries()) {
    expect(seconds[i]).toBeLessThanOrEqual(longest);
    expect(seconds[i]).toBeGreaterThan(longest / 2 - 0.2);
  }
  expect(ann.events.filter(({ event }) => event === 'not-published')).toHaveLength(1);
  await until('it rests', async () => (await listQueue(ann.project)).entries.length === 0);
  isWrong = true;
  const before = waits.length;
  await ann.save();
  await until('it was tried again', () => waits.length > before);
  expect(waits[before]).toBeLessThanOrEqual(1000);
  // After a success it is news.
  expect(ann.events.filter(({ event }) => event === 'not-published')).toHaveLength(2);
});

test('who has the lock is told as work begins, and again only with more versions that wait for it', async () => {
  const remote = await fileRemote();
  const [ann, ben] = await team(remote.url, ['Ann', 'Ben']);
  if (!ann || !ben) throw new Error('two were asked for');
  await acquireLock(ben.ctx, { how: 'hand' });
  const events: PublisherEvent[] = [];
  const publisher = startPublisher(ann.project, systemClock, (event) => events.push(event));
  onTestFinished(async () => await publisher.stop());
  const told = () => events.map((one) => ('versions' in one ? `${one.event} ${one.versions}` : one.event));
  const asked = async () => (await readTries(ann.project.root, remote.url)).filter(({ op }) => op === 'lock').length;
  const begins = async () => {
    const before = await asked();
    publisher.wantLock(['Song.als']);
    await until('it has been asked for', async () => (await asked()) > before);
  };
  await begins();
  await begins();
  for (const versions of [1, 2]) {
    await version(ann);
    publisher.wake();
    await until('it is told', () => told().at(-1) === `waiting ${versions}`);
    await begins();
  }
  publisher.look();
  await begins();
  expect(told()).toEqual(['waiting 0', 'waiting 1', 'waiting 2']);
});

test('something waits where versions, entries of the queue or a rescue do, and where it cannot be told', async () => {
  const { project } = await projectWithRemote();
  expect(await nothingWaits(project)).toBe(false);
  await git(project.root, ['push', '--quiet', 'origin', 'HEAD:main']);
  expect(await nothingWaits(project)).toBe(true);
  const commit = await gitLine(project.root, ['rev-parse', 'HEAD']);
  const createdAt = new Date().toISOString();
  await noteRescue(project, { commit, branch: 'oxenvcs/rescue/ann/20261124T080000Z', createdAt });
  expect(await nothingWaits(project)).toBe(false);
  await removeEntries(project, (await listQueue(project)).entries);
  expect(await nothingWaits(project)).toBe(true);
  await noteRescued(project, await beginRescue(project, await lockContext(project, systemClock)));
  expect(await nothingWaits(project)).toBe(false);
  await endRescue(project);
  await fs.writeFile(path.join(project.root, '.oxenvcs/queue/1-publish.json'), 'torn');
  expect(await nothingWaits(project)).toBe(false);
  await git(project.root, ['update-ref', '-d', 'refs/heads/main']);
  await git(project.root, ['update-ref', '-d', 'refs/remotes/origin/main']);
  expect(await nothingWaits(project)).toBe(false);
});

test('the end does not wait for a server that does not answer', async () => {
  const remote = await httpRemote();
  let isAsked = false;
  remote.trouble = () => {
    isAsked = true;
    return 'hang';
  };
  const ann = await background(remote.url, { network: { ...network, timeoutMs: 600_000 } });
  await until('a push is under way', () => isAsked);
  await ann.publisher.stop();
  expect(ann.events).toEqual([]);
});

test('a server that asks to be left alone is left alone: no try, no question, also after a restart', async () => {
  const remote = await httpRemote();
  remote.trouble = () => ({ status: 429, headers: { 'Retry-After': '60' } });
  const ann = await background(remote.url);
  await until('it was told so', () => waits(ann));
  const [attempt] = await readAttempts(ann.project);
  expect(attempt?.delayMs).toBeGreaterThanOrEqual(60_000);
  const asked = remote.requests.length;
  await ann.save();
  // Longer than a question is apart from the next.
  await systemClock.sleep(1000);
  await ann.publisher.stop();
  const again = startPublisher(ann.project, systemClock, () => undefined);
  await systemClock.sleep(500);
  await again.stop();
  expect(remote.requests).toHaveLength(asked);
});

test('what is turned down for the way to the remote is tried again within a quarter of an hour, and not before', async () => {
  const auth = { user: 'ann', password: 'secret' };
  const remote = await httpRemote({ auth });
  let sleeps: (() => void)[] = [];
  let ms = 0;
  const sleep = async (wait: number, signal?: AbortSignal) =>
    await new Promise<void>((resolve, reject) => {
      if (wait === 900_000 - ms) sleeps.push(resolve);
      signal?.addEventListener('abort', () => reject(new Error('rung')), { once: true });
    });
  const clock = { ...systemClock, monotonic: () => ms, sleep };
  const ann = await background(remote.url.replace('//', '//ann:new@'), {}, { clock });
  await until('it was turned down, and waits', () => waits(ann) && sleeps.length > 0);
  auth.password = 'new';
  const asked = remote.requests.length;
  sleeps = [];
  ms = 60_000;
  ann.publisher.look();
  await until('it waits again', () => sleeps.length > 0);
  expect(remote.requests).toHaveLength(asked);
  ms = 900_000;
  for (const over of sleeps) over();
  await until('it is published', () => published(ann));
});

test('a push is broken off when it is held, nothing is sent meanwhile, and all goes out afterwards', async () => {
  const remote = await httpRemote();
  let [pushes, stalls] = [0, true];
  remote.trouble = (request) => {
    if (!isPush(request)) return null;
    pushes += 1;
    return stalls ? 'hang' : null;
  };
  const ann = await background(remote.url);
  await until('a push is under way', () => pushes > 0);
  // It is over before the push has ended: nothing is wrong with the remote.
  ann.publisher.hold('recording goes on');
  ann.publisher.hold(null);
  await until('it goes on', () => pushes > 1);
  ann.publisher.hold('recording goes on');
  stalls = false;
  await ann.save();
  const waiting = async () => (await lookAtQueue(ann.project)).entries.filter(({ kind }) => kind === 'publish').length;
  // What waits is in the queue all the same.
  await until('both versions wait', async () => ann.events.length > 0 && (await waiting()) === 2);
  await systemClock.sleep(500);
  // The lock is taken for the work that goes on: a few hundred bytes.
  expect(ann.events).toEqual([{ event: 'locked', outcome: 'acquired' }]);
  expect(await waiting()).toBe(2);
  ann.publisher.hold(null);
  await until('all is published', () => published(ann));
  const tip = async () => await gitLine(ann.project.root, ['rev-parse', 'HEAD']);
  expect(await gitLine(remote.dir, ['rev-parse', 'main'])).toBe(await tip());

  // It ends just while is noted what waits.
  ann.publisher.hold('recording goes on');
  await git(ann.project.root, ['commit', '--quiet', '--allow-empty', '-m', 'a save']);
  ann.publisher.wake();
  await systemClock.sleep(5);
  ann.publisher.hold(null);
  await until('it is published, too', async () => (await gitLine(remote.dir, ['rev-parse', 'main'])) === (await tip()));
});

test('where nobody has worked for days the start takes no dozen of processes, and what was committed by hand goes out', async () => {
  const { project, dir } = await projectWithRemote();
  await git(project.root, ['push', '--quiet', 'origin', 'HEAD:main']);
  const trace = path.join(dir, 'trace');
  const events: PublisherEvent[] = [];
  const start = () => startPublisher(project, systemClock, (event) => events.push(event), undefined, 3 * 86_400_000);
  process.env['GIT_TRACE2'] = trace;
  onTestFinished(() => void delete process.env['GIT_TRACE2']);
  const first = start();
  await until('it has looked', async () => (await readText(trace)) !== null);
  await systemClock.sleep(500);
  await first.stop();
  delete process.env['GIT_TRACE2'];
  // Where its refs are.
  expect((await readText(trace))?.match(/ start /g)).toHaveLength(1);
  await git(project.root, ['commit', '--quiet', '--allow-empty', '-m', 'by hand']);
  const second = start();
  onTestFinished(async () => await second.stop());
  await until('it is published', () => events.some(({ event }) => event === 'published'));
});
