import { bringIndexUp } from '../commit/user-index.ts';
import { asFailure, type Failure } from '../model/failures.ts';
import type { Project } from '../project/project.ts';
import type { Clock } from '../system/clock.ts';
import { listenIn } from '../system/listen-in.ts';
import { inTurn } from '../system/turns.ts';
import { makeBell } from '../watch/bell.ts';

/**
 * So long after somebody else's index.lock was last seen to come or go it is tried again. Where nothing is heard of it, or it failed (a
 * full disk, a git that was killed): after twice as long each time, up to the second, ms.
 */
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
  const bell = makeBell(clock);
  const about = `index ${project.gitDir}`;
  let trying: Promise<void> | null = null;

  const tries = async (): Promise<void> => {
    const [first, last] = retryMs;
    let told = '';
    const up = async (): Promise<boolean> => {
      try {
        return await inTurn(about, async () => await bringIndexUp(project));
      } catch (error) {
        const failure = asFailure(error);
        if (failure.message !== told) tell({ event: 'trouble', failure });
        told = failure.message;
        return false;
      }
    };
    if (await up()) return;
    const deafen = listenIn(project.gitDir, ['index.lock'], bell.ring);
    try {
      for (let ms: number = first; !stopped.signal.aborted; ) {
        // Whoever had it may give git the next command in the same breath: that would fail if we had it then.
        if (await bell.wait(ms)) ms = first;
        else if (await up()) return;
        else ms = Math.min(2 * ms, last);
      }
    } finally {
      deafen();
    }
  };
  const look = (): void => {
    trying ??= tries()
      .catch((error: unknown) => {
        tell({ event: 'trouble', failure: asFailure(error) });
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
      stopped.abort();
      bell.ring();
      await trying;
    },
  };
}
