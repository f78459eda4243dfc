import path from 'node:path';
import { tryGit } from '../git/run.ts';
import type { LockContext } from '../lock/context.ts';
import { Failure } from '../model/failures.ts';
import { exists, readText } from '../system/disk.ts';

/**
 * Uploads what git-lfs keeps beside the repository, before the branch moves: a pointer that is published without its file is
 * never mended, since git-lfs looks only at commits that the remote-tracking ref lacks. Does nothing where git-lfs has
 * never stored anything. Throws `lfs-failed`.
 */
export async function uploadLfs(ctx: LockContext, tip: string, base: string | null): Promise<void> {
  if (!(await exists(path.join(await commonFolder(ctx.gitDir), 'lfs')))) return;
  const branch = `refs/heads/${ctx.branch}`;
  // What git would tell the hook of git-lfs.
  const input = `${branch} ${tip} ${branch} ${base ?? '0'.repeat(tip.length)}\n`;
  const result = await tryGit(ctx.root, ['lfs', 'pre-push', ctx.remote.name, ctx.remote.url], {
    input,
    ...(ctx.signal ? { signal: ctx.signal } : {}),
  });
  if (result.exitCode === 0) return;
  const isMissing = /^git: 'lfs' is not a git command/m.test(result.stderr);
  if (isMissing && !(await usesLfs(ctx.root, tip))) return;
  const said = result.stderr.split('\n').findLast((line) => line.trim() !== '') ?? `it ended with ${result.exitCode}`;
  const detail = isMissing ? 'git-lfs is not installed here any more' : said.trim().replace(/\.$/, '');
  throw new Failure('lfs-failed', { detail }, new Error(result.stderr));
}

/** Of a linked worktree the Git folder that it shares with the others. */
async function commonFolder(gitDir: string): Promise<string> {
  const common = await readText(path.join(gitDir, 'commondir'));
  return common === null ? gitDir : path.resolve(gitDir, common.trim());
}

async function usesLfs(root: string, tip: string): Promise<boolean> {
  const args = ['grep', '--quiet', '--extended-regexp', 'filter=lfs', tip, '--', ':(glob)**/.gitattributes'];
  return (await tryGit(root, args)).exitCode === 0;
}
