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

/** As far as is known here, without asking. `ours`: what shall hold it (the local branch, unless given). */
export async function knownBase(ctx: LockContext, ours?: string): Promise<KnownBase> {
  const [tip = null, local = null] = await refTips(ctx.root, [trackingRef(ctx), `refs/heads/${ctx.branch}`]);
  const holder = ours ?? local;
  return { tip, held: tip !== null && (tip === holder || (await isAncestor(ctx, tip, holder))) };
}

/** Asks the remote, and notes what it says if `ours` (the local branch, unless given) holds it. */
export async function askBase(ctx: LockContext, ours?: string): Promise<Base | Unreachable> {
  const found = await remoteTip(ctx);
  if (found.outcome !== 'read') return found;
  const stale: Base = { outcome: 'stale-base', failure: staleBase(ctx) };
  const known = await knownBase(ctx, ours);
  // It was never there; or it was deleted or renamed, and whoever publishes has to find out which.
  if (found.tip === null) return known.tip === null || known.held ? { outcome: 'base', tip: null } : stale;
  if (!(await isHere(ctx, found.tip))) return stale;
  // Set back by force: what it held, and we do not, would be forgotten here as well.
  if (known.tip !== null && !known.held && !(await isAncestor(ctx, known.tip, found.tip))) return stale;
  if (!(await isAncestor(ctx, found.tip, ours ?? `refs/heads/${ctx.branch}`))) return stale;
  await gitLine(ctx.root, ['update-ref', trackingRef(ctx), found.tip]);
  return { outcome: 'base', tip: found.tip };
}

export const staleBase = (ctx: LockContext): Failure => new Failure('stale-base', { branch: ctx.branch });

const isHere = async (ctx: LockContext, commit: string): Promise<boolean> =>
  (await tryGit(ctx.root, ['cat-file', '-e', `${commit}^{commit}`])).exitCode === 0;
