import { expect, test } from 'vitest';
import { git, gitLine } from '../../src/git/run.ts';
import { breakLock } from '../../src/lock/break.ts';
import { acquireLock, releaseLock, renewLock } from '../../src/lock/lease.ts';
import { lockRef } from '../../src/lock/names.ts';
import { parseRecord } from '../../src/lock/record.ts';
import { fileRemote, httpRemote, type Remote, sshRemote } from '../support/remotes.ts';
import { rounds } from '../support/rounds.ts';
import { team } from '../support/team.ts';

const remotes = { file: fileRemote, http: httpRemote, ssh: sshRemote };
const kinds = ['file', 'http', 'ssh'] as const;
const names = ['Ann', 'Ben', 'Cleo', 'Dan', 'Eve', 'Fay', 'Gus', 'Hal'];

/** No generation was skipped or used twice. */
async function generations({ dir }: Remote): Promise<number[]> {
  const messages = await git(dir, ['log', '--reverse', '--first-parent', '-z', '--format=%B', lockRef('main')]);
  return messages
    .split('\0')
    .filter(Boolean)
    .map((message) => parseRecord(message.trim()))
    .map((read) => (read.state === 'record' ? read.record.generation : 0));
}
const upTo = (n: number) => Array.from({ length: n }, (_, i) => i + 1);

test.each(kinds)(
  'of eight who ask at once exactly one gets the lock, round after round (%s)',
  async (kind) => {
    const remote = await remotes[kind]();
    Object.assign(process.env, remote.env);
    const members = await team(remote.url, names);
    const played = rounds(100);
    for (let round = 1; round <= played; round++) {
      const results = await Promise.all(members.map(async ({ ctx }) => await acquireLock(ctx, { how: 'save' })));
      const outcomes = results.map(({ outcome }) => outcome);
      expect(outcomes.toSorted()).toEqual(['acquired', ...Array.from({ length: 7 }, () => 'held')]);
      const winner = members[outcomes.indexOf('acquired')];
      const record = await gitLine(remote.dir, ['log', '-1', '--format=%B', lockRef('main')]);
      expect(parseRecord(record)).toMatchObject({
        record: { owner: { name: winner?.project.root.split('/').at(-1) } },
      });
      if (winner) expect((await releaseLock(winner.ctx)).outcome).toBe('done');
    }
    expect(await generations(remote)).toEqual(upTo(2 * played));
  },
  900_000,
);

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
    expect(await generations(remote)).toEqual(upTo(all));
  },
  900_000,
);
