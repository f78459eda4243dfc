import * as fs from 'node:fs/promises';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { gitEnvironment } from '../../src/git/run.ts';
import { outwaitLock } from '../../src/git/stale-lock.ts';
import { exists } from '../../src/system/disk.ts';
import { dataFolder } from '../../src/system/places.ts';
import { run } from '../../src/system/process.ts';
import { byHand } from '../setup/helpers.ts';
import { songRepository } from '../support/pushing.ts';
import { fileRemote } from '../support/remotes.ts';
import { repository, sandbox } from '../support/sandbox.ts';

/** A repository in which a killed git has left a lock behind; what git says of it. */
async function lockedBy(name: string, args: string[]): Promise<{ lock: string; stderr: string }> {
  const root = await repository(path.join(await sandbox(), 'fatal: my song'));
  await byHand(root, ['pack-refs', '--all']);
  const lock = path.join(root, '.git', name);
  await fs.writeFile(lock, '');
  const { code, stderr } = await byHand(root, args);
  expect(code).not.toBe(0);
  return { lock, stderr };
}

test.each([
  ['HEAD.lock', ['update-ref', 'HEAD', 'HEAD']],
  ['refs/heads/main.lock', ['update-ref', 'HEAD', 'HEAD']],
  ['refs/heads/main.lock', ['update-ref', '-d', 'refs/heads/main']],
  ['packed-refs.lock', ['update-ref', '-d', 'refs/heads/main']],
])('a lock that nobody holds any more is removed: %s, %j', async (name, args) => {
  const { lock, stderr } = await lockedBy(name, args);
  expect(await outwaitLock(stderr, { afterMs: 150 })).toBe(true);
  expect(await exists(lock)).toBe(false);
});

test('a lock that is given back is waited for, and one that is used all the time is left alone', async () => {
  const { lock, stderr } = await lockedBy('HEAD.lock', ['update-ref', 'HEAD', 'HEAD']);
  let used = true;
  const using = (async () => {
    for (let n = 0; used; n++) {
      await fs.writeFile(lock, String(n));
      await sleep(50);
    }
  })();
  expect(await outwaitLock(stderr, { afterMs: 400 })).toBe(false);
  used = false;
  await using;
  expect(await exists(lock)).toBe(true);
  const [waited] = await Promise.all([outwaitLock(stderr), sleep(300).then(async () => await fs.rm(lock))]);
  expect(waited).toBe(true);
});

test('a killed git that moved many refs keeps nobody waiting once for each of them; a lock that is used stays', async () => {
  const { lock, stderr } = await lockedBy('refs/heads/main.lock', ['update-ref', 'HEAD', 'HEAD']);
  const refs = path.dirname(path.dirname(lock));
  const left = [
    path.join(refs, 'oxenvcs/queue/a.lock'),
    path.join(refs, 'tags/b.lock'),
    path.join(refs, '../packed-refs.lock'),
  ];
  const used = path.join(refs, 'tags/used.lock');
  await fs.mkdir(path.dirname(left[0] ?? ''), { recursive: true });
  for (const one of [...left, used]) await fs.writeFile(one, '');
  const [waited] = await Promise.all([
    outwaitLock(stderr, { afterMs: 300 }),
    sleep(150).then(async () => await fs.writeFile(used, 'x')),
  ]);
  expect(waited).toBe(true);
  expect(await Promise.all([lock, ...left, used].map(exists))).toEqual([false, false, false, false, true]);
});

test('the index’s lock is never taken away: git holds it while a person writes a message', async () => {
  const { lock, stderr } = await lockedBy('index.lock', ['rm', '--cached', 'Song.als']);
  expect(stderr).toContain('File exists');
  expect(await outwaitLock(stderr, { afterMs: 0 })).toBe(false);
  expect(await exists(lock)).toBe(true);
});

test('the lock of a ref of a remote on this computer is removed too, one on a shared drive when it has lain there for half a day', async () => {
  const song = await songRepository();
  for (const [parent, gone, hours, kind] of [
    [path.join(dataFolder(), 'vaults'), true, 0, 'SMB'],
    [await sandbox(), true, 0, null],
    [await sandbox(), false, 11, 'SMB'],
    [await sandbox(), true, 13, 'SMB'],
  ] as const) {
    await fs.mkdir(parent, { recursive: true });
    const { dir, url } = await fileRemote({ parent });
    const lock = path.join(dir, 'refs', 'heads', 'main.lock');
    await fs.writeFile(lock, '');
    const since = new Date(Date.now() - hours * 3_600_000);
    await fs.utimes(lock, since, since);
    const { exitCode, stderr } = await run('git', ['push', url, 'HEAD:main'], { cwd: song, env: gitEnvironment() });
    expect(exitCode).not.toBe(0);
    expect(await outwaitLock(stderr, { afterMs: 150, drive: async () => kind })).toBe(gone);
    expect(await exists(lock)).toBe(!gone);
  }
});
