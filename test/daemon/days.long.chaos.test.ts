import * as fs from 'node:fs/promises';
import path from 'node:path';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { expect, onTestFinished, test } from 'vitest';
import { runDaemon } from '../../src/daemon/run.ts';
import { git } from '../../src/git/run.ts';
import { bareRepository } from '../support/bare.ts';
import { asUsersHaveIt, user } from '../support/daemon.ts';
import { dice } from '../support/dice.ts';
import { descendants } from '../support/processes.ts';
import { rounds } from '../support/rounds.ts';
import { sandbox, write } from '../support/sandbox.ts';
import { virtualClock } from '../support/virtual-clock.ts';

/**
 * A month of the background process with the settings that users have, on a clock of our own; all else is real: files, git,
 * remotes, the system's file events. Saves, nights asleep, a lid closed in the middle of a save, a network and a disk that go
 * and come, git killed, a new start. Each save is published, once, in order; neither memory nor descriptors grow.
 */

const [second, minute, hour] = [1000, 60_000, 3_600_000];

/** Time passes when nothing has been going on for some turns: what the system has to tell is told by then. */
function isBusy(): () => boolean {
  let calm = 0;
  return () => {
    const works = process.getActiveResourcesInfo().some((kind) => /^(FSReq|Process|Pipe.*Req|TCP)/.test(kind));
    calm = works ? 0 : calm + 1;
    if (calm < 3) return true;
    calm = 0;
    return false;
  };
}

const gc = (): void => {
  setFlagsFromString('--expose-gc');
  (runInNewContext('gc') as () => void)();
};

