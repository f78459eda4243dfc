import { sortPush } from '../git/failures.ts';
import { tryGit } from '../git/run.ts';
import { capabilities, learn } from '../lock/capabilities.ts';
import type { LockContext } from '../lock/context.ts';
import { remoteRefs } from '../lock/look.ts';
import { recall, remember } from './memory.ts';
import { removeScratch } from './scratch.ts';
import { overFolders, stagedAmong, stagingPrefix } from './staging.ts';

/** Nothing here has this name: what is pruned to match it is deleted. */
const nothing = 'refs/oxenvcs/nothing/*';

/**
 * After a push: removes its parts from the remote, those of earlier pushes that were overtaken, and those of clones that
 * never came back. Apart from the publish itself, which must not fail over it: what cannot be removed now is tried again
 * after the next one.
 */
export async function tidy(ctx: LockContext): Promise<void> {
  const { staged, sizing } = await recall(ctx);
  if (!staged && sizing === null) return;
  if (staged) await removeScratch(ctx);
  const { namespace, deletes } = await capabilities(ctx);
  const isTidy = !staged || deletes === false || (await removeParts(ctx, stagingPrefix(namespace)));
  await remember(ctx, { staged: !isTidy, sizing: null });
}

async function removeParts(ctx: LockContext, prefix: string): Promise<boolean> {
  const listed = await remoteRefs(ctx, []);
  if (listed.outcome !== 'read') return false;
  const folders = overFolders(stagedAmong(listed.refs, prefix), ctx.owner.clone, ctx.clock.now());
  if (folders.length === 0) return true;
  const { timeoutMs } = ctx.settings.network;
  const args = ['push', '--porcelain', '--quiet', '--no-verify', '--prune', '--', ctx.remote.url];
  const removed = await tryGit(ctx.root, [...args, ...folders.map((folder) => `${nothing}:${folder}*`)], {
    timeoutMs: 10 * timeoutMs,
    ...(ctx.signal ? { signal: ctx.signal } : {}),
  });
  if (removed.exitCode === 0) return true;
  if (sortPush(removed).kind === 'policy') await learn(ctx, { deletes: false });
  return false;
}
