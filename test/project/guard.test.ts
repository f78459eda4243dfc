import * as fs from 'node:fs/promises';
import path from 'node:path';
import { expect, test } from 'vitest';
import { alone, whoHas } from '../../src/project/guard.ts';
import { statePath } from '../../src/project/project.ts';
import { projectWithRemote } from '../support/project.ts';

async function until(holds: () => Promise<boolean>): Promise<void> {
  while (!(await holds())) await new Promise((done) => setTimeout(done, 50));
}

test('a right that is swept away while it is used is taken again, and given back at the end', async () => {
  const { project } = await projectWithRemote();
  const result = await alone(project, 'watch', 0, async (lost) => {
    await fs.rm(path.join(project.root, '.oxenvcs', 'state'), { recursive: true });
    await until(async () => (await whoHas(project, 'watch')) === process.pid);
    return lost.aborted;
  });
  expect(result).toEqual({ outcome: 'done', value: false });
  expect(await whoHas(project, 'watch')).toBeNull();
});

test('a right that somebody else has taken meanwhile is lost', async () => {
  const { project } = await projectWithRemote();
  const lockPath = statePath(project, 'watch.lock');
  const result = await alone(project, 'watch', 0, async (lost) => {
    // Another one's lock: of the same name, with a time that is not ours.
    const later = new Date(Date.now() + 3000);
    await fs.utimes(lockPath, later, later);
    await until(async () => lost.aborted);
    return 'noticed';
  });
  expect(result).toEqual({ outcome: 'done', value: 'noticed' });
  expect(await fs.readdir(path.dirname(lockPath))).toContain('watch.lock');
});

test('a project that is gone does not come back as an empty folder', async () => {
  const { project } = await projectWithRemote();
  await alone(project, 'watch', 0, async (lost) => {
    await fs.rename(project.root, `${project.root} moved`);
    await until(async () => lost.aborted);
  });
  await expect(fs.stat(project.root)).rejects.toMatchObject({ code: 'ENOENT' });
});
