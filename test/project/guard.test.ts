import { spawn, spawnSync } from 'node:child_process';
import * as fs from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { alone, untilKnownMs, whoHas } from '../../src/project/guard.ts';
import { statePath } from '../../src/project/project.ts';
import { exists } from '../../src/system/disk.ts';
import { oxenvcs } from '../support/cli.ts';
import { projectWithRemote } from '../support/project.ts';

async function until(holds: () => Promise<boolean>): Promise<void> {
  while (!(await holds())) await new Promise((done) => setTimeout(done, 50));
}

test('a right that is swept away while it is used is taken again, and given back at the end', async () => {
  const { project } = await projectWithRemote();
  const isOurs = async () => (await whoHas(project, 'watch'))?.pid === process.pid;
  const result = await alone(project, 'watch', 0, async (lost) => {
    await until(isOurs);
    await fs.rm(path.join(project.root, '.oxenvcs', 'state'), { recursive: true });
    await until(isOurs);
    return lost.aborted;
  });
  expect(result).toEqual({ outcome: 'done', value: false });
  expect(await whoHas(project, 'watch')).toBeNull();
});

test('a right that somebody else has taken meanwhile is lost', async () => {
  const { project } = await projectWithRemote();
  const lockPath = statePath(project, 'publish.lock');
  const result = await alone(project, 'publish', 0, async (lost) => {
    // Another one's lock: of the same name, with a time that is not ours.
    const later = new Date(Date.now() + 3000);
    await fs.utimes(lockPath, later, later);
    await until(async () => lost.aborted);
    return 'noticed';
  });
  expect(result).toEqual({ outcome: 'done', value: 'noticed' });
  expect(await fs.readdir(path.dirname(lockPath))).toContain('publish.lock');
});

test('a project that is gone does not come back as an empty folder', async () => {
  const { project } = await projectWithRemote();
  await alone(project, 'publish', 0, async (lost) => {
    await fs.rename(project.root, `${project.root} moved`);
    await until(async () => lost.aborted);
  });
  await expect(fs.stat(project.root)).rejects.toMatchObject({ code: 'ENOENT' });
});

test('a folder that was away and brings back the lock of that time is watched again by the same process', async () => {
  const { project } = await projectWithRemote();
  await alone(project, 'watch', 0, async () => {
    await until(async () => (await whoHas(project, 'watch'))?.pid === process.pid);
    await fs.rename(project.root, `${project.root} away`);
  });
  await fs.rename(`${project.root} away`, project.root);
  expect(await fs.readdir(statePath(project, ''))).toContain('watch.lock');
  const again = await alone(project, 'watch', 0, async () => await alone(project, 'watch', 0, async () => 'both'));
  expect(again).toMatchObject({ outcome: 'done', value: { outcome: 'taken' } });
});

test('a project that another computer watches over a share is refused with where, and until when it is waited for', async () => {
  const { project } = await projectWithRemote();
  const lock = statePath(project, 'watch.lock');
  await fs.mkdir(lock, { recursive: true });
  const { ino, birthtimeNs } = await fs.stat(lock, { bigint: true });
  const note = { v: 1, pid: process.pid, host: 'studio-mac', lock: `${ino}:${birthtimeNs}` };
  await fs.writeFile(statePath(project, 'watch-holder.json'), JSON.stringify(note));
  const refused = await oxenvcs(['watch'], { cwd: project.root });
  expect(refused).toMatchObject({ code: 1, stderr: expect.stringMatching(/on the computer studio-mac\.\n.*from 20/) });
  const last = async (ms: number) => await fs.utimes(lock, new Date(), new Date(Date.now() - ms));
  await last(890_000);
  expect(await whoHas(project, 'watch')).toMatchObject({ elsewhere: { host: 'studio-mac' } });
  await last(901_000);
  expect(await alone(project, 'watch', 0, async () => 'ours')).toEqual({ outcome: 'done', value: 'ours' });
});

