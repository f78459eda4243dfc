import { gitLine, tryGit } from '../git/run.ts';
import type { LockContext } from '../lock/context.ts';
import type { NotDone } from '../lock/move.ts';
import { swap } from '../lock/swap.ts';
import { isAncestor } from '../lock/view.ts';
import type { Project } from '../project/project.ts';
import { type Rescue, rescueFile } from '../project/rescue.ts';
import { writeRecord } from '../project/state.ts';
import { isoTime } from '../system/clock.ts';
import { removeDurable } from '../system/disk.ts';

/**
 * Work that cannot go onto the team's branch, because the branch moved on meanwhile, goes to a branch of its own on the
 * remote, where it is safe. The work tree and HEAD stay as they are, and later saves go to
 * the same rescue branch, until the two are joined.
 */

/** `before`: what is noted of one whose branch turned out to be somebody else's. */
export async function beginRescue(project: Project, ctx: LockContext, before: Rescue | null = null): Promise<Rescue> {
  for (let now = ctx.clock.now(); ; now += 1000) {
    const since = isoTime(now);
    const time = since.replace(/[-:]|\.\d+/g, '');
    const ref = `refs/heads/oxenvcs/rescue/${userPart(ctx.owner)}/${time}`;
    // The same person may have begun another one in that second, on another computer, or before an amend.
    if ((await at(ctx, trackingOf(ctx, ref))) !== null) continue;
    const rescue: Rescue = { ...before, v: 1, ref, branch: ctx.branch, since };
    await noteRescued(project, rescue);
    return rescue;
  }
}

/** The two were joined: from now on saves go onto the team's branch again. The rescue branch stays on the remote. */
export const endRescue = async (project: Project): Promise<void> => await removeDurable(rescueFile(project));

export const noteRescued = async (project: Project, rescue: Rescue): Promise<void> =>
  await writeRecord(rescueFile(project), rescue);

export type Rescued =
  | { outcome: 'rescued'; bytesSent: number }
  /** What is on that branch is not in our history. It stays as it is. */
  | { outcome: 'taken'; bytesSent: 0 }
  | NotDone;

/** Puts the rescue branch at `tip`. It is nobody else's, so it needs no lock; doing it twice is the same as once. */
export async function publishRescue(ctx: LockContext, { ref }: Pick<Rescue, 'ref'>, tip: string): Promise<Rescued> {
  const tracking = trackingOf(ctx, ref);
  const old = await at(ctx, tracking);
  if (old !== null && !(await isAncestor(ctx, old, tip))) return { outcome: 'taken', bytesSent: 0 };
  const swapped = await swap(ctx, [{ ref, old, next: tip }], { atomic: false });
  if (swapped.outcome === 'done') {
    await gitLine(ctx.root, ['update-ref', tracking, tip]);
    return { outcome: 'rescued', bytesSent: swapped.bytesSent };
  }
  if (swapped.outcome === 'lost') {
    // An earlier try of ours landed without an answer, or somebody has tidied the branch away: take it as it is now.
    const fetch = ['fetch', '--no-tags', '--no-write-fetch-head', '--no-recurse-submodules', '--', ctx.remote.url];
    const fetched = await tryGit(ctx.root, [...fetch, `+${ref}:${tracking}`], {
      idleMs: 10 * ctx.settings.network.timeoutMs,
      ...(ctx.signal ? { signal: ctx.signal } : {}),
    });
    if (/^fatal: couldn't find remote ref /m.test(fetched.stderr))
      await tryGit(ctx.root, ['update-ref', '-d', tracking]);
    return { outcome: 'unreachable', failure: swapped.failure };
  }
  return swapped.outcome === 'refused'
    ? { outcome: 'refused', failure: swapped.failure }
    : { outcome: 'unreachable', failure: swapped.failure };
}

/** What lies there is on the team's branch now. With a lease: should somebody have put more there since, it stays. */
export async function removeRescue(ctx: LockContext, { ref }: Pick<Rescue, 'ref'>): Promise<void> {
  const tracking = trackingOf(ctx, ref);
  const old = await at(ctx, tracking);
  if (old === null) return;
  const removed = await swap(ctx, [{ ref, old, next: '' }], { atomic: false });
  // A remote that denies deletes, or is away by now, keeps it: it does no harm.
  if (removed.outcome === 'done') await gitLine(ctx.root, ['update-ref', '-d', tracking]);
}

const trackingOf = (ctx: LockContext, ref: string): string =>
  ref.replace(/^refs\/heads\//, `refs/remotes/${ctx.remote.name}/`);

async function at(ctx: LockContext, ref: string): Promise<string | null> {
  const known = await tryGit(ctx.root, ['rev-parse', '--verify', '--quiet', ref]);
  return known.exitCode === 0 ? known.stdout.toString('utf8').trim() : null;
}

/** A person's name as one part of a ref. */
function userPart({ email, name }: LockContext['owner']): string {
  const plain = (email.split('@')[0] || name)
    .normalize('NFKD')
    .replace(/[^A-Za-z0-9_-]+/g, '-')
    .replace(/^-+|-+$/g, '');
  return plain.slice(0, 40) || 'somebody';
}
