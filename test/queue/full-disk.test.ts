import { randomBytes } from 'node:crypto';
import * as fs from 'node:fs/promises';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { commitSave } from '../../src/commit/commit.ts';
import { git, gitLine } from '../../src/git/run.ts';
import { asFailure } from '../../src/model/failures.ts';
import { openProject, type Project } from '../../src/project/project.ts';
import { enqueue } from '../../src/queue/entries.ts';
import { lookAtQueue } from '../../src/queue/rebuild.ts';
import { publishQueue } from '../../src/sync/publish.ts';
import { systemClock } from '../../src/system/clock.ts';
import { background, oxenvcs } from '../support/cli.ts';
import { saveOf } from '../support/project.ts';
import { fileRemote, httpRemote } from '../support/remotes.ts';
import { sandbox, write } from '../support/sandbox.ts';
import { fillUp, smallDisk } from '../support/small-disk.ts';

const page = 4096;
const quick = {
  OXENVCS_WATCH_QUIET_SECONDS: '0.2',
  OXENVCS_WATCH_MEDIA_QUIET_SECONDS: '0.2',
  OXENVCS_WATCH_SCAN_SECONDS: '1',
  OXENVCS_NETWORK_INITIAL_BACKOFF_MS: '100',
  OXENVCS_NETWORK_MAX_BACKOFF_MS: '300',
  OXENVCS_DISK_RESERVE_BYTES: '0',
};

/** A published project on a disk of its own that can be filled up. */
async function songOn(disk: string, remote: string): Promise<string> {
  const song = path.join(disk, 'song');
  await write(song, { 'Song.als': 'save 0' });
  const made = await oxenvcs(['init', song, '--remote', remote, '--no-hooks'], { cwd: disk, env: quick });
  expect(made.code).toBe(0);
  expect((await oxenvcs(['push'], { cwd: song, env: quick })).code).toBe(0);
  return song;
}

const stages = ['capture', 'commit', 'enqueue', 'publish'] as const;
type Stage = (typeof stages)[number];

/** A save's way, as far as it gets; the stage and the failure that ended it. */
async function way(
  project: Project,
  before: (stage: Stage) => Promise<void>,
): Promise<{ stage: Stage | 'done'; row: string }> {
  let stage: Stage = 'capture';
  const begin = async (next: Stage) => {
    stage = next;
    await before(next);
  };
  try {
    await begin('capture');
    const save = await saveOf(project, { sessions: ['Song.als'] });
    await begin('commit');
    const committed = await commitSave(project, save);
    await begin('enqueue');
    if (committed.outcome === 'committed') await enqueue(project, committed.commit, 'main', new Date().toISOString());
    else if (committed.outcome !== 'nothing') return { stage: 'commit', row: JSON.stringify(committed) };
    await begin('publish');
    const signal = new AbortController().signal;
    const [one] = await publishQueue(project, { clock: systemClock, signal, patienceMs: 0, urgency: 'by-hand' });
    return one?.outcome === 'not-yet' ? { stage, row: one.failure.row } : { stage: 'done', row: '' };
  } catch (error) {
    return { stage, row: asFailure(error).row };
  }
}

test('the disk is full at every write of a save’s way: said clearly, nothing lost, and it goes on when there is room', async () => {
  const remote = await fileRemote();
  const disk = await smallDisk(8 * 1024 * 1024);
  const project = await openProject(await songOn(disk, remote.url));
  let saves = 0;
  for (const full of stages) {
    let failures = 0;
    for (let free = 0; ; free++) {
      const text = `save ${++saves}`;
      await write(project.root, { 'Song.als': text });
      const before = await gitLine(project.root, ['rev-parse', 'HEAD']);
      const { stage, row } = await way(project, async (next) => {
        await fs.rm(path.join(disk, 'filler'), { force: true });
        if (next !== full) return;
        const filler = await fillUp(disk);
        await fs.truncate(filler, (await fs.stat(filler)).size - free * page);
      });
      await fs.rm(path.join(disk, 'filler'), { force: true });
      const tip = await gitLine(project.root, ['rev-parse', 'HEAD']);
      if (stage === full) {
        failures += 1;
        expect({ full, free, row }).toEqual({ full, free, row: 'disk-full' });
        expect(tip === before).toBe(stage === 'capture' || stage === 'commit');
        expect(await way(project, async () => undefined)).toEqual({ stage: 'done', row: '' });
      }
      const made = await gitLine(project.root, ['rev-parse', 'HEAD']);
      expect(await gitLine(project.root, ['rev-parse', 'HEAD^'])).toBe(before);
      expect(await gitLine(remote.dir, ['rev-parse', 'main'])).toBe(made);
      expect(await git(project.root, ['show', 'HEAD:Song.als'])).toBe(text);
      expect((await lookAtQueue(project)).entries).toEqual([]);
      if (stage !== full) break;
    }
    expect([full, failures > 0]).toEqual([full, true]);
  }
  expect(await git(project.root, ['fsck', '--strict', '--no-dangling'])).toBe('');
  expect(await git(project.root, ['status', '--porcelain'])).toBe('');
});

test('a watcher whose disk is full says so in words, and goes on by itself when there is room', async () => {
  const remote = await fileRemote();
  const disk = await smallDisk(8 * 1024 * 1024);
  const song = await songOn(disk, remote.url);
  const watching = background(['watch', song], { cwd: disk, env: quick });
  await watching.waitForLine(/Watching/);
  const filler = await fillUp(disk);
  // A DAW that saves in place takes no more room than before.
  const file = await fs.open(path.join(song, 'Song.als'), 'r+');
  await file.write('SAVE 0');
  await file.close();
  await watching.waitForLine(/Waiting: for room on the disk|⚠ The disk is full: .* It is tried again by itself/);
  await sleep(1000);
  expect(watching.lines.filter((line) => line.includes('disk')).length).toBeLessThan(4);
  await fs.rm(filler);
  await watching.waitForLine(/Song\.als saved/);
  await watching.waitForLine(/1 version published/);
  expect(await git(remote.dir, ['show', 'main:Song.als'])).toBe('SAVE 0');
});

test.each([
  ['file', fileRemote],
  ['http', httpRemote],
] as const)(
  'the remote’s disk is full: the version waits, is not halted, and goes out when there is room (%s)',
  async (_, start) => {
    const disk = await smallDisk(8 * 1024 * 1024);
    const remote = await start({ parent: disk });
    const song = await songOn(await sandbox(), remote.url);
    const filler = await fillUp(disk);
    const watching = background(['watch', song], { cwd: song, env: quick });
    await watching.waitForLine(/Watching/);
    await write(song, { 'Song.als': 'save 1', 'Take.wav': randomBytes(200_000) });
    await watching.waitForLine(/⚠ The remote has no room left: .* 1 version kept here\. It is tried again by itself\./);
    const listed = (await oxenvcs(['queue', 'list', '--json'], { cwd: song, env: quick })).json();
    expect(listed).toMatchObject({ entries: [{ lastError: { code: 'REMOTE_REFUSED' } }] });
    expect(JSON.stringify(listed)).not.toContain('halted');
    await fs.rm(filler);
    await watching.waitForLine(/1 version published/);
    expect(await gitLine(remote.dir, ['rev-parse', 'main'])).toBe(await gitLine(song, ['rev-parse', 'HEAD']));
    expect(await git(remote.dir, ['fsck', '--strict', '--no-dangling'])).toBe('');
  },
);
