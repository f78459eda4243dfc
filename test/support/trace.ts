import { createHash } from 'node:crypto';
import * as fs from 'node:fs';
import path from 'node:path';
import { expect } from 'vitest';
import { git, gitLine } from '../../src/git/run.ts';
import { replay } from '../traces/replay.mjs';
import { openProject } from '../../src/project/project.ts';
import type { startWake } from '../../src/watch/wake.ts';
import { background, oxenvcs } from './cli.ts';
import { sandbox } from './sandbox.ts';
import { watching } from './watching.ts';

/** What the versions of a replayed trace hold. */
export interface Replayed {
  /** For each version, oldest first: the number of the save (from 1) whose session files it holds byte for byte; 0: none. */
  saves: number[];
  /** Versions that hold a take which differs from what the DAW left in the end: torn in mid-recording. */
  torn: string[];
  /** Takes that no version holds. */
  missing: string[];
}

/** The program's times, all of them divided by `speed`. */
export const scaled = (speed: number): Record<string, string> => ({
  OXENVCS_WATCH_QUIET_SECONDS: String(3 / speed),
  OXENVCS_WATCH_MEDIA_QUIET_SECONDS: String(15 / speed),
  OXENVCS_WATCH_MIN_COMMIT_GAP_SECONDS: String(10 / speed),
  OXENVCS_WATCH_SCAN_SECONDS: String(60 / speed),
  OXENVCS_WATCH_MEDIA_ONLY_COMMIT_MINUTES: String(10 / speed),
  OXENVCS_WATCH_GROWING_TAKE_HOLD_SECONDS: String(120 / speed),
});

/** Replays a recorded DAW session against `oxenvcs watch` and reads the versions that came of it. */
export async function replayWatched(trace: string, speed: number): Promise<Replayed> {
  const env = scaled(speed);
  const song = await newSong(env);
  const watch = background(['watch', song], { cwd: song, env });
  await watch.waitForLine(/Watching/);
  return await replayInto(song, trace, speed, async () => expect((await watch.kill('SIGINT')).code).toBe(130));
}

/** The same in this process, on a system whose file events go through `wake`. */
export async function replayWith(trace: string, speed: number, wake: typeof startWake): Promise<Replayed> {
  const song = await newSong({});
  const [seconds, minutes] = [1 / speed, 1 / speed];
  const watch = await watching(await openProject(song), {
    daw: 'ardour',
    wake,
    settings: {
      quietSeconds: 3 * seconds,
      mediaQuietSeconds: 15 * seconds,
      minCommitGapSeconds: 10 * seconds,
      scanSeconds: 60 * seconds,
      mediaOnlyCommitMinutes: 10 * minutes,
      growingTakeHoldSeconds: 120 * seconds,
    },
  });
  return await replayInto(song, trace, speed, watch.end);
}

async function newSong(env: Record<string, string>): Promise<string> {
  const song = path.join(await sandbox(), 'Song');
  fs.mkdirSync(song);
  const made = await oxenvcs(['init', song, '--daw', 'ardour', '--no-hooks'], { cwd: song, env });
  if (made.code !== 0) throw new Error(made.stderr);
  return song;
}

async function replayInto(song: string, trace: string, speed: number, end: () => Promise<void>): Promise<Replayed> {
  const truth: Record<string, string>[] = [];
  const file = path.resolve(import.meta.dirname, '../traces', trace);
  const { header } = await replay(file, song, {
    speed,
    onEvent: (event, { saves }) => {
      // Several events may share a time: the state after the last of them counts.
      if (saves.includes(event.t)) truth[saves.indexOf(event.t)] = sessionsOf(song);
    },
  });
  expect(truth).toHaveLength(header.saves.length);
  // The last takes settle, and git has nothing left to list.
  const limit = Date.now() + (40_000 / speed + 20_000);
  while ((await git(song, ['status', '--porcelain'])) !== '' && Date.now() < limit)
    await new Promise((done) => setTimeout(done, 200));
  await end();

  const commits = (await git(song, ['rev-list', '--reverse', 'main'])).trim().split('\n').slice(1);
  const replayed: Replayed = { saves: [], torn: [], missing: [] };
  const takes = new Map<string, string>();
  for (const { path: take } of header.takes) takes.set(take, await gitLine(song, ['hash-object', take]));
  const held = new Set<string>();
  for (const commit of commits) {
    const files = await treeOf(song, commit);
    const sessions = Object.fromEntries([...files].filter(([name]) => name.endsWith('.ardour')));
    replayed.saves.push(truth.findIndex((one) => JSON.stringify(one) === JSON.stringify(sessions)) + 1);
    for (const [take, oid] of takes) {
      if (files.has(take)) held.add(take);
      if (files.has(take) && files.get(take) !== oid) replayed.torn.push(`${commit.slice(0, 8)} ${take}`);
    }
  }
  replayed.missing = [...takes.keys()].filter((take) => !held.has(take));
  return replayed;
}

/** The session files of a folder and their blob ids. */
function sessionsOf(dir: string): Record<string, string> {
  const names = fs.readdirSync(dir).filter((name) => name.endsWith('.ardour'));
  return Object.fromEntries(names.toSorted().map((name) => [name, blobId(fs.readFileSync(path.join(dir, name)))]));
}

/** As `git hash-object` would say, at once, while the replay goes on. */
const blobId = (bytes: Buffer): string =>
  createHash('sha1').update(`blob ${bytes.length}\0`).update(bytes).digest('hex');

async function treeOf(root: string, commit: string): Promise<Map<string, string>> {
  const lines = (await git(root, ['ls-tree', '-r', '-z', commit])).split('\0').filter(Boolean);
  return new Map(lines.map((line) => [line.slice(line.indexOf('\t') + 1), line.split(/[ \t]/)[2] ?? '']));
}
