import { gitLine, tryGit } from '../git/run.ts';
import { Failure } from '../model/failures.ts';
import { loadView } from '../lock/cache.ts';
import type { LockContext } from '../lock/context.ts';
import { remoteTip } from '../lock/look.ts';
import { isAncestor, lookAtLock, moveLock, type NotDone, recover, trackingRef, verdictOn } from '../lock/move.ts';
import { withMutex } from '../lock/mutex.ts';
import { nextRecord } from '../lock/record.ts';

export type Published =
  | { outcome: 'published' | 'up-to-date'; commit: string; bytesSent: number }
  /** The lock is not ours (any more). */
  | { outcome: 'not-ours'; failure: Failure }
  /** The remote's branch holds something that `tip` does not. */
  | { outcome: 'moved'; failure: Failure }
  | NotDone;

export interface PublishOptions {
  /** The commit that the remote's branch shall be at. */
  tip: string;
  /** What must be on the remote before the branch moves (media in parts, large files elsewhere). */
  before?: (base: string | null) => Promise<void>;
}

const rounds = 5;

/**
 * Moves the remote's branch to `tip` and the lock record one on, in one atomic push: a save whose lock no longer stands
 * cannot land, however late it arrives. (With the record unchanged a breaker inside the server's hook won 23 of 23
 * times, with the record moved 0 of 23.) Doing it twice is the same as once.
 */
export async function publish(ctx: LockContext, { tip, before }: PublishOptions): Promise<Published> {
  return await withMutex(ctx, async () => {
    const open = await recover(ctx);
    if (open !== null && (open.outcome === 'unreachable' || open.outcome === 'refused')) return open;
    let view = await loadView(ctx);
    for (let round = 0; round < rounds; round++) {
      let verdict = verdictOn(ctx, view);
      if (round > 0) {
        const looked = await lookAtLock(ctx);
        if (looked.outcome !== 'read') return looked;
        ({ view, verdict } = looked);
      }
      if (verdict.is !== 'mine')
        return { outcome: 'not-ours', failure: new Failure('lock-not-ours', { branch: ctx.branch }) };
      const base = await tracked(ctx);
      if (base === tip && (round > 0 || open?.outcome === 'done'))
        return { outcome: 'up-to-date', commit: tip, bytesSent: 0 };
      // A lease permits a move that is no fast-forward: that is checked here.
      if (base !== null && !(await isAncestor(ctx, base, tip))) return { outcome: 'moved', failure: moved(ctx) };
      await before?.(base);
      const record = nextRecord(verdict.held.record, 'published', ctx.clock.now(), { published: tip });
      const result = await moveLock(ctx, view, record, [{ ref: `refs/heads/${ctx.branch}`, old: base, next: tip }]);
      if (result.outcome === 'done')
        return { outcome: base === tip ? 'up-to-date' : 'published', commit: tip, bytesSent: result.bytesSent };
      if (result.outcome !== 'lost') return result;
      const note = await noteTip(ctx, tip);
      if (note !== null) return note;
    }
    throw new Failure('busy', { detail: 'The remote changes faster than it can be written' });
  });
}

/** After a lost swap: writes down where the branch is, if `tip` holds it. */
async function noteTip(ctx: LockContext, tip: string): Promise<Published | null> {
  const found = await remoteTip(ctx);
  if (found.outcome !== 'read') return found;
  if (found.tip === null) {
    await tryGit(ctx.root, ['update-ref', '-d', trackingRef(ctx)]);
    return null;
  }
  const known = (await tryGit(ctx.root, ['cat-file', '-e', `${found.tip}^{commit}`])).exitCode === 0;
  if (!known || !(await isAncestor(ctx, found.tip, tip))) return { outcome: 'moved', failure: moved(ctx) };
  await gitLine(ctx.root, ['update-ref', trackingRef(ctx), found.tip]);
  return null;
}

async function tracked(ctx: LockContext): Promise<string | null> {
  const result = await tryGit(ctx.root, ['rev-parse', '--verify', '--quiet', `${trackingRef(ctx)}^{commit}`]);
  return result.exitCode === 0 ? result.stdout.toString('utf8').trim() : null;
}

const moved = (ctx: LockContext): Failure => new Failure('remote-moved', { branch: ctx.branch });
