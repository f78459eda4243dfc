import { gitFailure, sortFailure } from '../git/failures.ts';
import { refTips } from '../git/refs.ts';
import { git, gitLine, redact, tryGit } from '../git/run.ts';
import type { Failure } from '../model/failures.ts';
import type { LockContext } from './context.ts';
import { mirrorRef, type Namespace } from './names.ts';
import { maxRecordBytes, parseRecord, type Seen } from './record.ts';

export type Unreachable = { outcome: 'unreachable'; failure: Failure } | { outcome: 'refused'; failure: Failure };

/**
 * Fetches the lock refs into our mirror (about 560 bytes, however many refs the remote has; `ls-remote` would read them
 * all) and gives what stands on this branch's; most often that is what is known already.
 */
export async function fetchLock(
  ctx: LockContext,
  namespace: Namespace,
  known: Seen,
): Promise<{ outcome: 'read'; seen: Seen } | Unreachable> {
  const args = [
    '-c',
    'protocol.version=2',
    'fetch',
    '--quiet',
    '--prune',
    '--no-tags',
    '--no-write-fetch-head',
    '--no-recurse-submodules',
    '--',
    ctx.remote.url,
    `+${namespace}*:refs/oxenvcs/mirror/*`,
  ];
  // Two fetches at once in one clone meet at the mirror's own refs: try again.
  for (let attempt = 1; ; attempt++) {
    const result = await tryGit(ctx.root, args, options(ctx));
    if (result.exitCode === 0) {
      const [tip = null] = await refTips(ctx.root, [mirrorRef(ctx.branch)]);
      const isKnown = known.state !== 'none' && known.commit === tip;
      return { outcome: 'read', seen: isKnown ? known : await readRef(ctx, mirrorRef(ctx.branch)) };
    }
    if (/cannot lock ref 'refs\/oxenvcs\/mirror\//.test(result.stderr) && attempt < 5) {
      await ctx.clock.sleep(50 * attempt, ctx.signal);
      continue;
    }
    return failed(ctx, result, 'fetch');
  }
}

/** The commit that the remote's branch is at; null where there is none. */
export async function remoteTip(ctx: LockContext): Promise<{ outcome: 'read'; tip: string | null } | Unreachable> {
  const ref = `refs/heads/${ctx.branch}`;
  const found = await remoteRefs(ctx, [ref]);
  return found.outcome === 'read' ? { outcome: 'read', tip: found.refs.get(ref) ?? null } : found;
}

/** What those refs of the remote point at; a name may end in `*`, and no name means all. Reads its whole list of refs: about 73 bytes each. */
export async function remoteRefs(
  ctx: LockContext,
  names: readonly string[],
): Promise<{ outcome: 'read'; refs: Map<string, string> } | Unreachable> {
  const result = await tryGit(ctx.root, ['ls-remote', '--quiet', '--', ctx.remote.url, ...names], options(ctx));
  if (result.exitCode !== 0) return failed(ctx, result, 'ls-remote');
  const refs = new Map<string, string>();
  for (const line of result.stdout.toString('utf8').split('\n')) {
    const [commit = '', ref = ''] = line.split('\t');
    // The patterns also match names that only end so.
    if (
      names.length === 0 ||
      names.some((name) => (name.endsWith('*') ? ref.startsWith(name.slice(0, -1)) : ref === name))
    )
      refs.set(ref, commit);
  }
  return { outcome: 'read', refs };
}

/** The record behind a local ref. */
export async function readRef(ctx: Pick<LockContext, 'root'>, ref: string): Promise<Seen> {
  const format = '%(objectname) %(objecttype) %(objectsize)';
  const line = await gitLine(ctx.root, ['for-each-ref', `--format=${format}`, ref]);
  const [commit, type, size] = line.split(' ');
  if (commit === undefined || commit === '') return { state: 'none' };
  if (type !== 'commit') return { state: 'damaged', commit, detail: `it is a ${type}, not a commit` };
  if (Number(size) > 2 * maxRecordBytes) return { state: 'damaged', commit, detail: 'it is too large' };
  return await readCommit(ctx, commit);
}

/** The record in one commit that is here. */
export async function readCommit(ctx: Pick<LockContext, 'root'>, commit: string): Promise<Seen & { commit: string }> {
  const text = await git(ctx.root, ['cat-file', 'commit', commit]);
  const end = text.indexOf('\n\n');
  const read = parseRecord(end < 0 ? '' : text.slice(end + 2));
  return { ...read, commit };
}

function failed(ctx: LockContext, result: Parameters<typeof sortFailure>[0], command: string): Unreachable {
  const failure = gitFailure(result, [command], redact(ctx.remote.url));
  const { kind } = sortFailure(result);
  // A read that broke off has changed nothing: ambiguity is only the writer's trouble.
  return kind === 'transient' || kind === 'ambiguous'
    ? { outcome: 'unreachable', failure }
    : { outcome: 'refused', failure };
}

const options = (ctx: LockContext) => ({
  timeoutMs: ctx.settings.network.timeoutMs,
  env: { ...ctx.connection },
  ...(ctx.signal ? { signal: ctx.signal } : {}),
});
