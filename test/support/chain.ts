import { expect } from 'vitest';
import { git, gitLine } from '../../src/git/run.ts';
import { lockRef } from '../../src/lock/names.ts';
import { type LockRecord, parseRecord } from '../../src/lock/record.ts';
import { lockStatus } from '../../src/lock/status.ts';
import type { Remote } from './remotes.ts';
import type { Member } from './team.ts';

/** The records on the remote, oldest first. One that cannot be read fails the test. */
export async function chainOn({ dir }: Pick<Remote, 'dir'>): Promise<LockRecord[]> {
  const messages = await git(dir, ['log', '--reverse', '--first-parent', '-z', '--format=%B', lockRef('main')]);
  return messages
    .split('\0')
    .filter(Boolean)
    .map((message) => {
      const read = parseRecord(message.trim());
      if (read.state !== 'record') throw new Error(`a record is ${read.state}: ${message}`);
      return read.record;
    });
}

/**
 * What must be true of every chain: no generation was skipped or used twice, a holding is only gone on with while it
 * stands, and the branch is where the last publish under a lock has put it (`start`: before the first).
 */
export async function checkChain(remote: Pick<Remote, 'dir'>, start: string): Promise<LockRecord[]> {
  const chain = await chainOn(remote);
  expect(chain.map(({ generation }) => generation)).toEqual(chain.map((_, n) => n + 1));
  for (const [n, record] of chain.entries()) {
    const before = chain[n - 1];
    const goesOn = record.event === 'renewed' || record.event === 'published';
    if (goesOn) expect(before).toMatchObject({ state: 'held', lockId: record.lockId });
  }
  const last = chain.findLast(({ event }) => event === 'published');
  expect(await gitLine(remote.dir, ['rev-parse', 'refs/heads/main'])).toBe(last?.published ?? start);
  return chain;
}

/** What every one of them must agree on when the dust has settled. */
export async function agree(remote: Remote, members: readonly Member[]): Promise<void> {
  const tip = (await chainOn(remote)).at(-1);
  const holder = tip?.state === 'held' ? tip : null;
  for (const { ctx } of members) {
    const { status } = await lockStatus(ctx);
    expect(status).toMatchObject({ source: 'remote', held: holder !== null });
    expect(status.lock?.id ?? null).toBe(holder?.lockId ?? null);
    expect(status.mine).toBe(holder?.owner.clone === ctx.owner.clone);
  }
}
