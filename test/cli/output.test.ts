import { spawn } from 'node:child_process';
import { once } from 'node:events';
import path from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { gitLine } from '../../src/git/run.ts';
import { isRunning, killTree } from '../support/processes.ts';
import { projectWithRemote } from '../support/project.ts';
import { write } from '../support/sandbox.ts';

const main = path.resolve(import.meta.dirname, '../../dist/main.js');

test('a watch whose terminal or log is gone goes on making versions', async () => {
  const { project } = await projectWithRemote();
  const head = async () => await gitLine(project.root, ['rev-parse', 'HEAD']);
  const before = await head();
  const env = { ...process.env, OXENVCS_WATCH_QUIET_SECONDS: '0.2' };
  const watch = spawn(process.execPath, [main, 'watch'], { cwd: project.root, env });
  const { pid = 0 } = watch;
  onTestFinished(() => killTree(pid));
  await once(watch.stdout, 'data');
  watch.stdout.destroy();
  watch.stderr.destroy();
  for (const text of ['two', 'three!']) {
    const last = await head();
    await write(project.root, { 'Song.als': text });
    while ((await head()) === last) await new Promise((done) => setTimeout(done, 50));
  }
  expect(await head()).not.toBe(before);
  expect(isRunning(pid)).toBe(true);
});
