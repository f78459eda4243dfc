import { assertCanCheckOut, finishCheckout } from '../checkout/checkout.ts';
import { type Conflict, openConflicts } from '../conflict/open.ts';
import { type Keep, resolutionCommit } from '../conflict/resolution.ts';
import type { DawProfile } from '../daw/profile.ts';
import { lockContext } from '../lock/context.ts';
import { asFailure, Failure } from '../model/failures.ts';
import { branchTip, currentBranch, type Project } from '../project/project.ts';
import { readRescue } from '../project/rescue.ts';
import { endRescue, removeRescue } from '../push/rescue.ts';
import { asConsumer } from '../queue/drain.ts';
import type { Clock } from '../system/clock.ts';
import { type Sending, tryOnto } from './onto.ts';
import { bringIn } from './pull.ts';
import { askTeam, contains, knownTeam } from './team.ts';

/** The conflicts that are open, as far as is known here: whoever wants to know more asks first (`askTeam`). */
export async function conflictsOf(project: Project): Promise<Conflict[]> {
  const { tip } = await knownTeam(project);
  return await openConflicts(project, tip, (await readRescue(project))?.ref ?? null);
}

export interface Resolved {
  conflict: Conflict;
  /** The version that ends it, which is published. */
  commit: string;
  /** Why it could not be brought into the folder yet; null: it is there. */
  notBroughtIn: Failure | null;
}

export interface ResolvePorts extends Sending {
  clock: Clock;
  signal: AbortSignal;
  profile: DawProfile;
}

/** How often it is tried anew when somebody publishes in that very moment. */
const rounds = 4;

/**
 * Ends a conflict as a person decides. The version that does is made without touching a file, and published; then it is
 * brought in like any other of the team's. So one that is killed has done nothing, or has left a version to be pulled.
 * Throws `no-conflict`, `not-published-yet`, `offline`, `lock-held`…, and where it could not be brought in: `daw-runs`, `would-overwrite`.
 */
export async function resolveConflict(
  project: Project,
  id: string,
  keep: Keep,
  { clock, signal, profile, ...sending }: ResolvePorts,
): Promise<Resolved> {
  return await asConsumer(project, 10_000, async (lost) => {
    const ctx = await lockContext(project, clock, AbortSignal.any([signal, lost]));
    await finishCheckout(project);
    for (let round = 1; round <= rounds; round++) {
      await askTeam(project, ctx.signal);
      const conflict = (await conflictsOf(project)).find((one) => one.id === id);
      if (conflict === undefined) throw new Failure('no-conflict', { id });
      const from = await branchTip(project);
      if (from !== null && !conflict.isOurs && !(await contains(project.root, conflict.parted.theirs, from)))
        throw new Failure('not-published-yet');
      const commit = await resolutionCommit(project, conflict, keep);
      const why = 'oxenvcs conflict resolve';
      if ((await currentBranch(project)) === ctx.branch)
        await assertCanCheckOut(project, { from, to: commit, profile, why, byItself: null });
      const tried = await tryOnto(project, ctx, commit, sending);
      if (tried === 'moved') continue;
      if (conflict.isOurs) await endRescue(project);
      await removeRescue(ctx, { ref: `refs/heads/${conflict.rescue}` });
      const notBroughtIn = await bringIn(project, profile, commit).then(
        () => null,
        (error: unknown) => asFailure(error),
      );
      return { conflict, commit, notBroughtIn };
    }
    throw new Failure('remote-moved', { branch: ctx.branch });
  });
}
