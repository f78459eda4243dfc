import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { buildSync } from 'esbuild';
import { expect, onTestFinished, test } from 'vitest';
import { git, gitLine, tryGit } from '../../src/git/run.ts';
import { acquireLock } from '../../src/lock/lease.ts';
import { lockRef } from '../../src/lock/names.ts';
import { parseRecord } from '../../src/lock/record.ts';
import { cachedStatus, lockStatus } from '../../src/lock/status.ts';
import { killTree } from '../support/processes.ts';
import { httpRemote, isPush, type Remote, sshRemote } from '../support/remotes.ts';
import { rounds } from '../support/rounds.ts';
import { sandbox } from '../support/sandbox.ts';
import { type Member, team, version } from '../support/team.ts';

/** Small, and the same everywhere (mulberry32). */
function random(seed: number): () => number {
  let a = seed;
  return () => {
    a = (a + 0x6d2b79f5) | 0;
    let t = Math.imul(a ^ (a >>> 15), 1 | a);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

async function worker(): Promise<(member: Member, operation: string) => ChildProcess> {
  const dir = await sandbox();
  const outfile = path.join(dir, 'worker.mjs');
  const entry = path.resolve(import.meta.dirname, '../support/lock-worker.ts');
  const banner = {
    js: "import { createRequire as __createRequire } from 'node:module'; const require = __createRequire(import.meta.url);",
  };
  buildSync({ entryPoints: [entry], outfile, bundle: true, platform: 'node', format: 'esm', target: 'node20', banner });
  return ({ project }, operation) => {
    const child = spawn(process.execPath, [outfile, project.root, operation, path.join(dir, 'log')], {
      stdio: 'ignore',
    });
    onTestFinished(() => {
      if (child.exitCode === null && child.pid !== undefined) killTree(child.pid);
    });
    return child;
  };
}

const wanting = ['acquire', 'acquire', 'acquire', 'publish', 'break'];
const doing = ['publish', 'publish', 'renew', 'acquire', 'release'];

/** What every one of them must agree on when the dust has settled. */
async function agree(remote: Remote, members: Member[]): Promise<void> {
  const chain = (await git(remote.dir, ['log', '--first-parent', '-z', '--format=%B', lockRef('main')]))
    .split('\0')
    .filter(Boolean)
    .map((message) => parseRecord(message.trim()));
  const generations = chain.map((read) => (read.state === 'record' ? read.record.generation : null));
  expect(generations).toEqual(generations.map((_, n) => generations.length - n));
  const tip = chain[0];
  const holder = tip?.state === 'record' && tip.record.state === 'held' ? tip.record : null;
  for (const { ctx } of members) {
    const { status } = await lockStatus(ctx);
    expect(status).toMatchObject({ source: 'remote', held: holder !== null });
    expect(status.lock?.id ?? null).toBe(holder?.lockId ?? null);
    expect(status.mine).toBe(holder?.owner.clone === ctx.owner.clone);
  }
}

const remotes = { http: httpRemote, ssh: sshRemote };

test.each([
  ['http', 100],
  ['ssh', 40],
] as const)(
  'clients killed at random moments of an acquire: the next run knows whose the lock is (%s)',
  async (kind, all) => {
    const remote = await remotes[kind]();
    Object.assign(process.env, remote.env);
    const members = await team(remote.url, ['Ann', 'Ben']);
    const start = await worker();
    const dice = random(7);
    for (let round = 0; round < rounds(all); round++) {
      const [one, other] = dice() < 0.5 ? members : members.toReversed();
      if (!one || !other) throw new Error('two were asked for');
      const child = start(one, 'acquire');
      const ended = once(child, 'exit');
      // From before the first git to after the answer.
      await sleep(150 + dice() * (kind === 'http' ? 350 : 700));
      // Only the program: what git has started goes on, as after a crash.
      child.kill('SIGKILL');
      await ended;
      const next = await acquireLock(one.ctx, { how: 'save' });
      expect(['acquired', 'already-mine']).toContain(next.outcome);
      expect((await acquireLock(other.ctx, { how: 'save' })).outcome).toBe('held');
      await agree(remote, members);
      await once(start(one, 'release'), 'exit');
    }
  },
  600_000,
);

test('clients killed and cut at random in all that they do: in the end all agree with the remote, and no generation is skipped or used twice', async () => {
  const remote = await httpRemote();
  const members = await team(remote.url, ['Ann', 'Ben', 'Cleo']);
  const start = await worker();
  const dice = random(11);
  const pick = <T>(from: readonly T[]): T => from[Math.floor(dice() * from.length)] as T;
  remote.trouble = (request) => {
    const roll = dice();
    if (roll < 0.04) return { status: 503 };
    if (roll < 0.08 && isPush(request)) return { cutRequestAfter: Math.floor(dice() * 600) };
    if (roll < 0.2 && isPush(request)) return { cutAnswerAfter: Math.floor(dice() * 100) };
    return null;
  };
  for (let round = 0; round < rounds(300); round++) {
    // Who is behind comes up to date now and then, so that the lock is not refused to all.
    for (const { project } of members)
      if (dice() < 0.5 && (await tryGit(project.root, ['pull', '--quiet', '--rebase'])).exitCode !== 0)
        await tryGit(project.root, ['rebase', '--abort']);
    const running = members.map(async (member) => {
      if (dice() < 0.5) await version(member, `${round}`);
      const { mine } = await cachedStatus(member.ctx);
      const child = start(member, pick(mine ? doing : wanting));
      const ended = once(child, 'exit');
      if (dice() < 0.5) {
        await Promise.race([ended, sleep(150 + dice() * 500)]);
        if (dice() < 0.5) child.kill('SIGKILL');
        else if (child.pid !== undefined) killTree(child.pid);
      }
      await ended;
    });
    await Promise.all(running);
  }
  remote.trouble = () => null;
  // What was cut off may still be under way on the server.
  await sleep(500);
  for (const { ctx } of members) await lockStatus(ctx);
  await agree(remote, members);
  // Something was published at all.
  const log = await gitLine(remote.dir, ['rev-list', '--first-parent', '--reverse', 'main']);
  expect(log.split('\n').length).toBeGreaterThan(1);
  expect(await git(remote.dir, ['fsck', '--strict', '--no-dangling'])).toBe('');
}, 600_000);