test('who watches is not forgotten because the note beside the lock is damaged, of another computer, or of an earlier holder', async () => {
  const { project } = await projectWithRemote();
  const note = statePath(project, 'publish-holder.json');
  await alone(project, 'publish', 0, async () => {
    await until(async () => (await whoHas(project, 'publish'))?.pid === process.pid);
    const good = await fs.readFile(note, 'utf8');
    const dead = { ...(JSON.parse(good) as { lock: string }), pid: deadPid() };
    for (const text of [
      '',
      '\0\0',
      JSON.stringify({ ...dead, host: 'elsewhere' }),
      JSON.stringify({ ...dead, lock: '1:2' }),
    ]) {
      await fs.writeFile(note, text);
      expect(await whoHas(project, 'publish')).toMatchObject({ pid: null });
      expect(await alone(project, 'publish', 0, async () => 'both')).toEqual({ outcome: 'taken', pid: null });
    }
    await fs.writeFile(note, JSON.stringify(dead));
    expect(await whoHas(project, 'publish')).toBeNull();
  });
});

test('the note of a lock that is held for months is mended when somebody damages it', async () => {
  const { project } = await projectWithRemote();
  const note = statePath(project, 'watch-holder.json');
  await alone(project, 'watch', 0, async () => {
    await until(async () => (await whoHas(project, 'watch'))?.pid === process.pid);
    for (const spoil of [async () => await fs.rm(note), async () => await fs.writeFile(note, '\0\0')]) {
      await spoil();
      await until(async () => (await whoHas(project, 'watch'))?.pid === process.pid);
    }
  });
});

test('the lock of a process that was killed is taken at once, not when it has become stale', async () => {
  const { project } = await projectWithRemote();
  const folder = statePath(project, 'watch.lock');
  await fs.mkdir(folder, { recursive: true });
  const { ino, birthtimeNs } = await fs.stat(folder, { bigint: true });
  const left = { v: 1, pid: deadPid(), host: os.hostname(), lock: `${ino}:${birthtimeNs}` };
  await fs.writeFile(statePath(project, 'watch-holder.json'), JSON.stringify(left));
  expect(await alone(project, 'watch', 0, async () => 'ours')).toEqual({ outcome: 'done', value: 'ours' });
});

test.each(['watch', 'checkout'] as const)(
  'a laptop that has slept for a day still has its right to %s; a number that another program has by now does not',
  async (job) => {
    const { project } = await projectWithRemote();
    const folder = statePath(project, `${job}.lock`);
    const watcher = spawn(process.execPath, ['-e', 'setTimeout(() => {}, 60000)']);
    const other = spawn('sleep', ['60']);
    onTestFinished(() => void (watcher.kill() && other.kill()));
    await fs.mkdir(folder, { recursive: true });
    const { ino, birthtimeNs } = await fs.stat(folder, { bigint: true });
    const dayAgo = new Date(Date.now() - 86_400_000);
    await fs.utimes(folder, dayAgo, dayAgo);
    const heldBy = async (pid: number | undefined) =>
      await fs.writeFile(
        statePath(project, `${job}-holder.json`),
        JSON.stringify({ v: 1, pid, host: os.hostname(), lock: `${ino}:${birthtimeNs}` }),
      );
    await heldBy(watcher.pid);
    expect(await alone(project, job, 0, async () => 'both')).toEqual({ outcome: 'taken', pid: watcher.pid });
    await heldBy(other.pid);
    expect(await alone(project, job, 0, async () => 'ours')).toEqual({ outcome: 'done', value: 'ours' });
  },
);

/** The number of a process that has ended. */
function deadPid(): number {
  return spawnSync('true').pid;
}

test('who looks while a right changes hands never finds half a note, which would be told as damage', async () => {
  const { project } = await projectWithRemote();
  let over = false;
  const looking = (async () => {
    while (!over) await whoHas(project, 'publish');
  })();
  for (let i = 0; i < 100; i++) await alone(project, 'publish', 0, async () => undefined);
  over = true;
  await looking;
  expect(await exists(path.join(project.root, '.oxenvcs', 'damaged'))).toBe(false);
});

test('one that was killed before it had written its name keeps nobody away for good', async () => {
  const { project } = await projectWithRemote();
  const lockPath = statePath(project, 'watch.lock');
  await fs.mkdir(lockPath, { recursive: true });
  expect(await alone(project, 'watch', 0, async () => 'done')).toEqual({ outcome: 'taken', pid: null });
  // Half a second before it counts as stale.
  const then = new Date(Date.now() - 5500);
  await fs.utimes(lockPath, then, then);
  const result = await alone(project, 'watch', { ms: 0, withUnknownMs: untilKnownMs }, async () => 'done');
  expect(result).toEqual({ outcome: 'done', value: 'done' });
});