test.runIf(process.platform === 'linux')(
  'a month of work and sleep, of networks and disks that come and go: each save is published once, in order, and nothing is left of the days',
  async () => {
    const days = rounds(30, 1);
    const { roll, pick } = dice(11);
    const owner = await user(asUsersHaveIt);
    for (const name of ['XDG_DATA_HOME', 'XDG_RUNTIME_DIR']) process.env[name] = owner.env[name];
    process.env['OXENVCS_PRIORITY'] = 'usual';
    const remotes = path.join(await sandbox(), 'remotes');
    const saved = new Map<string, number[]>();
    for (const name of ['One', 'Two 🎸', 'Three']) {
      const parent = path.join(remotes, name);
      await fs.mkdir(parent, { recursive: true });
      saved.set(await owner.song(name, await bareRepository({ parent })), []);
    }
    const songs = [...saved.keys()];
    const remoteOf = (song: string) => path.join(remotes, path.basename(song), 'song.git');

    const clock = virtualClock(undefined, isBusy());
    const said: string[] = [];
    const start = async () => {
      const told = new AbortController();
      const program = { version: '0', file: import.meta.filename };
      const ended = runDaemon({ program, clock, signal: told.signal, say: (line) => void said.push(line) });
      const before = said.length;
      const watched = () => said.slice(before).filter((line) => line.includes('Watching')).length;
      while (watched() < songs.length) await new Promise((done) => setTimeout(done, 10));
      return async () => {
        told.abort();
        expect(await ended).toEqual({ outcome: 'ended' });
      };
    };
    let stop = await start();
    onTestFinished(async () => {
      await stop();
      // It names this very process, which would be killed.
      await fs.rm(path.join(owner.daemonFolder, 'daemon.json'), { force: true });
    });

    let count = 0;
    const save = async (song: string, folder = song) => {
      count += 1;
      await write(folder, { 'Song.als.new': String(count) });
      await fs.rename(path.join(folder, 'Song.als.new'), path.join(folder, 'Song.als'));
      saved.get(song)?.push(count);
    };
    const published = async (song: string) => {
      const log = await git(remoteOf(song), ['log', '--reverse', '--format=%H', 'main', '--', 'Song.als']);
      const texts = await Promise.all(
        log
          .trim()
          .split('\n')
          .map(async (commit) => await git(remoteOf(song), ['show', `${commit}:Song.als`])),
      );
      return texts.filter((text) => text !== 'one').map(Number);
    };
    const events: (() => Promise<unknown>)[] = [
      // Its git is killed while a version is made, or sent.
      async () => {
        await save(pick(songs));
        await clock.sleep(3 * second + roll() * 200);
        for (const pid of descendants(process.pid)) {
          const name = await fs.readFile(`/proc/${pid}/comm`, 'utf8').catch(() => '');
          if (name.startsWith('git')) process.kill(pid, 'SIGKILL');
        }
      },
      // The lid is closed in the middle of a save.
      async () => {
        await save(pick(songs));
        await clock.sleep(roll() * 4 * second);
        clock.asleep(8 * hour * roll());
      },
      // No network, for a while.
      async () => {
        await fs.rename(remotes, `${remotes}.away`);
        for (let n = 0; n < 3; n++) {
          await save(pick(songs));
          await clock.sleep(20 * second + roll() * hour);
        }
        await fs.rename(`${remotes}.away`, remotes);
      },
      // A disk is unplugged, something is saved on it elsewhere, and it is plugged in again.
      async () => {
        const song = pick(songs);
        await fs.rename(song, `${song}.away`);
        await clock.sleep(hour * roll());
        await save(song, `${song}.away`);
        await fs.rename(`${song}.away`, song);
      },
      // A logout, and a login.
      async () => {
        await save(pick(songs));
        // It has settled: what is saved over it while nobody watches must not cost it.
        await clock.sleep((4 + roll() * 5) * second);
        await stop();
        await save(pick(songs));
        clock.asleep(hour * roll());
        stop = await start();
      },
    ];
    const used: { heap: number; rss: number; descriptors: number }[] = [];
    for (let day = 0; day < days; day++) {
      for (let n = 0; n < 3; n++) {
        await save(pick(songs));
        await clock.sleep(10 * second + roll() ** 4 * hour);
        if (roll() < 0.4) {
          await pick(events)();
          // Two saves within the quiet time are one.
          await clock.sleep(30 * second);
        }
      }
      for (const song of songs)
        for (let n = 0; (await published(song)).length < (saved.get(song)?.length ?? 0); n++) {
          if (n > 240) break; // hours
          await clock.sleep(minute);
        }
      for (const song of songs) {
        expect({ day, song, is: await published(song) }).toEqual({ day, song, is: saved.get(song) });
        expect(await git(song, ['status', '--porcelain'])).toBe('');
      }
      clock.asleep(10 * hour);
      await clock.sleep(minute);
      gc();
      const { heapUsed, rss } = process.memoryUsage();
      clock.waits.length = 0;
      used.push({ heap: heapUsed, rss, descriptors: (await fs.readdir('/proc/self/fd')).length });
    }
    expect(said.join('\n')).not.toMatch(/Nobody has caught this/);
    const mb = (what: 'heap' | 'rss') => used.map((one) => Math.round(one[what] / 1e6)).join(' ');
    // oxlint-disable-next-line no-console -- what it is played for
    console.log(
      `${count} saves in ${days} days; heap, MB: ${mb('heap')}; resident: ${mb('rss')}; descriptors: ${used.map((one) => one.descriptors).join(' ')}`,
    );
    // The first days warm up. What is left of each would add up.
    const middle = (part: number[]) => part.toSorted((a, b) => a - b)[Math.floor(part.length / 2)] ?? 0;
    const [first, last] = [used.slice(2, 10), used.slice(-8)];
    const of = (part: typeof used, what: keyof (typeof used)[number]) => middle(part.map((one) => one[what]));
    expect(of(last, 'descriptors')).toBeLessThanOrEqual(of(first, 'descriptors') + 2);
    expect(of(last, 'heap')).toBeLessThan(of(first, 'heap') + 10e6);
  },
);
