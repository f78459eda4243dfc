import path from 'node:path';
import { expect, test } from 'vitest';
import { askDaemon } from '../../src/control/client.ts';
import { git, gitLine } from '../../src/git/run.ts';
import { until, user } from '../support/daemon.ts';
import { httpRemote } from '../support/remotes.ts';
import { write } from '../support/sandbox.ts';

/** What a project that is watched in the background is told by others. */

const subject = async (song: string) => await gitLine(song, ['log', '-1', '--format=%s']);
const saved = async (song: string, text: string) =>
  await until(`${text} is a version`, async () => (await git(song, ['show', 'HEAD:Song.als'])) === text);

test('a pause stops versions and traffic, over a restart too, and loses nothing; a time ends it by itself', async () => {
  const remote = await httpRemote();
  const { run, song, log } = await user();
  const one = await song('One', remote.url);
  const two = await song('Two');
  await run(['daemon', 'start']);
  await until('the first version is published', async () => (await log()).includes('1 version published'));
  const paused = await run(['pause', '--json'], one);
  expect(paused.json()).toMatchObject({ paused: [{ project: one, until: null }] });
  await until('it is heard', async () => (await log()).includes('One: Paused'));
  const asked = remote.requests.length;
  await write(one, { 'Song.als': 'in the pause' });
  // The others go on.
  await write(two, { 'Song.als': 'two' });
  await saved(two, 'two');
  await run(['daemon', 'restart']);
  await write(two, { 'Song.als': 'three' });
  await saved(two, 'three');
  expect(await subject(one)).toBe('One put under version control');
  expect((await run(['status', '--json'], one)).json()).toMatchObject({ watcher: { state: 'paused' } });
  const { projects } = (await run(['daemon', 'status', '--json'])).json() as { projects: object[] };
  expect(projects).toContainEqual(expect.objectContaining({ project: one, state: 'paused' }));
  // `status` itself has asked for the lock.
  const byHand = remote.requests.length - asked;
  await new Promise((done) => setTimeout(done, 1000));
  expect(remote.requests.length - asked).toBe(byHand);
  expect((await run(['resume', '--json'], one)).json()).toEqual({ resumed: [one] });
  await saved(one, 'in the pause');

  expect((await run(['pause', '1.5s', '--all', '--json'])).json()).toMatchObject({
    paused: [{ project: one }, { project: two }],
  });
  await until('both are paused', async () => (await log()).split('Two: Paused').length === 2);
  await write(two, { 'Song.als': 'four' });
  await saved(two, 'four');
  expect((await run(['resume'], two)).stdout).toContain('It was not paused');
  expect((await run(['pause', 'soon', '--json'], one)).json()).toMatchObject({ error: { code: 'USAGE' } });
});

test('a foreground watch gets the project from the background process, which takes it back when that ends or is killed', async () => {
  const { run, song, start, daemonPid } = await user();
  const one = await song();
  await run(['daemon', 'start']);
  const pid = await daemonPid();
  const watchedBy = async () => {
    const { watcher } = (await run(['status', '--json'], one)).json() as { watcher: { pid: number | null } };
    return watcher.pid;
  };
  await until('it is watched', async () => (await watchedBy()) === pid);
  const watching = start(['watch', one]);
  await watching.waitForLine(/leaves this project to you/);
  await watching.waitForLine(/Watching .*Ctrl-C ends it/);
  expect(await watchedBy()).toBe(watching.pid);
  expect((await run(['daemon', 'status'])).stdout).toContain('lent');
  await watching.kill('SIGKILL');
  await until('it is taken back', async () => (await watchedBy()) === pid);
  await write(one, { 'Song.als': 'two' });
  await saved(one, 'two');
});

test('new settings are in force at once, the team’s and the user’s; broken ones are told with the next step, and the former stay in force', async () => {
  const { run, song, log, dir } = await user({ OXENVCS_WATCH_QUIET_SECONDS: undefined });
  Object.assign(process.env, { XDG_CONFIG_HOME: path.join(dir, 'config'), XDG_DATA_HOME: path.join(dir, 'data') });
  const one = await song();
  const files = { team: path.join(one, '.oxenvcs/config.json'), own: path.join(dir, 'config/oxenvcs/config.json') };
  const set = async (whose: keyof typeof files, quietSeconds: unknown) =>
    await write('/', { [files[whose]]: JSON.stringify({ v: 1, watch: { quietSeconds } }) });
  const told = async () => {
    const [found] = (await askDaemon({ do: 'status' }))?.projects ?? [];
    return `${found?.state}: ${found?.detail}`;
  };
  await set('own', 3600);
  await run(['daemon', 'start']);
  await until('it is watched', async () => (await log()).includes('Watching'));
  expect(await told()).toBe('watched: ');
  await write(one, { 'Song.als': 'two' });
  await set('team', 'soon');
  await until('it is told', async () => /watch.quietSeconds takes .* Mend it/.test(await log()));
  await set('own', 'later');
  expect(await told()).toMatch(
    new RegExp(`^watched: .*former ones stay in force. ${files.team}: .* Mend it.* ${files.own}: .* Mend it`),
  );
  expect(await subject(one)).not.toContain('saved');
  await set('team', 3600);
  await set('own', 0.3);
  await saved(one, 'two');
  expect(await told()).toBe('watched: ');
});
