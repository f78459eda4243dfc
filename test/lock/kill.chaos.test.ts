import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { buildSync } from 'esbuild';
import { expect, onTestFinished, test } from 'vitest';
import { git, gitLine, tryGit } from '../../src/git/run.ts';
import { acquireLock, releaseLock } from '../../src/lock/lease.ts';
import { cachedStatus, lockStatus } from '../../src/lock/status.ts';
import { agree, checkChain } from '../support/chain.ts';
import { dice } from '../support/dice.ts';
import { killTree } from '../support/processes.ts';
import { httpRemote, isPush, sshRemote } from '../support/remotes.ts';
import { rounds, roundsFor } from '../support/rounds.ts';
import { sandbox } from '../support/sandbox.ts';
import { type Member, remoteMain, team, version } from '../support/team.ts';

type Start = (member: Member, operation: string) => ChildProcess;

async function worker(): Promise<Start> {
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

/** How long one operation takes here and now, ms: what the moments of the kills are measured by. */
async function timeOf(start: Start, member: Member, operation: string): Promise<number> {
  const began = performance.now();
  await once(start(member, operation), 'exit');
  return performance.now() - began;
}

const remotes = { http: httpRemote, ssh: sshRemote };

test.each([
  ['http', 100],
  ['ssh', 40],
] as const)(
  'clients killed at random moments of an acquire: the next run knows whose the lock is (%s)',
  async (kind, all) => {
    const { roll } = dice(7);
    const remote = await remotes[kind]();
    Object.assign(process.env, remote.env);
    const members = await team(remote.url, ['Ann', 'Ben']);
    const start = await worker();
    const [ann] = members;
    if (!ann) throw new Error('two were asked for');
    const whole = await timeOf(start, ann, 'acquire');
    await releaseLock(ann.ctx);
    for (let round = 0; round < rounds(all); round++) {
      const [one, other] = roll() < 0.5 ? members : members.toReversed();
      if (!one || !other) throw new Error('two were asked for');
      const child = start(one, 'acquire');
      const ended = once(child, 'exit');
      // From the start of the program to after the answer.
      await sleep(whole * (0.2 + roll()));
      // Only the program: what git has started goes on, as after a crash.
      child.kill('SIGKILL');
      await ended;
      expect(['acquired', 'already-mine']).toContain((await acquireLock(one.ctx, { how: 'save' })).outcome);
      expect((await acquireLock(other.ctx, { how: 'save' })).outcome).toBe('held');
      await agree(remote, members);
      await releaseLock(one.ctx);
    }
    await checkChain(remote, await remoteMain(remote.dir));
  },
);

const wanting = ['acquire', 'acquire', 'acquire', 'publish', 'break'];
const doing = ['publish', 'publish', 'renew', 'acquire', 'release'];

test('clients killed and cut at random in all that they do: in the end all agree with the remote, and no generation is skipped or used twice', async () => {
  const { roll, pick } = dice(11);
  const remote = await httpRemote();
  const members = await team(remote.url, ['Ann', 'Ben', 'Cleo']);
  const began = await remoteMain(remote.dir);
  const start = await worker();
  const [ann] = members;
  if (!ann) throw new Error('three were asked for');
  const whole = await timeOf(start, ann, 'acquire');
  remote.trouble = (request) => {
    const fate = roll();
    if (fate < 0.04) return { status: 503 };
    if (fate < 0.08 && isPush(request)) return { cutRequestAfter: Math.floor(roll() * 600) };
    if (fate < 0.2 && isPush(request)) return { cutAnswerAfter: Math.floor(roll() * 100) };
    return null;
  };
  for (const round of roundsFor({ few: 30, minutes: 5 })) {
    // Who is behind comes up to date now and then, so that the lock is not refused to all.
    for (const { project } of members)
      if (roll() < 0.5 && (await tryGit(project.root, ['pull', '--quiet', '--rebase'])).exitCode !== 0)
        await tryGit(project.root, ['rebase', '--abort']);
    const running = members.map(async (member) => {
      if (roll() < 0.5) await version(member, `${round}`);
      const { mine } = await cachedStatus(member.ctx);
      const child = start(member, pick(mine ? doing : wanting));
      const ended = once(child, 'exit');
      if (roll() < 0.5) {
        await Promise.race([ended, sleep(whole * (0.2 + 2 * roll()))]);
        if (roll() < 0.5) child.kill('SIGKILL');
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
  const chain = await checkChain(remote, began);
  // Something was published at all.
  expect(chain.some(({ event }) => event === 'published')).toBe(true);
  expect(await gitLine(remote.dir, ['rev-parse', 'main'])).not.toBe(began);
  expect(await git(remote.dir, ['fsck', '--strict', '--no-dangling'])).toBe('');
});
