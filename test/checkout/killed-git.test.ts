import { spawn } from 'node:child_process';
import { once } from 'node:events';
import * as fs from 'node:fs/promises';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { gitLine } from '../../src/git/run.ts';
import { run } from '../../src/system/process.ts';
import { exists } from '../../src/system/disk.ts';
import { parseArgs, processesWith } from '../../src/system/processes.ts';
import { band } from '../support/band.ts';
import { main, oxenvcs } from '../support/cli.ts';
import { statusLines } from '../support/project.ts';
import { sandbox, write } from '../support/sandbox.ts';

test('a git that a killed pull has left behind does not move HEAD after the next command has put the files back', async () => {
  const { ann, ben } = await band('ann', 'ben');
  const from = await ben.head();
  await ann.save({ 'Song.song': 'of Ann', 'Take.wav': 'take' });
  await ann.push();
  // A disk that is slow just then.
  const [dir, real] = [await sandbox(), (await run('which', ['git'], { cwd: '/', env: process.env })).stdout];
  const [reached, go] = [path.join(dir, 'reached'), path.join(dir, 'go')];
  const slow = `case " $* " in *" update-ref "*" HEAD "*) : > ${reached}; until [ -e ${go} ]; do sleep 0.05; done; esac`;
  await write(dir, { 'bin/git': `#!/bin/sh\n${slow}\nexec ${real.toString().trim()} "$@"\n` });
  await fs.chmod(path.join(dir, 'bin/git'), 0o755);

  const PATH = `${path.join(dir, 'bin')}:${process.env['PATH']}`;
  const killed = spawn(process.execPath, [main, 'pull'], { cwd: ben.root, env: { ...process.env, PATH } });
  while (!(await exists(reached))) await sleep(5);
  killed.kill('SIGKILL');
  await once(killed, 'exit');
  await write(ben.root, { 'Song.song': 'of Ben' });
  expect((await oxenvcs(['pull'], { cwd: ben.root })).code).toBe(5);
  await write(dir, { go: '' });
  while ((await processesWith(`oxenvcs.by=${killed.pid}`))?.length !== 0) await sleep(5);
  expect(await gitLine(ben.root, ['rev-parse', 'HEAD'])).toBe(from);
  expect(await statusLines(ben.root)).toEqual([' M Song.song']);
});

test('on other systems a git of ours is known by its command line, whoever else names the same number', () => {
  const told = [
    '  12 git -c gc.auto=0 -c oxenvcs.by=34 push',
    '13 git -c oxenvcs.by=345 push',
    '14 grep oxenvcs.by=34',
    '15 git fetch -c oxenvcs.by=34',
  ].join('\r\n');
  expect(parseArgs(told, 'oxenvcs.by=34')).toEqual([12, 15]);
});
