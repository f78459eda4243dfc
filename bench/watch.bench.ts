import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import * as fs from 'node:fs';
import path from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { git, gitLine } from '../src/git/run.ts';
import { background, oxenvcs } from '../test/support/cli.ts';
import { killTree } from '../test/support/processes.ts';
import { sandbox } from '../test/support/sandbox.ts';
import { textSession } from '../test/support/saves.ts';
import { replay } from '../test/traces/replay.mjs';
import { measureTree } from './support/tree.ts';

/**
 * The watcher beside what people use to have a folder committed by itself, on a recorded Ardour session in real time; and
 * how it bears 10,000 and 100,000 files. To hold: ready in 1 s and 90 MB, 10 s and 200 MB; 150 ms from settled to committed.
 */

const wait = async (ms: number) => await new Promise((done) => setTimeout(done, ms));
const has = (program: string) => spawnSync('sh', ['-c', `command -v ${program}`]).status === 0;
const trace = path.resolve(import.meta.dirname, '../test/traces/ardour-script.trace.jsonl.gz');

/** gitwatch 0.2 (github.com/gitwatch/gitwatch) with its defaults, reduced to what runs on Linux without a remote. */
const gitwatch = `
inotifywait -qmr -e close_write,move,move_self,delete,create,modify --exclude '\\.git/|\\.git$' . | while read -r _; do
  if [ -n "$timer" ] && kill -0 "$timer" 2>/dev/null; then kill "$timer"; wait "$timer" 2>/dev/null; fi
  ( sleep 2; git add --all . && git commit -q -m "Scripted auto-commit on change by gitwatch.sh" ) >/dev/null 2>&1 &
  timer=$!
done`;

interface Watcher {
  isThere: boolean;
  /** Prepares the folder and begins to watch it; gives the process. */
  start: (song: string) => Promise<number>;
}

const shell = (command: string, song: string): number => {
  const child: ChildProcess = spawn('bash', ['-c', command], { cwd: song, stdio: 'ignore', detached: true });
  if (child.pid === undefined) throw new Error('bash could not be started');
  const { pid } = child;
  onTestFinished(() => killTree(pid));
  return pid;
};
const plain = async (song: string) => {
  await git(song, ['init', '--quiet', '-b', 'main']);
  await git(song, ['commit', '--quiet', '--allow-empty', '-m', 'first']);
};

const watchers: Record<string, Watcher> = {
  oxenvcs: {
    isThere: true,
    async start(song) {
      expect((await oxenvcs(['init', song, '--daw', 'ardour', '--no-hooks'], { cwd: song })).code).toBe(0);
      const watch = background(['watch', song], { cwd: song, env: { OXENVCS_PUSH_AUTO: 'false' } });
      await watch.waitForLine(/Watching/);
      return watch.pid;
    },
  },
  'gitwatch (inotifywait)': {
    isThere: has('inotifywait'),
    async start(song) {
      await plain(song);
      return shell(gitwatch, song);
    },
  },
  'git-annex assistant': {
    isThere: has('git-annex'),
    async start(song) {
      await plain(song);
      await git(song, ['annex', 'init', '--quiet', 'song']);
      // Else it puts links to read-only files in the place of what the DAW has open.
      await git(song, ['config', 'annex.addunlocked', 'true']);
      return shell('exec git annex assistant --foreground', song);
    },
  },
};

/** How a version names these bytes: git's blob, or git-annex's key. */
const idsOf = (bytes: Buffer): string[] => [
  createHash('sha1').update(`blob ${bytes.length}\0`).update(bytes).digest('hex'),
  `SHA256E-s${bytes.length}--${createHash('sha256').update(bytes).digest('hex')}`,
];

/** A save as the DAW left it: each session file by its names. */
interface Saved {
  at: number;
  sessions: string[][];
}

test('a recorded session in real time', async () => {
  const rows: Record<string, Record<string, string | number>> = {};
  const missing = Object.keys(watchers).filter((name) => watchers[name]?.isThere !== true);
  await Promise.all(
    Object.entries(watchers).map(async ([name, watcher]) => {
      if (!watcher.isThere) return;
      const song = path.join(await sandbox(), 'Song');
      fs.mkdirSync(song);
      const pid = await watcher.start(song);
      await wait(3000);
      const used = measureTree(pid);
      /** When each commit was made, by our clock, ms. */
      const made = new Map<string, number>();
      const log = path.join(song, '.git/logs/HEAD');
      const look = setInterval(() => {
        for (const line of fs.readFileSync(log, 'utf8').split('\n')) {
          const commit = line.split(' ')[1];
          if (commit !== undefined && !made.has(commit)) made.set(commit, performance.now());
        }
      }, 10);
      const before = (await git(song, ['rev-list', 'HEAD'])).trim().split('\n');
      const saved: Saved[] = [];
      const { header } = await replay(trace, song, {
        onEvent: (event, { saves }) => {
          if (!saves.includes(event.t)) return;
          saved[saves.indexOf(event.t)] = {
            at: performance.now(),
            sessions: fs
              .readdirSync(song)
              .filter((name) => name.endsWith('.ardour'))
              .map((name) => idsOf(fs.readFileSync(path.join(song, name)))),
          };
        },
      });
      await wait(30_000);
      const { cpu, peak } = used();
      clearInterval(look);
      killTree(pid);
      rows[name] = {
        ...(await judge(song, before, header.takes, saved, made)),
        'CPU s': cpu,
        'MB at most': Math.round(peak / 1e6),
      };
    }),
  );
  // oxlint-disable-next-line no-console -- what it is for
  console.table(rows);
  // oxlint-disable-next-line no-console
  if (missing.length > 0) console.log(`Not compared, for it is not installed: ${missing.join(', ')}`);
});

