import { appendFileSync } from 'node:fs';
import * as fs from 'node:fs/promises';
import path from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { git, gitLine } from '../../src/git/run.ts';
import { exists } from '../../src/system/disk.ts';
import { until, user } from '../support/daemon.ts';
import { dice } from '../support/dice.ts';
import { type HttpRemote, httpRemote, isPush } from '../support/http-remote.ts';
import { isRunning, killTree } from '../support/processes.ts';
import { type Proxy, proxy } from '../support/proxy.ts';
import { rounds } from '../support/rounds.ts';
import { saves } from '../support/saves.ts';
import { write } from '../support/sandbox.ts';

/** As systems do it: they ask once, and after so long nothing is left of it. ms. */
const graceMs = 5000;

/**
 * Tidying waits for minutes in which nothing stirs, and so long again where it was disturbed: these pass in a moment. Of the clock's other
 * waits none is as long, but for the heartbeat's, which is longer.
 */
const hurried = `data:text/javascript,${encodeURIComponent(`
  import timers from 'node:timers/promises';
  import { syncBuiltinESMExports } from 'node:module';
  const sleep = timers.setTimeout;
  timers.setTimeout = (ms, ...more) => sleep(ms > 200000 && ms < 600000 ? 300 : ms, ...more);
  syncBuiltinESMExports();
`)}`;

interface Place {
  song: string;
  remote: HttpRemote;
  line: Proxy;
  save: (text: string) => Promise<void>;
  roll: () => number;
}

/** What the session holds, version by version. */
async function texts(repository: string): Promise<string[]> {
  const commits = (await git(repository, ['rev-list', '--reverse', 'main', '--', 'Song.als'])).trim().split('\n');
  return await Promise.all(commits.map(async (commit) => await git(repository, ['show', `${commit}:Song.als`])));
}

const isVersion = async (song: string, text: string) =>
  await until(`${text} is a version`, async () => (await texts(song)).at(-1) === text);

/** Captured, and noted on the disk: its version waits. */
async function isCaptured(song: string, text: string): Promise<void> {
  const oid = (await git(song, ['hash-object', '--stdin'], { input: text })).trim();
  await until(`${text} is captured`, async () => (await git(song, ['for-each-ref', 'refs/oxenvcs'])).includes(oid));
}

/**
 * What can be under way when the session ends, after the saves `two` and `three` have settled. Each resolves when it is, and
 * gives what ends it.
 */
const underWay: Record<string, (place: Place) => Promise<() => unknown>> = {
  'a network that moves nothing': async ({ song, line, save }) => {
    await line.set('stall');
    for (const text of ['two', 'three']) {
      await save(text);
      await isVersion(song, text);
    }
    return async () => await line.set('pass');
  },
  'a push that is never answered': async ({ song, remote, save }) => {
    let pushes = 0;
    remote.trouble = (request) => (isPush(request) && ++pushes > 0 ? 'hang' : null);
    await save('two');
    await isVersion(song, 'two');
    await until('it is being pushed', async () => pushes > 0);
    await save('three');
    await isVersion(song, 'three');
    return () => (remote.trouble = () => null);
  },
  'a fetch that is never answered': async ({ song, remote, save }) => {
    let fetches = 0;
    remote.trouble = ({ url = '' }) => (url.includes('upload-pack') && ++fetches > 0 ? 'hang' : null);
    for (const text of ['two', 'three']) {
      await save(text);
      await isVersion(song, text);
    }
    await until('it is asked', async () => fetches > 0);
    return () => (remote.trouble = () => null);
  },
  'takes that are stored for minutes': async ({ song, save }) => {
    const disk = path.join(song, '.git', 'the disk is slow');
    await fs.writeFile(disk, '');
    await git(song, ['config', 'filter.slow.clean', `while [ -e "${disk}" ]; do sleep 0.05; done; cat`]);
    await write(song, { '.git/info/attributes': '*.wav filter=slow\n', 'Take.wav': 'take' });
    await save('two');
    const note = path.join(song, '.oxenvcs/state/watcher.json');
    await until('it is being made', async () =>
      (await fs.readFile(note, 'utf8').catch(() => '')).includes('committing'),
    );
    await save('three');
    await isCaptured(song, 'three');
    return async () => await fs.rm(disk);
  },
  'a take that grows': async ({ song, save }) => {
    const growing = setInterval(() => appendFileSync(path.join(song, 'Take.wav'), 'RIFF'), 50);
    onTestFinished(() => clearInterval(growing));
    await save('two');
    await isCaptured(song, 'two');
    await save('three');
    await isVersion(song, 'two');
    await isCaptured(song, 'three');
    return () => clearInterval(growing);
  },
  'another session that is half written': async ({ song, save }) => {
    const other = await fs.open(path.join(song, 'Mix.als'), 'w');
    await other.write('half of ');
    await save('two');
    await isCaptured(song, 'two');
    await save('three');
    await isVersion(song, 'two');
    await isCaptured(song, 'three');
    return async () => {
      expect(await git(song, ['ls-tree', '--name-only', 'main'])).not.toContain('Mix.als');
      await other.write('it');
      await other.close();
    };
  },
  'many sessions that are being tidied': async ({ song, save, roll }) => {
    // Small ones, so that its end is met too: where the new pack gets its name, and the old objects go.
    const blobs = await saves(song, 150, 5000 + roll() * 100_000, roll, 'idea');
    for (const text of ['two', 'three']) {
      await save(text);
      await isVersion(song, text);
    }
    await until('it is tidied', async () => await exists(path.join(song, '.git/gc.pid')));
    return async () =>
      expect(await git(song, ['cat-file', '--batch-check'], { input: blobs.join('\n') })).not.toMatch(/missing/);
  },
};

