import * as fs from 'node:fs/promises';
import path from 'node:path';
import { expect, test } from 'vitest';
import { oxenvcs } from '../support/cli.ts';
import { projectWithRemote } from '../support/project.ts';

test('a remote on a disk that is unplugged is offline to every command, not a wrong address', async () => {
  const { project, remote, dir } = await projectWithRemote();
  const run = async (...args: string[]) => await oxenvcs([...args, '--no-retry', '--json'], { cwd: project.root });
  await fs.rename(remote, path.join(dir, 'unplugged.git'));
  for (const args of [['lock', 'acquire'], ['push']]) {
    const result = await run(...args);
    expect({ args, code: result.code }).toEqual({ args, code: 4 });
    expect(result.json()).toMatchObject({ error: { code: 'OFFLINE' } });
  }
  expect((await run('lock', 'status')).json()).toMatchObject({ held: false, source: 'cache' });
  expect((await run('lock', 'history')).json()).toEqual({ history: [] });
  expect((await run('status')).json()).toMatchObject({
    remote: { reachable: false },
    problems: [{ code: 'OFFLINE' }],
  });
});

test('that a remote was never asked is not told as a free lock', async () => {
  const { project, remote, dir } = await projectWithRemote();
  await fs.rename(remote, path.join(dir, 'unplugged.git'));
  const { stdout } = await oxenvcs(['lock', 'status'], { cwd: project.root });
  expect(stdout).toContain('not known');
  expect(stdout).not.toContain('Nobody');
});
