import * as fs from 'node:fs/promises';
import path from 'node:path';
import { expect, test } from 'vitest';
import { git, gitLine } from '../../src/git/run.ts';
import { descendants, isRunning } from '../support/processes.ts';
import { dice } from '../support/dice.ts';
import { user } from '../support/daemon.ts';
import { bareRepository } from '../support/bare.ts';
import { roundsFor } from '../support/rounds.ts';
import { sandbox, write } from '../support/sandbox.ts';

/**
 * The whole background process with several projects, day after day: saves, its git killed, itself killed or told to end, the
 * computer asleep, the network gone, a disk unplugged. Every evening each project's last save is published, what was published
 * came in order and once, and nothing of the day is left: neither descriptors nor memory.
 */

const wait = async (ms: number) => await new Promise((done) => setTimeout(done, ms));

/** However busy the computer is: only what never comes to be fails, after five minutes. */
async function until(what: string, holds: () => Promise<boolean>): Promise<void> {
  for (const end = Date.now() + 300_000; !(await holds()); await wait(100))
    if (Date.now() > end) throw new Error(`it never came to be that ${what}`);
}

async function studio(names: readonly string[]) {
  const owner = await user();
  const remotes = path.join(await sandbox(), 'remotes');
  const songs: string[] = [];
  for (const name of names) {
    await fs.mkdir(path.join(remotes, name), { recursive: true });
    songs.push(await owner.song(name, await bareRepository({ parent: path.join(remotes, name) })));
  }
  const start = async () =>
    expect((await owner.run(['daemon', 'start', '--json'])).json()).toMatchObject({ running: true });
  return { ...owner, songs, remotes, start };
}

/** What a project's session held, version by version, as the remote has it. */
async function published(song: string): Promise<number[]> {
  const remote = await gitLine(song, ['remote', 'get-url', 'origin']);
  const commits = (await git(remote, ['rev-list', '--reverse', '--first-parent', 'main', '--', 'Song.als']))
    .trim()
    .split('\n');
  const texts: string[] = [];
  for (const commit of commits) texts.push(await git(remote, ['show', `${commit}:Song.als`]));
  return texts.filter((text) => text !== 'one').map(Number);
}

/** Bytes, and how many descriptors. */
async function used(pid: number): Promise<{ memory: number; descriptors: number }> {
  const status = await fs.readFile(`/proc/${pid}/status`, 'utf8');
  const descriptors = (await fs.readdir(`/proc/${pid}/fd`)).length;
  return { memory: Number(/RssAnon:\s+(\d+)/.exec(status)?.[1]) * 1024, descriptors };
}

const kill = (pid: number, signal: NodeJS.Signals) => {
  try {
    process.kill(pid, signal);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error; // it was quicker
  }
};

const names = ['One', 'Two 🎸', 'Three', 'Four', 'Five'];
const middle = (part: number[]) => part.toSorted((a, b) => a - b)[Math.floor(part.length / 2)] ?? 0;

test.runIf(process.platform === 'linux').each([
  ['left alone', false],
  ['killed and started anew', true],
])(
  'days of work, %s: each last save is published, all came in order and once, and nothing is left of the days',
  async (_, kills) => {
    const { roll, pick } = dice(6);
    const days: { memory: number; descriptors: number }[] = [];
    const last = new Map<string, number>();
    let [saves, home] = [0, null as Awaited<ReturnType<typeof studio>> | null];
    // A day takes half a minute.
    for (const day of roundsFor({ few: 2, minutes: 10 })) {
      home ??= await studio(names);
      const { songs, remotes, start, daemonPid } = home;
      if (day === 0) await start();
      const away = new Set<string>();
      const save = async () => {
        const song = pick(songs.filter((one) => !away.has(one)));
        saves += 1;
        await write(song, { 'Song.als.new': String(saves) });
        await fs.rename(path.join(song, 'Song.als.new'), path.join(song, 'Song.als'));
        last.set(song, saves);
      };
      const events: (() => Promise<unknown>)[] = [
        async () => descendants(await daemonPid()).forEach((pid) => kill(pid, 'SIGKILL')),
        async () => {
          const pid = await daemonPid();
          kill(pid, 'SIGSTOP');
          await wait(1000);
          kill(pid, 'SIGCONT');
        },
        async () => {
          await fs.rename(remotes, `${remotes}.away`);
          await save();
          await wait(1000);
          await fs.rename(`${remotes}.away`, remotes);
        },
        async () => {
          const song = pick(songs);
          away.add(song);
          const elsewhere = path.join(path.dirname(song), 'away', path.basename(song));
          await fs.mkdir(path.dirname(elsewhere), { recursive: true });
          await fs.rename(song, elsewhere);
          await save();
          await wait(1000);
          await fs.rename(elsewhere, song);
          away.delete(song);
        },
      ];
      if (kills)
        for (const signal of ['SIGKILL', 'SIGTERM'] as const)
          events.push(async () => {
            const pid = await daemonPid();
            kill(pid, signal);
            await until('it is gone', async () => !isRunning(pid));
            await save();
            await start();
          });
      for (let step = 0; step < 20; step++) {
        await save();
        if (roll() < 0.3) await pick(events)();
        await wait(roll() * 1000);
      }
      for (const song of songs.filter((one) => last.has(one))) {
        await until(
          `${path.basename(song)} has published ${last.get(song)}`,
          async () => (await published(song)).at(-1) === last.get(song),
        );
        const all = await published(song);
        expect(all).toEqual([...new Set(all)].toSorted((a, b) => a - b));
        expect(await git(song, ['status', '--porcelain'])).toBe('');
      }
      expect(await home.log()).not.toMatch(/Nobody has caught this/);
      await wait(2000);
      days.push(await used(await daemonPid()));
    }
    const mb = days.map(({ memory }) => Math.round(memory / 1e6));
    // oxlint-disable-next-line no-console -- what a game of an hour is played for
    console.log(
      `${saves} saves in ${days.length} days; MB: ${mb.join(' ')}; descriptors: ${days.map((one) => one.descriptors).join(' ')}`,
    );
    if (kills) return;
    // The first day warms up. What is left of each day would add up.
    const [first, third] = [days[1] ?? days[0], Math.ceil(days.length / 3)];
    expect(Math.max(...days.map(({ descriptors }) => descriptors))).toBeLessThanOrEqual((first?.descriptors ?? 0) + 5);
    expect(middle(mb.slice(-third))).toBeLessThan(middle(mb.slice(1, third + 1)) + 30);
  },
);