/** How many objects lie loose. */
const loose = async (song: string): Promise<number> => Number.parseInt(await git(song, ['count-objects']), 10);

test('told to end, and killed 5 s later with all that it started: what had settled is a version that waits in the queue, whatever was under way, and the next start goes on from there', async () => {
  const { roll } = dice(3);
  for (let round = 0; round < rounds(30, 30); round++) {
    const { run, song: init, daemonPid } = await user({ NODE_OPTIONS: `--import ${hurried}` });
    const names = Object.keys(underWay)
      .map((name) => ({ name, at: roll() }))
      .toSorted((a, b) => a.at - b.at)
      .slice(0, 2);
    const places = await Promise.all(
      names.map(async ({ name }) => {
        const remote = await httpRemote();
        const line = await proxy(remote);
        const song = await init(name, line.url(remote.url));
        const save = async (text: string) => {
          await write(song, { 'Song.als.tmp': text });
          await fs.rename(path.join(song, 'Song.als.tmp'), path.join(song, 'Song.als'));
        };
        return { name, song, remote, line, save, roll };
      }),
    );
    const tip = async (one: Place, ref = 'refs/heads/main') =>
      await gitLine(one.song, ['for-each-ref', '--format=%(objectname)', ref]);
    const isPublished = async (one: Place) => (await tip(one, 'refs/remotes/origin/main')) === (await tip(one));
    await run(['daemon', 'start']);
    for (const one of places) await until('it is published', async () => await isPublished(one));
    const ends = await Promise.all(places.map(async (one) => await underWay[one.name]?.(one)));
    await new Promise((done) => setTimeout(done, roll() * 500));

    const pid = await daemonPid();
    process.kill(pid, 'SIGTERM');
    for (const end = Date.now() + graceMs; isRunning(pid) && Date.now() < end; )
      await new Promise((done) => setTimeout(done, 20));
    killTree(pid);
    await until('it is gone', async () => !isRunning(pid));
    for (const one of places) {
      const { name, song } = one;
      const last = await tip(one);
      const queue = await run(['queue', 'list', '--json'], song);
      const waits = (await isPublished(one)) || queue.stdout.includes(last);
      expect({ name, made: await texts(song), waits }).toEqual({ name, made: ['one', 'two', 'three'], waits: true });
      expect(await git(song, ['fsck', '--strict', '--no-dangling'])).toBe('');
    }
    for (const end of ends) await end?.();
    await run(['daemon', 'start']);
    for (const one of places) {
      await until(
        'all is published',
        async () => (await isPublished(one)) && (await git(one.song, ['status', '--porcelain', '--', '*.als'])) === '',
      );
      expect(await texts(one.remote.dir)).toEqual(['one', 'two', 'three']);
      expect(await git(one.song, ['for-each-ref', 'refs/oxenvcs/captured'])).toBe('');
      // Below this it is not worth it.
      await until('all is tidy', async () => (await loose(one.song)) <= 300);
    }
    killTree(await daemonPid());
  }
});
