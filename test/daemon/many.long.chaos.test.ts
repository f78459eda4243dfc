import { appendFileSync } from 'node:fs';
import * as fs from 'node:fs/promises';
import path from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { git, gitLine } from '../../src/git/run.ts';
import { user } from '../support/daemon.ts';
import { isRunning } from '../support/processes.ts';
import { rounds } from '../support/rounds.ts';
import { write } from '../support/sandbox.ts';

const wait = async (ms: number) => await new Promise((done) => setTimeout(done, ms));

/** However busy the computer is: only what never comes to be fails, after five minutes. */
async function until(what: string, holds: () => Promise<boolean>): Promise<void> {
  for (const end = Date.now() + 300_000; !(await holds()); await wait(100))
    if (Date.now() > end) throw new Error(`it never came to be that ${what}`);
}

/** As DAWs do it: beside it and renamed, where nobody ever sees half of it, or in place. */
async function save(song: string, text: string): Promise<void> {
  if (Number(song.at(-1)) % 2 === 1) return await write(song, { 'Song.als': text });
  await write(song, { 'Song.als.tmp': text });
  await fs.rename(path.join(song, 'Song.als.tmp'), path.join(song, 'Song.als'));
}

const head = async (song: string) => await git(song, ['show', 'HEAD:Song.als']);

test('twenty projects, one damaged, one unplugged, one with 300 MB of takes: the others never notice; a logout loses nothing that had settled, and after a kill a new one goes on at once', async () => {
  const count = rounds(20, 1);
  const { run, song, daemonPid, log } = await user({ OXENVCS_WATCH_QUIET_SECONDS: '1' });
  const songs: string[] = [];
  for (let n = 0; n < count; n++) songs.push(await song(`Song ${n}`));
  const [damaged = '', unplugged = '', large = '', ...good] = songs;
  await fs.writeFile(path.join(damaged, '.git', 'config'), '[core\n');
  const elsewhere = path.join(path.dirname(unplugged), 'away', path.basename(unplugged));
  await fs.mkdir(path.dirname(elsewhere));
  await fs.rename(unplugged, elsewhere);
  await run(['daemon', 'start']);
  const states = async () => {
    const { projects } = (await run(['daemon', 'status', '--json'])).json() as {
      projects: { project: string; state: string }[];
    };
    return new Map(projects.map(({ project, state }) => [project, state]));
  };
  const published = async (one: string) => {
    const remote = await gitLine(one, ['remote', 'get-url', 'origin']);
    return await git(remote, ['show', 'main:Song.als']).catch(() => '');
  };
  for (const one of good) await until(`${one} is published`, async () => (await published(one)) === 'one');
  expect([(await states()).get(damaged), (await states()).get(unplugged)]).toEqual(['failing', 'absent']);

  // 300 MB of takes beside the saves of all others.
  const takes = Object.fromEntries(
    Array.from({ length: 30 }, (_, n) => [`Samples/Take ${n}.wav`, Buffer.alloc(10_000_000, n + 1)]),
  );
  await write(large, { ...takes, 'Song.als': 'two' });
  for (const one of good) await save(one, 'two');
  for (const one of good) await until(`${one} is a version`, async () => (await head(one)) === 'two');
  await until('the large one is a version', async () =>
    (await git(large, ['ls-files', 'Samples'])).includes('Take 29'),
  );

  // In two of them a take still grows: their saves have settled, and are no versions yet.
  const recorders = good.slice(0, 2);
  const growing = setInterval(() => {
    for (const one of recorders) appendFileSync(path.join(one, 'Take.wav'), 'RIFF');
  }, 100);
  onTestFinished(() => clearInterval(growing));
  await wait(500);
  for (const one of recorders) {
    await save(one, 'three');
    await until(`the save of ${one} is captured`, async () =>
      (await git(one, ['for-each-ref', 'refs/oxenvcs/captured'])).includes('refs/'),
    );
  }
  // All others have just been saved when the session ends: some have settled, some have not.
  for (const [n, one] of good.slice(2).entries()) {
    await save(one, 'three');
    if (n % 4 === 0) await wait(400);
  }
  const pid = await daemonPid();
  const begun = performance.now();
  process.kill(pid, 'SIGTERM');
  await until('it has ended', async () => !isRunning(pid));
  const endedMs = Math.round(performance.now() - begun);
  clearInterval(growing);
  for (const one of recorders) await save(one, 'meanwhile');
  const atEnd = await Promise.all(good.map(head));
  const inTime = !(await log()).includes('Not everything came to its end in time');
  await run(['daemon', 'start']);
  for (const one of good) {
    const last = recorders.includes(one) ? 'meanwhile' : 'three';
    await until(`${one} is published`, async () => (await published(one)) === last);
  }

  const killed = await daemonPid();
  process.kill(killed, 'SIGKILL');
  await until('it is gone', async () => !isRunning(killed));
  await fs.rename(elsewhere, unplugged);
  await save(unplugged, 'four');
  for (const one of good) await save(one, 'four');
  const again = performance.now();
  expect((await run(['daemon', 'start', '--json'])).json()).toMatchObject({ outcome: 'started' });
  const startedMs = Math.round(performance.now() - again);
  for (const one of [unplugged, ...good])
    await until(`${one} is published`, async () => (await published(one)) === 'four');
  // Each save once, in order.
  for (const one of good) {
    const commits = (await git(one, ['rev-list', '--reverse', 'HEAD', '--', 'Song.als'])).trim().split('\n');
    const texts = await Promise.all(commits.map(async (commit) => await git(one, ['show', `${commit}:Song.als`])));
    const meanwhile = recorders.includes(one) ? ['meanwhile'] : [];
    expect({ one, texts }).toEqual({ one, texts: ['one', 'two', 'three', ...meanwhile, 'four'] });
  }
  // oxlint-disable-next-line no-console -- what it is played for
  console.log(
    `ended in ${endedMs} ms${inTime ? '' : ', not everything in time'}, ${atEnd.filter((text) => text === 'three').length} of ${good.length} last saves committed; started in ${startedMs} ms`,
  );
});
