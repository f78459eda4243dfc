import { spawn, spawnSync } from 'node:child_process';
import * as fs from 'node:fs';
import path from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { register } from '../src/control/registry.ts';
import { git } from '../src/git/run.ts';
import { bareRepository, type Remote } from '../test/support/bare.ts';
import { asUsersHaveIt, type User, user } from '../test/support/daemon.ts';
import { httpRemote } from '../test/support/http-remote.ts';
import { killTree } from '../test/support/processes.ts';
import { sandbox } from '../test/support/sandbox.ts';
import { sshRemote } from '../test/support/ssh-remote.ts';
import { measureTree } from './support/tree.ts';

/**
 * The background process with 200 projects, each with a remote: at 190 of them nobody has worked for days; ten were saved and
 * published a moment ago, so the lock of each is held and its remote is asked each minute. Nothing else goes on. To hold: 0.5 % of
 * a core, for it and all that it starts. `MINUTES=16` is a whole round: 15 minutes is the longest time between two looks.
 */

const [projects, awake] = [200, 10];
const minutes = Number(process.env['MINUTES'] ?? 16);
const wait = async (ms: number) => await new Promise((done) => setTimeout(done, ms));
const has = (program: string) => spawnSync('sh', ['-c', `command -v ${program}`]).status === 0;

async function until(holds: () => boolean | Promise<boolean>): Promise<void> {
  while (!(await holds())) await wait(500);
}

/** So many folders that are projects, each with a remote of its own, all published; nobody has worked there for days. */
async function shelf(owner: User, server: Remote | null): Promise<string[]> {
  const remotes = server === null ? await sandbox() : path.dirname(server.dir);
  const bare = await bareRepository();
  const first = await owner.song('Song 0', bare);
  expect((await owner.run(['push'], first)).code).toBe(0);
  const workedAt = new Date(Date.now() - 3 * 86_400_000).toISOString();
  const note = `${JSON.stringify({ v: 1, state: 'clean', detail: '', at: workedAt, workedAt })}\n`;
  process.env['XDG_DATA_HOME'] = owner.env['XDG_DATA_HOME'];
  return await Promise.all(
    Array.from({ length: projects }, async (_, n) => {
      const song = path.join(owner.dir, `Song ${n}`);
      const remote = path.join(remotes, `${n}.git`);
      fs.cpSync(bare, remote, { recursive: true });
      if (n > 0) {
        fs.cpSync(first, song, { recursive: true });
        // Whose copy it is.
        for (const own of ['.git/oxenvcs', '.oxenvcs/state'])
          fs.rmSync(path.join(song, own), { recursive: true, force: true });
        await register(song);
      }
      const url = server === null ? remote : server.url.replace('song.git', `${n}.git`);
      await git(song, ['remote', 'set-url', 'origin', url]);
      fs.mkdirSync(path.join(song, '.oxenvcs/state'), { recursive: true });
      fs.writeFileSync(path.join(song, '.oxenvcs/state/watcher.json'), note);
      return song;
    }),
  );
}

interface Row {
  '% of a core': number;
  MB: number;
  processes: number;
  descriptors: number;
}

/** None of one that has ended: 200 times `inotifywait` is more than the system gives to one user (128). */
function descriptorsOf(pid: number): number {
  return fs.existsSync(`/proc/${pid}/fd`) ? fs.readdirSync(`/proc/${pid}/fd`).length : 0;
}

async function measure(pids: readonly number[]): Promise<Row> {
  const measured = pids.map((pid) => measureTree(pid, 5000));
  const cpu = () => measured.reduce((sum, used) => sum + used().cpu, 0);
  const [before, start] = [cpu(), performance.now()];
  await wait(minutes * 60_000);
  const share = (cpu() - before) / ((performance.now() - start) / 1000);
  const used = measured.map((one) => one());
  return {
    '% of a core': Math.round(share * 10_000) / 100,
    MB: Math.round(used.reduce((sum, { now }) => sum + now, 0) / 1e6),
    processes: used.reduce((sum, one) => sum + one.processes, 0),
    descriptors: pids.reduce((sum, pid) => sum + descriptorsOf(pid), 0),
  };
}

const servers: Record<string, () => Promise<Remote | null>> = {
  folder: async () => null,
  http: httpRemote,
  ssh: async () => await sshRemote({ acceptGitProtocol: true }),
};

test.each(Object.keys(servers))('200 projects, their remotes behind %s', async (kind) => {
  const server = (await servers[kind]?.()) ?? null;
  const owner = await user({ ...asUsersHaveIt, ...server?.env });
  const songs = await shelf(owner, server);
  expect((await owner.run(['daemon', 'start'])).code).toBe(0);
  const pid = await owner.daemonPid();
  await until(async () => (await owner.log()).split('Watching ').length > projects);
  await wait(30_000);
  for (const song of songs.slice(0, awake)) {
    fs.writeFileSync(path.join(song, 'Song.als'), 'two');
    await wait(1000);
  }
  await until(async () => (await owner.log()).split('1 version published').length > awake);
  await wait(30_000);
  const ours = await measure([pid]);
  // oxlint-disable-next-line no-console -- what it is for
  console.table({ [`oxenvcs, ${kind}`]: ours });
});

/** The loop of gitwatch (watch.bench.ts), in each folder; and one that only asks each remote every quarter of an hour. */
const others: Record<string, string | null> = {
  'gitwatch (inotifywait)': has('inotifywait')
    ? `inotifywait -qmr -e close_write,move,move_self,delete,create,modify --exclude '\\.git/|\\.git$' . | while read -r _; do git add --all .; done`
    : null,
  'git fetch in a loop': 'while :; do git fetch --quiet; git status --porcelain; sleep 900; done >/dev/null 2>&1',
};

test('the same 200 folders with what people write for themselves', async () => {
  const owner = await user(asUsersHaveIt);
  const songs = await shelf(owner, await httpRemote());
  for (const [name, loop] of Object.entries(others)) {
    if (loop === null) continue;
    const pids = songs.map((song) => spawn('bash', ['-c', loop], { cwd: song, stdio: 'ignore' }).pid ?? 0);
    onTestFinished(() => pids.forEach(killTree));
    await wait(30_000);
    // oxlint-disable-next-line no-console -- what it is for
    console.table({ [name]: await measure(pids) });
    pids.forEach(killTree);
  }
});
