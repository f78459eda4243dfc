import { bringIndexUp } from '../commit/user-index.ts';
import { asFailure, type Failure } from '../model/failures.ts';
import type { Project } from '../project/project.ts';
import type { Clock } from '../system/clock.ts';
import { inTurn } from '../system/turns.ts';

/** While somebody else holds index.lock, or the disk is full, it is tried again after this, then after twice as long …, up to the second, ms. */
const retryMs = [1000, 30_000] as const;

/**
 * Brings the user's index up to the versions made while somebody held its lock, or the disk was full, as soon as it can: until then their
 * next plain `git commit` would undo those saves. `making` is for whoever makes versions: the two take turns.
 */
export function startIndexUp(
  project: Project,
  clock: Clock,
  tell: (event: { event: 'trouble'; failure: Failure }) => void,
) {
  const stopped = new AbortController();
  const about = `index ${project.gitDir}`;
  let trying: Promise<void> | null = null;

  const tries = async (): Promise<void> => {
    const [first, last] = retryMs;
    let isToldFull = false;
    const up = async (): Promise<boolean> => {
      try {
        return await inTurn(about, async () => await bringIndexUp(project));
      } catch (error) {
        const failure = asFailure(error);
        if (failure.row !== 'disk-full') throw error;
        if (!isToldFull) tell({ event: 'trouble', failure });
        isToldFull = true;
        return false;
      }
    };
    for (let ms: number = first; !(await up()); ms = Math.min(2 * ms, last)) await clock.sleep(ms, stopped.signal);
  };
  const look = (): void => {
    trying ??= tries()
      .catch((error: unknown) => {
        if (!stopped.signal.aborted) tell({ event: 'trouble', failure: asFailure(error) });
      })
      .finally(() => (trying = null));
  };

  return {
    look,
    async making<T>(work: () => Promise<T>): Promise<T> {
      try {
        return await inTurn(about, work);
      } finally {
        if (!stopped.signal.aborted) look();
      }
    },
    async stop(): Promise<void> {
      stopped.abort(new Error('the watcher ends'));
      await trying;
    },
  };
}