async function judge(
  song: string,
  before: string[],
  takes: { path: string }[],
  saved: Saved[],
  made: Map<string, number>,
) {
  const commits = (await git(song, ['rev-list', '--reverse', 'HEAD'])).trim().split('\n');
  const whole = new Map(takes.map(({ path: take }) => [take, idsOf(fs.readFileSync(path.join(song, take)))]));
  let torn = 0;
  const latency = saved.map(() => Number.NaN);
  for (const commit of commits.filter((one) => !before.includes(one))) {
    const held = new Map<string, string>();
    for (const line of (await git(song, ['ls-tree', '-r', '-z', commit])).split('\0').filter(Boolean)) {
      const [meta = '', name = ''] = line.split('\t');
      const oid = meta.split(' ')[2] ?? '';
      const pointer = await gitLine(song, ['cat-file', '-s', oid]).then(async (size) =>
        Number(size) < 300 ? await git(song, ['cat-file', 'blob', oid]) : '',
      );
      held.set(name, /SHA256E-s\d+--[0-9a-f]{64}/.exec(pointer)?.[0] ?? oid);
    }
    if ([...whole].some(([take, ids]) => held.has(take) && !ids.includes(held.get(take) ?? ''))) torn += 1;
    for (const [i, { at, sessions }] of saved.entries()) {
      const ids = [...held.values()];
      const isIn = sessions.every((session) => session.some((id) => ids.includes(id)));
      if (isIn && Number.isNaN(latency[i])) latency[i] = (made.get(commit) ?? Number.NaN) - at;
    }
  }
  const found = latency.filter((ms) => !Number.isNaN(ms)).toSorted((a, b) => a - b);
  return {
    commits: commits.length - before.length,
    'with a torn take': torn,
    'saves found': `${found.length} of ${saved.length}`,
    'save to commit, s (median)': Math.round((found[Math.floor(found.length / 2)] ?? Number.NaN) / 100) / 10,
  };
}

test.each([10_000, 100_000])('%d files', async (count) => {
  const song = path.join(await sandbox(), 'Song');
  const session = textSession(5_000_000, Math.random);
  for (let i = 0; i < count; i++) {
    const folder = path.join(song, 'Samples', String(Math.floor(i / 1000)), String(Math.floor(i / 50)));
    if (i % 50 === 0) fs.mkdirSync(folder, { recursive: true });
    fs.writeFileSync(path.join(folder, `Take ${i}.wav`), `take ${i}`);
  }
  const file = path.join(song, 'Song.ardour');
  fs.writeFileSync(file, String(session.next().value));
  await git(song, ['init', '--quiet', '-b', 'main']);
  fs.writeFileSync(path.join(song, '.gitattributes'), '*.wav -delta -text\n');
  await git(song, ['-c', 'core.fsync=none', 'add', '--all']);
  await git(song, ['commit', '--quiet', '-m', 'first']);
  expect((await oxenvcs(['init', song, '--daw', 'ardour', '--no-hooks'], { cwd: song })).code).toBe(0);

  const started = performance.now();
  const env = { OXENVCS_PUSH_AUTO: 'false' };
  const watch = background(['watch', song, '--json-stream'], { cwd: song, env });
  // When all folders are watched it is woken, and looks.
  await watch.waitForLine(/"state":"dirty"/, 60_000);
  const readyMs = performance.now() - started;
  await wait(5000);
  const took: number[] = [];
  for (let n = 0; n < 7; n++) {
    const lines = watch.lines.length;
    fs.writeFileSync(`${file}.tmp`, String(session.next().value));
    const at = performance.now();
    fs.renameSync(`${file}.tmp`, file);
    while (!watch.lines.slice(lines).some((line) => line.includes('"event":"version"'))) await wait(2);
    took.push(performance.now() - at - 3000);
    await wait(3000);
  }
  const status = fs.readFileSync(`/proc/${watch.pid}/status`, 'utf8');
  const peak = Number(/VmHWM:\s+(\d+)/.exec(status)?.[1]) / 1000;
  // oxlint-disable-next-line no-console -- what it is for
  console.table({
    [`${count} files`]: {
      'ready, s': Math.round(readyMs / 10) / 100,
      'MB at most': Math.round(peak),
      'beyond the quiet time, ms (median)': Math.round(took.toSorted((a, b) => a - b)[3] ?? 0),
    },
  });
});
