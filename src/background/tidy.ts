import path from 'node:path';
import { mediaPatterns } from '../daw/media.ts';
import type { DawProfile } from '../daw/profile.ts';
import { type Place, type Tidied, tidyRepository } from '../git/tidy.ts';
import { asFailure, type Failure } from '../model/failures.ts';
import { whoHas } from '../project/guard.ts';
import { type Project, remoteUrl } from '../project/project.ts';
import { isVault } from '../project/vault.ts';
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

export interface TidyTimes {
  /** Nothing has stirred for so long, ms. A guess. */
  quiet: number;
  /** While something is in the way it is tried again after this, ms. A guess. */
  retry: number;
  /** So often is looked whether something has got in the way, ms. */
  look: number;
}

const usual: TidyTimes = { quiet: 600_000, retry: 300_000, look: 1000 };

/**
 * Tidies the repository and the vault when all is quiet: nothing has stirred for a while, the DAW has nothing of the project
 * open, nobody publishes, there is room for it. It breaks off, and begins anew another time, as soon as that is over.
 * `quietMs`: for how long nobody had worked before; after a day it was done then, or is with the next version.
 */
export function startTidier(
  project: Project,
  profile: DawProfile,
  clock: Clock,
  tell: (event: TidyEvent) => void,
  times = usual,
  quietMs = 0,
): Tidier {
  const stopped = new AbortController();
  const bell = makeBell(clock);
  let underWay = new AbortController();
  let stirredAt = clock.monotonic();
  let resting = true;
  let pending = quietMs < 86_400_000;
  let notBefore = 0;

  const isInTheWay = async (): Promise<boolean> =>
    (await roomIn(project)).sessions < 0 || (await whoHas(project, 'publish')) !== null;

  /** Runs `work`; its signal is aborted as soon as something stirs or gets in the way. */
  const inPeace = async (work: (signal: AbortSignal) => Promise<Tidied>): Promise<Tidied> => {
    underWay = new AbortController();
    const { signal } = underWay;
    const over = new AbortController();
    const watching = (async () => {
      while (!over.signal.aborted) {
        if (await isInTheWay()) underWay.abort();
        await clock.sleep(times.look, over.signal).catch(() => undefined); // over
      }
    })();
    try {
      return await work(AbortSignal.any([signal, stopped.signal]));
    } finally {
      over.abort();
      await watching;
    }
  };

  const tidy = async (): Promise<void> => {
    if ((await isInTheWay()) || (await isOpenHere(project.root, profile))) return;
    const places = { project: { cwd: project.root, args: [] }, vault: await vaultOf(project) };
    for (const name of ['project', 'vault'] as const) {
      const place = places[name];
      if (place === null) continue;
      const done = await inPeace(async (signal) => await tidyRepository(place, signal));
      if (done === 'tidied') tell({ event: 'tidied', place: name });
      if (done === 'broken-off' || done === 'taken') return;
    }
    pending = false;
  };

  const loop = (async () => {
    while (!stopped.signal.aborted) {
      const due = pending && resting ? Math.max(stirredAt + times.quiet, notBefore) : Number.POSITIVE_INFINITY;
      if ((await bell.wait(due - clock.monotonic())) || stopped.signal.aborted) continue;
      await tidy().catch((error: unknown) => {
        // Not tried again before there is more to tidy.
        pending = false;
        if (!stopped.signal.aborted) tell({ event: 'trouble', failure: asFailure(error) });
      });
      notBefore = clock.monotonic() + times.retry;
    }
  })();

  return {
    stored() {
      pending = true;
      bell.ring();
    },
    stir(isResting) {
      stirredAt = clock.monotonic();
      resting = isResting;
      underWay.abort();
      bell.ring();
    },
    async stop() {
      stopped.abort();
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
