import path from 'node:path';
import { mediaPatterns } from '../daw/media.ts';
import type { DawProfile } from '../daw/profile.ts';
import { type Place, tidyRepository } from '../git/tidy.ts';
import { asFailure, type Failure } from '../model/failures.ts';
import { whoHas } from '../project/guard.ts';
import { type Project, remoteUrl } from '../project/project.ts';
import { isVault } from '../project/vault.ts';
import { asleepMs } from '../project/watcher.ts';
import type { Clock } from '../system/clock.ts';
import { exists, writeDurable } from '../system/disk.ts';
import { makeBell } from '../watch/bell.ts';
import { isOpenHere } from './open.ts';
import { roomIn } from './room.ts';

export type TidyEvent =
  /** The repository, or its vault, takes less room now. */
  { event: 'tidied'; place: 'project' | 'vault' } | { event: 'trouble'; failure: Failure };

export interface Tidier {
  /** A version was made: it may be worth to tidy, once all is quiet. */
  stored(): void;
  /** Something stirred: what is under way breaks off at once. `resting`: no save waits for anything, and no take grows. */
  stir(resting: boolean): void;
  stop(): Promise<void>;
}

/** Nothing has stirred for so long, ms. A guess. */
const quietMs = 600_000;
/** While something is in the way it is tried again after this, ms. A guess. */
const retryMs = 300_000;
/** So often is looked whether something has got in the way, ms. */
const lookMs = 1000;

/**
 * Tidies the repository and the vault when all is quiet: nothing has stirred for a while, the DAW has nothing of the project
 * open, nobody publishes, there is room for it. It breaks off, and begins anew another time, as soon as that is over.
 * `restedMs`: for how long nobody had worked before; after a day it was done then, or is with the next version.
 */
export function startTidier(
  project: Project,
  profile: DawProfile,
  clock: Clock,
  tell: (event: TidyEvent) => void,
  restedMs = 0,
): Tidier {
  const bell = makeBell(clock);
  let isOver = false;
  /** Aborted as soon as something stirs, or gets in the way. */
  let peace = new AbortController();
  let pending = restedMs < asleepMs;
  /** On the clock that never goes back, ms; ∞: not before something stirs again. */
  let dueAt = clock.monotonic() + quietMs;

  const isInTheWay = async (): Promise<boolean> =>
    (await roomIn(project)).sessions < 0 || (await whoHas(project, 'publish')) !== null;

  const keepPeace = async (over: AbortSignal): Promise<void> => {
    while (!over.aborted) {
      // Where it cannot be asked any more the folder is gone.
      if (await isInTheWay().catch(() => true)) peace.abort();
      await clock.sleep(lookMs, over).catch(() => undefined); // over
    }
  };

  /** False: something was in its way. */
  const tidy = async (): Promise<boolean> => {
    if ((await isInTheWay()) || (await isOpenHere(project.root, profile))) return false;
    const over = new AbortController();
    const kept = keepPeace(over.signal);
    try {
      const places = { project: { cwd: project.root, args: [] }, vault: await vaultOf(project) };
      for (const name of ['project', 'vault'] as const) {
        const place = places[name];
        const done = place === null ? 'nothing-to-do' : await tidyRepository(place, peace.signal);
        if (done === 'tidied') tell({ event: 'tidied', place: name });
        if (done === 'broken-off' || done === 'taken') return false;
      }
      return true;
    } finally {
      over.abort();
      await kept;
    }
  };

  const loop = (async () => {
    while (!isOver) {
      if (await bell.wait((pending ? dueAt : Number.POSITIVE_INFINITY) - clock.monotonic())) continue;
      pending = false;
      peace = new AbortController();
      const isDone = await tidy().catch((error: unknown) => {
        if (!isOver) tell({ event: 'trouble', failure: asFailure(error) });
        return true; // not tried again before there is more to tidy
      });
      if (!isDone) pending = true;
      dueAt = Math.max(dueAt, clock.monotonic() + retryMs);
    }
  })();

  return {
    stored() {
      pending = true;
      bell.ring();
    },
    stir(isResting) {
      dueAt = isResting ? clock.monotonic() + quietMs : Number.POSITIVE_INFINITY;
      peace.abort();
      bell.ring();
    },
    async stop() {
      isOver = true;
      peace.abort();
      bell.ring();
      await loop;
    },
  };
}

/** The vault, where the project has one. It has no work tree for the attributes to lie in: takes are no deltas of each other. */
async function vaultOf(project: Project): Promise<Place | null> {
  const url = await remoteUrl(project);
  if (url === null || !(await isVault(url)) || !(await exists(url))) return null;
  const attributes = path.join(url, 'info', 'attributes');
  const lines = mediaPatterns().map((pattern) => `${pattern} -delta\n`);
  if (!(await exists(attributes))) await writeDurable(attributes, lines.join(''));
  return { cwd: url, args: ['--git-dir', url] };
}
