import { readFileSync } from 'node:fs';
import * as fs from 'node:fs/promises';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { buildSync } from 'esbuild';
import { expect, test } from 'vitest';
import { git, tryGit } from '../src/git/run.ts';
import { run } from '../src/system/process.ts';
import { background, oxenvcs } from '../test/support/cli.ts';
import { descendants } from '../test/support/processes.ts';
import { proxy } from '../test/support/proxy.ts';
import { fileRemote, httpRemote, sshRemote } from '../test/support/remotes.ts';
import { sandbox } from '../test/support/sandbox.ts';
import { median, medians, ratio, rounds } from './support/measure.ts';
import { songWithTakes, startAnew, take } from './support/song.ts';

/**
 * 480 MB of takes: `oxenvcs push`, the whole program, beside `git push` of the same objects with the same settings. To
 * hold, at 20 MB/s and 30 ms: time ≤ 1.10 ×, bytes ≤ 1.02 ×.
 */

const plainly = ['-c', 'pack.useSparse=false', '-c', 'core.compression=0', '-c', 'core.bigFileThreshold=1m'];
const rows: Record<string, Record<string, number>> = {};

test.each(['http', 'ssh'] as const)('a clean link (%s)', async (kind) => {
  const { song, base, tip } = await songWithTakes(12, 40_000_000);
  const remote = await { http: httpRemote, ssh: sshRemote }[kind]();
  Object.assign(process.env, remote.env);
  const net = await proxy(remote);
  const url = net.url(remote.url);
  await git(song, ['remote', 'set-url', 'origin', url]);
  await net.set({ bytesPerSecond: 20_000_000, latencyMs: 15, shared: true });
  const sent: Record<string, number> = {};
  const connections: Record<string, number> = {};
  const counted = (name: string, work: () => Promise<unknown>) => async () => {
    await startAnew(song, base, remote.dir);
    const before = { ...net.counts };
    await work();
    sent[name] = net.counts.up - before.up;
    connections[name] = net.counts.connections - before.connections;
    expect((await git(remote.dir, ['rev-parse', 'main'])).trim()).toBe(tip);
  };
  const row = await medians(rounds(5), {
    'git push': counted('git push', async () => await git(song, [...plainly, 'push', '--quiet', url, 'HEAD:main'])),
    'oxenvcs push': counted('oxenvcs push', async () => {
      const pushed = await oxenvcs(['push', '--json'], { cwd: song });
      expect(pushed.json()).toMatchObject({ outcome: 'pushed' });
    }),
  });
  rows[kind] = {
    ...row,
    time: ratio(row['oxenvcs push'], row['git push']),
    bytes: ratio(sent['oxenvcs push'], sent['git push']),
    connections: connections['oxenvcs push'] ?? Number.NaN,
  };
  // oxlint-disable-next-line no-console -- what it is for
  console.table(rows);
});

test('links that break (http)', async () => {
  const bytes = 12 * 40_000_000;
  const { song, base, tip } = await songWithTakes(12, 40_000_000);
  const remote = await httpRemote();
  const net = await proxy(remote);
  await git(song, ['remote', 'set-url', 'origin', net.url(remote.url)]);
  const told: Record<string, Record<string, number>[]> = {};
  const pushWhile = async (name: string, env: Record<string, string>, breakIt: (over: Promise<unknown>) => unknown) => {
    await startAnew(song, base, remote.dir);
    const before = net.counts.up;
    let isOver = false;
    const pushing = oxenvcs(['push', '--json'], { cwd: song, env }).finally(() => (isOver = true));
    let resets = 0;
    while (!isOver) {
      await breakIt(pushing);
      if (isOver) break;
      net.cut();
      resets += 1;
    }
    const { parts } = (await pushing).json() as { parts: number };
    expect((await git(remote.dir, ['rev-parse', 'main'])).trim()).toBe(tip);
    const wire = net.counts.up - before;
    (told[name] ??= []).push({
      parts,
      resets,
      'wire / payload': ratio(wire, bytes),
      'resent, MB': Math.round((wire - bytes) / 1e6),
    });
  };

  await net.set({ cutAfter: 50_000_000 });
  const plain = await tryGit(song, [...plainly, 'push', '--quiet', net.url(remote.url), 'HEAD:main']);
  expect(plain.exitCode).not.toBe(0); // it never arrives
  const small = { OXENVCS_PUSH_MAX_PART_BYTES: String(2 ** 26) };
  for (let round = 0; round < rounds(5); round++) {
    await net.set({ cutAfter: 50_000_000 });
    await pushWhile('reset after 50 MB', {}, async (over) => await over);
    await net.set({ bytesPerSecond: 20_000_000, latencyMs: 15, shared: true });
    await pushWhile('reset at random, parts up to 64 MiB', small, async (over) => {
      await Promise.race([over, sleep(4000 + Math.random() * 6000)]);
    });
  }
  const broken = Object.fromEntries(
    Object.entries(told).map(([name, all]) => {
      const middle = (what: string) => median(all.map((one) => one[what] ?? Number.NaN));
      return [name, Object.fromEntries(Object.keys(all[0] ?? {}).map((what) => [what, middle(what)]))];
    }),
  );
  // oxlint-disable-next-line no-console -- what it is for
  console.table(broken);
});

