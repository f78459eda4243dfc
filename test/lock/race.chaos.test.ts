import { expect, test } from 'vitest';
import { breakLock } from '../../src/lock/break.ts';
import { acquireLock, releaseLock, renewLock } from '../../src/lock/lease.ts';
import { chainOn } from '../support/chain.ts';
import { fileRemote, httpRemote, sshRemote } from '../support/remotes.ts';
import { rounds } from '../support/rounds.ts';
import { team } from '../support/team.ts';

const remotes = { file: fileRemote, http: httpRemote, ssh: sshRemote };
const kinds = ['file', 'http', 'ssh'] as const;
const names = ['Ann', 'Ben', 'Cleo', 'Dan', 'Eve', 'Fay', 'Gus', 'Hal'];
const upTo = (n: number) => Array.from({ length: n }, (_, i) => i + 1);

test.each(kinds)('of eight who ask at once exactly one gets the lock, round after round (%s)', async (kind) => {
  const remote = await remotes[kind]();
  Object.assign(process.env, remote.env);
  const members = await team(remote.url, names);
  const played = rounds(100);
  for (let round = 1; round <= played; round++) {
    const results = await Promise.all(members.map(async ({ ctx }) => await acquireLock(ctx, { how: 'save' })));
    const outcomes = results.map(({ outcome }) => outcome);
    expect(outcomes.toSorted()).toEqual(['acquired', ...Array.from({ length: 7 }, () => 'held')]);
    const winner = members[outcomes.indexOf('acquired')];
    if (!winner) throw new Error('one has won');
    expect((await chainOn(remote)).at(-1)?.owner.clone).toBe(winner.ctx.owner.clone);
    expect((await releaseLock(winner.ctx)).outcome).toBe('done');
  }
  // No generation was skipped or used twice.
  expect((await chainOn(remote)).map(({ generation }) => generation)).toEqual(upTo(2 * played));
});

test.each(kinds)(
  'renewals against a break: it is broken in the end, the holder hears of it, and nothing comes between (%s)',
  async (kind) => {
    const remote = await remotes[kind]();
    Object.assign(process.env, remote.env);
    const [ann, ben] = await team(remote.url, names.slice(0, 2));
    if (!ann || !ben) throw new Error('two were asked for');
    let all = 0;
    for (let round = 1; round <= rounds(40); round++) {
      await acquireLock(ann.ctx, { how: 'save' });
      const [broken, first, second] = await Promise.all([
        breakLock(ben.ctx, { reason: `round ${round}` }),
        renewLock(ann.ctx),
        renewLock(ann.ctx),
      ]);
      expect(broken.outcome).toBe('broken');
      for (const { outcome } of [first, second]) expect(['done', 'not-ours']).toContain(outcome);
      expect(await renewLock(ann.ctx)).toMatchObject({ outcome: 'not-ours', loss: { reason: `round ${round}` } });
      all += 2 + [first, second].filter(({ outcome }) => outcome === 'done').length;
    }
    expect((await chainOn(remote)).map(({ generation }) => generation)).toEqual(upTo(all));
  },
);
