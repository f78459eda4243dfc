import { setTimeout as sleep } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { breakLock } from '../../src/lock/break.ts';
import { acquireLock } from '../../src/lock/lease.ts';
import { publish } from '../../src/push/publish.ts';
import { agree, checkChain } from '../support/chain.ts';
import { dice } from '../support/dice.ts';
import { fileRemote, httpRemote, serverHook, sshRemote } from '../support/remotes.ts';
import { rounds } from '../support/rounds.ts';
import { remoteMain, team, version } from '../support/team.ts';

const remotes = { file: fileRemote, http: httpRemote, ssh: sshRemote };

test.each(['file', 'http', 'ssh'] as const)(
  'a lock that is broken at any moment of a publish: the branch does not move after it was lost (%s)',
  async (kind) => {
    const { roll, pick } = dice(13);
    const remote = await remotes[kind]();
    Object.assign(process.env, remote.env);
    const [ann, ben] = await team(remote.url, ['Ann', 'Ben']);
    if (!ann || !ben) throw new Error('two were asked for');
    const began = await remoteMain(remote.dir);
    let whole = 0;
    const outcomes: string[] = [];
    for (let round = 0; round <= rounds(60); round++) {
      expect((await acquireLock(ann.ctx, { how: 'save' })).outcome).toBe('acquired');
      const tip = await version(ann, `${round}`);
      // While the server's hook takes its time the lock may go: what is checked before it proves nothing. A break asks first, and
      // then writes: on a busy machine it would always come too late.
      const inHook = pick([0, 100, Math.max(300, Math.round(2 * whole))]);
      await serverHook(
        remote,
        pick(['pre-receive', 'update']),
        `case "$(cat) $1" in *refs/heads/main*) sleep ${round === 0 ? 0 : inHook / 1000};; esac`,
      );
      const start = performance.now();
      const publishing = publish(ann.ctx, { tip });
      if (round === 0) {
        // The first is let through, to see how long one takes.
        await publishing;
        whole = performance.now() - start;
      } else await sleep(roll() * (whole + inHook));
      const broken = await breakLock(ben.ctx, { reason: `round ${round}` });
      const published = await publishing;
      expect(broken.outcome).toBe('broken');
      expect(['published', 'not-ours']).toContain(published.outcome);
      outcomes.push(published.outcome);
      const chain = await checkChain(remote, began);
      expect(chain.at(-1)).toMatchObject({ event: 'broken', reason: `round ${round}` });
      expect(chain.some((record) => record.published === tip)).toBe(published.outcome === 'published');
      await agree(remote, [ann, ben]);
    }
    // Both came: breaks that were too late for this publish, and breaks that were not.
    if (outcomes.length > 20) expect(new Set(outcomes).size).toBe(2);
  },
);