test('a fast link, beside git with its defaults', async () => {
  const ours = await songWithTakes(12, 40_000_000);
  const theirs = await songWithTakes(12, 40_000_000, 'defaults');
  const remote = await fileRemote();
  await git(ours.song, ['remote', 'set-url', 'origin', remote.url]);
  const plain = async () => {
    await startAnew(theirs.song, theirs.base, remote.dir);
    await run('git', ['push', '--quiet', remote.url, 'HEAD:main'], { cwd: theirs.song, env: process.env });
  };
  const chunked = async () => {
    await startAnew(ours.song, ours.base, remote.dir);
    expect((await oxenvcs(['push'], { cwd: ours.song })).code).toBe(0);
  };
  // It takes minutes, and forty times as long: once is enough to tell.
  const row = {
    ...(await medians(1, { 'git push, defaults': plain })),
    ...(await medians(rounds(5), { 'oxenvcs push': chunked })),
  };
  // oxlint-disable-next-line no-console -- what it is for
  console.table({ file: { ...row, ratio: ratio(row['oxenvcs push'], row['git push, defaults']) } });
});

test('memory, for a large project', async () => {
  const gigabytes = Number(process.env['GIGABYTES'] ?? 10);
  const { song, base } = await songWithTakes(gigabytes * 50, 20_000_000);
  const remote = await fileRemote();
  await git(song, ['remote', 'set-url', 'origin', remote.url]);
  await startAnew(song, base, remote.dir);
  const pushing = background(['push'], { cwd: song });
  const peak = { program: 0, 'git beside it': 0 };
  let isOver = false;
  const ended = pushing.ended.then((end) => {
    isOver = true;
    return end;
  });
  while (!isOver) {
    peak.program = Math.max(peak.program, residentBytes(pushing.pid));
    const beside = descendants(pushing.pid).reduce((sum, pid) => sum + residentBytes(pid), 0);
    peak['git beside it'] = Math.max(peak['git beside it'], beside);
    await sleep(100);
  }
  expect((await ended).code).toBe(0);
  // oxlint-disable-next-line no-console -- what it is for
  console.table({
    [`${gigabytes} GB, peak MB`]: {
      program: Math.round(peak.program / 1e6),
      'git beside it': Math.round(peak['git beside it'] / 1e6),
    },
  });
});

test('a version of 480 MB of new takes', async () => {
  const dir = await sandbox();
  const takes = Array.from({ length: 12 }, (_, n) => take(40_000_000, n));
  const fresh = async (round: number, name: string): Promise<string> => {
    const song = path.join(dir, `${name} ${round}`);
    await fs.mkdir(song);
    await fs.writeFile(path.join(song, 'Song.als'), 'one');
    return song;
  };
  const record = async (song: string) => {
    for (const [n, bytes] of takes.entries()) await fs.writeFile(path.join(song, `take ${n}.wav`), bytes);
  };
  const committer = path.join(dir, 'committer.mjs');
  bundle(path.resolve(import.meta.dirname, 'support/committer.ts'), committer);
  const took: Record<string, number[]> = {};
  const noted = (name: string, ms: number) => void (took[name] ??= []).push(ms);
  const timed = async (name: string, work: () => Promise<unknown>) => {
    const start = performance.now();
    await work();
    noted(name, performance.now() - start);
  };
  for (let round = 0; round < rounds(3); round++) {
    const plain = await fresh(round, 'plain');
    await git(plain, ['init', '--quiet']);
    await record(plain);
    await timed('git add + commit', async () => await addAndCommit(plain));
    const lfs = await fresh(round, 'lfs');
    await git(lfs, ['init', '--quiet']);
    for (const args of [
      ['install', '--local'],
      ['track', '*.wav'],
    ])
      await run('git', ['lfs', ...args], { cwd: lfs, env: process.env });
    await record(lfs);
    await timed('git lfs', async () => await addAndCommit(lfs));
    const song = await fresh(round, 'ours');
    expect((await oxenvcs(['init', song, '--no-hooks'], { cwd: dir })).code).toBe(0);
    await record(song);
    const args = [committer, song, ...takes.map((_, n) => `take ${n}.wav`)];
    const told = await run(process.execPath, args, { cwd: song, env: process.env });
    expect(told).toMatchObject({ exitCode: 0, stderr: '' });
    noted('oxenvcs', Number(told.stdout.toString('utf8')));
    for (const one of [plain, lfs, song]) await fs.rm(one, { recursive: true });
  }
  const ms = Object.fromEntries(Object.entries(took).map(([name, all]) => [name, Math.round(median(all))]));
  // oxlint-disable-next-line no-console -- what it is for
  console.table({
    commit: {
      ...ms,
      'oxenvcs / lfs': ratio(ms['oxenvcs'], ms['git lfs']),
      'oxenvcs / git': ratio(ms['oxenvcs'], ms['git add + commit']),
    },
  });
});

function bundle(entry: string, outfile: string): void {
  const banner = {
    js: "import { createRequire as __createRequire } from 'node:module'; const require = __createRequire(import.meta.url);",
  };
  buildSync({ entryPoints: [entry], outfile, bundle: true, platform: 'node', format: 'esm', target: 'node20', banner });
}

async function addAndCommit(dir: string): Promise<void> {
  // As a person runs it: none of our settings.
  await run('git', ['add', '--all'], { cwd: dir, env: process.env });
  await run('git', ['commit', '--quiet', '-m', 'takes'], { cwd: dir, env: process.env });
}

function residentBytes(pid: number): number {
  try {
    return Number(/^VmRSS:\s+(\d+) kB/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1] ?? 0) * 1024;
  } catch {
    return 0; // it has just ended
  }
}
