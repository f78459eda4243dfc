import { setTimeout as sleep } from 'node:timers/promises';
import { Failure } from '../model/failures.ts';
import { endGroup } from '../system/process.ts';
import { processesWith } from '../system/processes.ts';

/** On the command line of every git of ours: which of our processes has started it. */
export const startedBy = (pid: number): string => `oxenvcs.by=${pid}`;

/** What does not talk to anybody ends by itself in milliseconds, ms. */
const patienceMs = 2000;
/** A process that waits for a disk which does not answer cannot be ended, ms. */
const goneMs = 5000;
const lookMs = 20;

/**
 * A process of ours that was killed leaves the git that it had started at work. Whoever goes on in its place must not
 * meet that one: it may move HEAD, or write files, when the next has already decided that it never will. So it is waited
 * for, and what takes long (an upload) is ended. `pid`: the dead process. Throws `busy` where it cannot be ended.
 */
export async function outliveGitOf(pid: number): Promise<void> {
  const started = performance.now();
  const left = async (forMs: number): Promise<number[]> => {
    for (;;) {
      const still = (await processesWith(startedBy(pid))) ?? [];
      if (still.length === 0 || performance.now() - started >= forMs) return still;
      await sleep(lookMs);
    }
  };
  for (const one of await left(patienceMs)) endGroup(one);
  const [stuck] = await left(patienceMs + goneMs);
  if (stuck !== undefined)
    throw new Failure('busy', { detail: `Git (process ${stuck}), left behind by an earlier command, does not end` });
}
