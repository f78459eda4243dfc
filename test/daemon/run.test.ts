import * as fs from 'node:fs/promises';
import path from 'node:path';
import { expect, test } from 'vitest';
import { askDaemon } from '../../src/control/client.ts';
import { logFile } from '../../src/control/place.ts';
import { register, registryFolder } from '../../src/control/registry.ts';
import { git } from '../../src/git/run.ts';
import { lockContext } from '../../src/lock/context.ts';
import { acquireLock } from '../../src/lock/lease.ts';
import { band } from '../support/band.ts';
import { daemonHere } from '../support/daemon-here.ts';
import { until, user } from '../support/daemon.ts';
import { sandbox, write } from '../support/sandbox.ts';

test.runIf(process.platform === 'linux')(
  'what a person must know is shown to them, all else is in the log and on the terminal, and no credential anywhere',
  async () => {
    const dir = await sandbox();
    const shown = path.join(dir, 'shown');
    await write(dir, { 'bin/notify-send': `#!/bin/sh\nprintf '%s|' "$@" >>'${shown}'\n` });
    await fs.chmod(path.join(dir, 'bin/notify-send'), 0o755);
    Object.assign(process.env, {
      XDG_DATA_HOME: path.join(dir, 'data'),
      XDG_RUNTIME_DIR: path.join(dir, 'run'),
      PATH: `${dir}/bin:${process.env['PATH']}`,
      OXENVCS_NOTIFY: '',
      OXENVCS_PRIORITY: 'usual',
      OXENVCS_WATCH_QUIET_SECONDS: '0.3',
    });
    const { Ann, Ben } = await band('Ann', 'Ben');
    // What others call themselves is theirs.
    await git(Ben.root, ['config', 'user.name', 'Ben of https://ben:secret@band.example']);
    await acquireLock(await lockContext(Ben.project), { how: 'hand' });
    await register(Ann.root);
    await write(registryFolder(), { 'feedbeef.json': 'not JSON' });

    const { said, stop, ended } = daemonHere();
    const hasSaid = (text: string) => said.some((line) => line.includes(text));
    await until('it watches', async () => hasSaid('Ann: Watching'));
    expect(said.filter((line) => line.includes('set aside as'))).toHaveLength(1);
    await write(Ann.root, { 'Song.song': 'two' });
    await until('it is shown', async () => (await fs.readFile(shown, 'utf8').catch(() => '')).includes('Ben of'));
    // Whoever has just added a project is told of it.
    await register(Ben.root);
    const { projects } = (await askDaemon({ do: 'look' })) ?? { projects: [] };
    expect(projects.map(({ project }) => project)).toEqual([Ann.root, Ben.root]);
    await until('it is a version', async () => hasSaid('Ann: ✓'));
    stop.abort();
    expect(await ended).toEqual({ outcome: 'ended' });
    // Nothing was cut off.
    const last = said.slice(said.indexOf('It ends.') + 1);
    expect(last).toContain('Ann: Stopped.');
    expect(last.filter((line) => line.startsWith('⚠'))).toEqual([]);

    const log = await fs.readFile(logFile(), 'utf8');
    for (const line of said) expect(log).toContain(line);
    expect(await fs.readFile(shown, 'utf8')).toContain('|--|Ann|Ben of https://band.example holds the lock of main');
    for (const text of [log, said.join('\n'), await fs.readFile(shown, 'utf8')]) expect(text).not.toContain('secret');
  },
);

test('one in which too much goes wrong ends as a crash, so that the system begins a new one, and lets go of its projects first', async () => {
  const { dir, env, song, start } = await user();
  await song('One');
  const faults = path.join(dir, 'faults.cjs');
  await write(dir, {
    'faults.cjs': `
      const fs = require('fs');
      const look = setInterval(() => {
        if (!fs.existsSync(${JSON.stringify(path.join(dir, 'now'))})) return;
        clearInterval(look);
        for (let n = 1; n <= 6; n++) setTimeout(() => { throw new Error('nobody’s'); });
      }, 20);
    `,
  });
  env['NODE_OPTIONS'] = `--require=${JSON.stringify(faults)}`;
  const daemon = start(['daemon', 'run']);
  await daemon.waitForLine(/One: Watching/);
  await write(dir, { now: '' });
  expect(await daemon.ended).toEqual({ code: 1, signal: null });
  expect(daemon.lines.filter((line) => line.includes('Nobody has caught this: Error: nobody’s'))).toHaveLength(6);
  expect(daemon.lines.findLast((line) => line.startsWith('One: '))).toBe('One: Stopped.');
});
