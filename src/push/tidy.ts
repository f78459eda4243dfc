import { sortPush } from '../git/failures.ts';
import { tryGit } from '../git/run.ts';
import { capabilities, learn } from '../lock/capabilities.ts';
import type { LockContext } from '../lock/context.ts';
import { Failure } from '../model/failures.ts';
import { recall, remember } from './memory.ts';
import { removeScratch } from './scratch.ts';
import { stagingPrefix } from './staging.ts';

/** Nothing here has this name: what is pruned to match it is deleted. */
const nothing = 'refs/oxenvcs/nothing/*';

/**
 * After a push: removes its parts from the remote, those of earlier pushes that were overtaken, and those of clones that
 * never came back. Apart from the publish itself, which must not fail over it: what cannot be removed now is tried again
 * after the next one.
 */
export async function tidy(ctx: LockContext): Promise<void> {
  const { over, sizing } = await recall(ctx);
  if (over.length === 0 && sizing === null) return;
  await removeScratch(ctx);
  const isTidy = (await capabilities(ctx)).deletes === false || (await removeParts(ctx, over));
  await remember(ctx, { over: isTidy ? [] : over, sizing: null });
}

/**
 * Runs what pushes. A remote that has lost what a ref points to takes no push at all, not even of the lock, until that ref is
 * gone: parts that it complains of, whoever put them there, and our own are removed then, and it is tried again.
 */
export async function withoutDamaged<T>(ctx: LockContext, work: () => Promise<T>): Promise<T> {
  const prefix = stagingPrefix((await capabilities(ctx)).namespace);
  for (let told = ''; ; ) {
    try {
      return await work();
    } catch (error) {
      const isNews = error instanceof Failure && error.row === 'arrived-damaged' && error.message !== told;
      if (!isNews) throw error;
      told = error.message;
      const named = /\bbad object (refs\/\S+)/.exec(told)?.[1] ?? '';
      const { over } = await recall(ctx);
      if (!(await removeParts(ctx, over, named.startsWith(prefix) ? [named] : []))) throw error;
    }
  }
}

/** False: they are still there. */
async function removeParts(
  ctx: LockContext,
  folders: readonly string[],
  refs: readonly string[] = [],
): Promise<boolean> {
  const wanted = [...folders.map((folder) => `${nothing}:${folder}*`), ...refs.map((ref) => `:${ref}`)];
  if (wanted.length === 0) return true;
  const { timeoutMs } = ctx.settings.network;
  const args = ['push', '--porcelain', '--quiet', '--no-verify', '--prune', '--', ctx.remote.url];
  const removed = await tryGit(ctx.root, [...args, ...wanted], {
    timeoutMs: 10 * timeoutMs,
    env: { ...ctx.connection },
    ...(ctx.signal ? { signal: ctx.signal } : {}),
  });
  if (removed.exitCode === 0) return true;
  if (sortPush(removed).kind === 'policy') await learn(ctx, { deletes: false });
  return false;
}
