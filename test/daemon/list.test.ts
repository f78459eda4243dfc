import * as fs from 'node:fs/promises';
import path from 'node:path';
import { expect, test } from 'vitest';
import { askDaemon, reachDaemon } from '../../src/control/client.ts';
import { register, registered, unregister } from '../../src/control/registry.ts';
import { runDaemon } from '../../src/daemon/run.ts';
import { systemClock } from '../../src/system/clock.ts';
import { dataFolder } from '../../src/system/places.ts';
import { daemonHere } from '../support/daemon-here.ts';
import { until } from '../support/daemon.ts';
import { fileIn, projectWithRemote } from '../support/project.ts';
import { write } from '../support/sandbox.ts';

/** The background process, in this one, with a project that it watches. */
async function watching() {
  const { project, dir } = await projectWithRemote();
  const { root } = project;
  Object.assign(process.env, {
    XDG_DATA_HOME: path.join(dir, 'data'),
    // As on a Mac: the socket lies in the data folder, too.
    XDG_RUNTIME_DIR: '',
    OXENVCS_PRIORITY: 'usual',
    OXENVCS_WATCH_QUIET_SECONDS: '0.3',
  });
  await register(root);
  const { said } = daemonHere();
  const told = (text: string) => said.filter((line) => line.includes(text)).length;
  await until('it is watched', async () => told('Watching') === 1);
  return { root, dir, told };
}

const states = async () => (await askDaemon({ do: 'status' }))?.projects.map(({ project, state }) => [project, state]);

test('the data folder is deleted under it: all are watched on, it is told once, and whoever looks finds it again', async () => {
  const { root, dir, told } = await watching();
  const away = path.join(dir, 'unplugged', 'Song');
  await register(away, 'a clone');
  await until('it is missed', async () => told('The folder is not there') === 1);
  await fs.rm(dataFolder(), { recursive: true, force: true, maxRetries: 5 });
  await write(root, { 'Song.als': 'two' });
  await until('it is told', async () => told('2 projects had been deleted from the list') === 1);
  await until('it is a version', async () => (await fileIn(root, 'HEAD', 'Song.als')) === 'two');
  await until('it answers', async () => (await reachDaemon()).outcome === 'connected');
  const { roots, clones } = await registered();
  expect([roots, clones.get(away)]).toEqual([[root, away], 'a clone']);
  expect([told('Watching'), told('Stopped'), await states()]).toEqual([
    1,
    0,
    [
      [root, 'watched'],
      [away, 'absent'],
    ],
  ]);
  // Another one does not begin beside it.
  const program = { version: '1.2.3', file: import.meta.filename };
  const other = { program, clock: systemClock, signal: AbortSignal.timeout(1), say: () => undefined };
  expect(await runDaemon(other)).toEqual({ outcome: 'already-running', pid: process.pid });
  // The list is followed on.
  await unregister(away);
  await askDaemon({ do: 'forget', root: away });
  await register(path.join(dir, 'new'));
  await until('it is taken in', async () => (await states())?.length === 2);
  expect((await registered()).roots).toEqual([root, path.join(dir, 'new')]);
  expect(told('had been deleted')).toBe(1);
});
