import { refTips } from '../git/refs.ts';
import { gitLine, tryGit } from '../git/run.ts';
import { Failure } from '../model/failures.ts';
import type { LockContext } from './context.ts';
import { remoteTip, type Unreachable } from './look.ts';
import { trackingRef } from './move.ts';
import { isAncestor } from './view.ts';

/**
 * What the remote's branch is at, and whether this clone holds it. Who takes the lock on an old version has locked
 * nothing: what the others published since would have to be joined, or be lost.
 */
export type Base =
  | { outcome: 'base'; tip: string | null }
  /** The remote's branch holds something that `tip` (the local one) does not. */
  | { outcome: 'stale-base'; failure: Failure };

export interface KnownBase {
  /** Null: nothing is known of the remote's branch. */
  tip: string | null;
  /** The local branch holds it. */
  held: boolean;
}

/** As far as is known here, without asking. */
export async function knownBase(ctx: LockContext): Promise<KnownBase> {
  const [tip = null, local = null] = await refTips(ctx.root, [trackingRef(ctx), `refs/heads/${ctx.branch}`]);
  return { tip, held: tip !== null && (tip === local || (await isAncestor(ctx, tip, local))) };
}

/** Asks the remote, and notes what it says if `tip` (a commit, or the local branch) holds it. */
export async function askBase(ctx: LockContext, tip = `refs/heads/${ctx.branch}`): Promise<Base | Unreachable> {
  const found = await remoteTip(ctx);
  if (found.outcome !== 'read') return found;
  if (found.tip === null) {
    // It was never there, or was deleted or renamed: git's note of it would keep us from making it again.
    if ((await knownBase(ctx)).tip !== null) await gitLine(ctx.root, ['update-ref', '-d', trackingRef(ctx)]);
    return { outcome: 'base', tip: null };
  }
  if (!(await isHere(ctx, found.tip)) || !(await isAncestor(ctx, found.tip, tip)))
    return { outcome: 'stale-base', failure: staleBase(ctx) };
  await gitLine(ctx.root, ['update-ref', trackingRef(ctx), found.tip]);
  return { outcome: 'base', tip: found.tip };
}

export const staleBase = (ctx: LockContext): Failure => new Failure('stale-base', { branch: ctx.branch });

const isHere = async (ctx: LockContext, commit: string): Promise<boolean> =>
  (await tryGit(ctx.root, ['cat-file', '-e', `${commit}^{commit}`])).exitCode === 0;
