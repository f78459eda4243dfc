import { Failure } from '../model/failures.ts';
import { alone } from '../project/guard.ts';
import type { Project } from '../project/project.ts';
import { type Clock, isoTime } from '../system/clock.ts';
import { noteDone, noteFailed, noteWorking, stateAfter } from './attempts.ts';
import { finish } from './entries.ts';
import { rebuildQueue } from './rebuild.ts';

export interface DrainPorts<Published> {
  clock: Clock;
  /** How long another consumer is waited for, ms. */
  patienceMs: number;
  /** The wait before the try after that many attempts, of which the last one failed so, ms. */
  backoffMs: (attempts: number, failure: Failure) => number;
  /** Puts the branch up to this commit on the remote, which may be so already. Throws the Failure that prevented it. */
  publish: (tip: string, signal: AbortSignal) => Promise<Published>;
  signal: AbortSignal;
}

export type Drained<Published> =
  | { outcome: 'published'; entries: number; published: Published }
  | { outcome: 'nothing-to-do' }
  /** `retryAt` (ms since 1970) is null where a person has to do something first. */
  | { outcome: 'not-yet'; failure: Failure; entries: number; retryAt: number | null };

/**
 * One pass over the queue, as its only consumer: everything that waits on the branch goes out as one push of its last
 * commit, then each entry gets its end. Running it twice is the same as once.
 */
export async function drain<Published>(project: Project, ports: DrainPorts<Published>): Promise<Drained<Published>> {
  const guarded = await alone(
    project,
    'publish',
    ports.patienceMs,
    async (lost) => await onePass(project, ports, lost),
  );
  if (guarded.outcome === 'done') return guarded.value;
  throw new Failure('busy', { detail: `Process ${guarded.pid ?? '?'} of this project is publishing` });
}

async function onePass<Published>(
  project: Project,
  ports: DrainPorts<Published>,
  lost: AbortSignal,
): Promise<Drained<Published>> {
  const { entries } = await rebuildQueue(project, isoTime(ports.clock.now()));
  const waiting = entries.filter(({ kind, branch }) => kind === 'publish' && branch === project.config.branch);
  const last = waiting.at(-1);
  if (last === undefined) {
    await noteDone(project);
    return { outcome: 'nothing-to-do' };
  }
  const attempt = await noteWorking(project, last.seq);
  try {
    const published = await ports.publish(last.commit, AbortSignal.any([lost, ports.signal]));
    await finish(project, waiting);
    await noteDone(project);
    return { outcome: 'published', entries: waiting.length, published };
  } catch (error) {
    if (!(error instanceof Failure)) throw error;
    const halted = stateAfter(error.code) === 'halted';
    const retryAt = halted ? null : ports.clock.now() + ports.backoffMs(attempt.attempts, error);
    await noteFailed(project, attempt, error, retryAt);
    return { outcome: 'not-yet', failure: error, entries: waiting.length, retryAt };
  }
}
