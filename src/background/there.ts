import path from 'node:path';
import { refsMark } from '../git/refs.ts';
import { git } from '../git/run.ts';
import type { View } from '../lock/cache.ts';
import type { LockContext } from '../lock/context.ts';
import { mirrorRef, type Namespace } from '../lock/names.ts';
import { localFolder } from '../network/away.ts';
import type { Peek } from '../network/peek.ts';
import { type Project, remoteBranchRef } from '../project/project.ts';
import { readRescue } from '../project/rescue.ts';

/** How the team's refs lie at the remote, found out without a fetch. */
export interface There {
  /** Stays the same as long as none of them was made, moved or removed. */
  mark: string;
  /** What they are at, by their names there; null: that is not told. */
  tips: ReadonlyMap<string, string> | null;
}

const rescues = 'refs/heads/oxenvcs/rescue/';

/** The branch, what was rescued, and the locks. Null: only a fetch can tell. */
export async function lookThere(ctx: LockContext, namespace: Namespace, peek: Peek): Promise<There | null> {
  const refs = [`refs/heads/${ctx.branch}`, rescues, namespace];
  const folder = localFolder(ctx.remote.url);
  if (folder === null) return await peek.ask(ctx, refs);
  const below = refs.map((ref) => ref.replace(/\/$/, ''));
  const mark = (await refsMark(folder, below)) ?? (await refsMark(path.join(folder, '.git'), below));
  return mark === null ? null : { mark, tips: null };
}

/** Is all that is there here already? Then it was most likely a push of ours that has moved it, and a fetch would bring nothing. */
export async function isHere(
  project: Project,
  ctx: LockContext,
  namespace: Namespace,
  { tips, view }: { tips: ReadonlyMap<string, string>; view: View },
): Promise<boolean> {
  // Whether the team has it by now is to be found out.
  if ((await readRescue(project)) !== null) return false;
  const branch = remoteBranchRef(project);
  const rescued = `refs/remotes/${project.config.remote}/oxenvcs/rescue/`;
  const mirror = 'refs/oxenvcs/mirror/';
  const listed = await git(project.root, [
    'for-each-ref',
    '--format=%(refname) %(objectname)',
    branch,
    rescued,
    mirror,
  ]);
  const here = new Map(
    listed.split('\n').flatMap((line) => (line === '' ? [] : [line.split(' ') as [string, string]])),
  );
  // The mirror follows fetches only.
  here.delete(mirrorRef(ctx.branch));
  if (view.onRemote !== null) here.set(mirrorRef(ctx.branch), view.onRemote);
  const named = (ref: string) =>
    ref.startsWith(namespace)
      ? mirror + ref.slice(namespace.length)
      : ref.startsWith(rescues)
        ? rescued + ref.slice(rescues.length)
        : branch;
  const wanted = [...tips].filter(
    ([ref]) => ref.startsWith(namespace) || ref.startsWith(rescues) || ref === `refs/heads/${ctx.branch}`,
  );
  return wanted.length === here.size && wanted.every(([ref, tip]) => here.get(named(ref)) === tip);
}
