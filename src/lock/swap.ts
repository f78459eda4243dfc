import { gitFailure, type Kind, sortPush } from '../git/failures.ts';
import { parsePush, type PushedRef, whyRejected } from '../git/porcelain.ts';
import { writtenIn } from '../git/progress.ts';
import { remoteOfOneCall } from '../git/remote-settings.ts';
import { redact, tryGit } from '../git/run.ts';
import { Failure } from '../model/failures.ts';
import { limit } from '../network/limit.ts';
import type { LockContext } from './context.ts';
import { refusal } from './refusal.ts';

/** One ref to be moved from exactly `old` (null: it must not exist) to `next` (empty: it is deleted). */
export interface Move {
  ref: string;
  old: string | null;
  next: string;
}

/** A ref of ours that says what a ref of the remote is. */
export interface Follow {
  ref: string;
  here: string;
}

/** Of a push that carries much. */
export interface Upload {
  /** Settings of git for it: `pack.window=0`. */
  settings: readonly string[];
  env: Record<string, string>;
  /** Beside another one: should that break, this one goes on. */
  apart: boolean;
}

/** Nobody has a remote of that name. */
const remoteName = 'oxenvcs--swap';

/** What became of a compare-and-swap push. */
export type Swapped =
  /** Each ref is what was asked for: moved now, or by an earlier try whose answer was lost. */
  | { outcome: 'done'; bytesSent: number }
  /** Somebody else was first: read back. Over file and ssh this is also said when the push did land. */
  | { outcome: 'lost'; failure: Failure }
  /** Nothing was sent. */
  | { outcome: 'unreachable'; failure: Failure }
  /** It may have landed, or may land still. */
  | { outcome: 'unclear'; failure: Failure }
  | { outcome: 'refused'; kind: Kind; failure: Failure }
  /** The remote cannot move several refs at once; nothing was sent. */
  | { outcome: 'not-atomic'; failure: Failure };

/**
 * Moves all refs or none, in one push. Never a `+` refspec: git then ignores the lease. Judged by git's porcelain lines
 * first, since a push can exit with 0 and have moved nothing, or with 1 and have moved all.
 */
export async function swap(
  ctx: LockContext,
  moves: Move[],
  { atomic, follow = [], upload }: { atomic: boolean; follow?: Follow[]; upload?: Upload },
): Promise<Swapped> {
  // What moves a branch may carry gigabytes: it is given up only when nothing has happened for a while.
  const carries =
    upload !== undefined || moves.some(({ old, next, ref }) => old !== next && ref.startsWith('refs/heads/'));
  const { timeoutMs } = ctx.settings.network;
  const limited = await limit(ctx.root, ctx.remote.url, carries ? ctx.settings.push.maxBytesPerSecond : null);
  const args = [
    '-c',
    'push.negotiate=false',
    // A DAW needs the other cores; and two threads that share the versions of one session each begin with a whole one.
    '-c',
    'pack.threads=1',
    '-c',
    'http.lowSpeedLimit=1',
    '-c',
    `http.lowSpeedTime=${Math.ceil((quiet * timeoutMs) / 1000)}`,
    // A remote of this one call: git itself then moves the refs here that follow, without another process.
    '-c',
    remoteOfOneCall(remoteName, ctx.remote.url),
    ...(upload?.settings ?? []).flatMap((setting) => ['-c', setting]),
    ...follow.flatMap(({ ref, here }) => ['-c', `remote.${remoteName}.fetch=+${ref}:${here}`]),
    'push',
    '--porcelain',
    ...(carries ? ['--progress'] : []),
    '--no-verify',
    '--recurse-submodules=no',
    ...limited.options,
    ...(atomic ? ['--atomic'] : []),
    ...moves.map(({ ref, old }) => `--force-with-lease=${ref}:${old ?? ''}`),
    '--',
    remoteName,
    ...moves.map(({ ref, next }) => `${next}:${ref}`),
  ];
  let bytesSent = 0;
  let isBroken = false;
  const result = await tryGit(ctx.root, args, {
    env: { ...(upload?.apart === true ? {} : ctx.connection), ...upload?.env, ...limited.env },
    ...(limited.proxy === undefined ? {} : { proxy: limited.proxy }),
    onStderr: (line) => {
      // Over http git reads what is left to its end and throws it away, at full speed, and goes on to count.
      isBroken ||= /^(error|fatal): /.test(line);
      const written = isBroken ? null : writtenIn(line);
      if (written === null) return;
      bytesSent = written.bytes;
      ctx.onWritten?.(written);
    },
    ...(carries ? { idleMs: quiet * timeoutMs } : { timeoutMs }),
    ...(ctx.signal ? { signal: ctx.signal } : {}),
  }).finally(limited.end);
  const answers = parsePush(result.stdout.toString('utf8'));
  const rejected = answers.filter(({ flag }) => flag === '!');
  if (result.exitCode === 0 && rejected.length === 0 && moves.every((move) => answered(answers, move)))
    return { outcome: 'done', bytesSent };

  const remote = redact(ctx.remote.url);
  const failure = gitFailure(result, ['push'], remote);
  if (rejected.length > 0 && result.exitCode !== null) {
    const refused = rejected.find((ref) => whyRejected(ref) === 'refused');
    if (refused === undefined)
      // "with others" alone: the server's transaction failed as a whole, because of one of the refs.
      return rejected.some((ref) => whyRejected(ref) === 'unclear')
        ? { outcome: 'unclear', failure }
        : { outcome: 'lost', failure };
    if (failure.code !== 'REMOTE_REFUSED') return { outcome: 'refused', kind: 'local', failure };
    if (failure.row === 'file-too-large') return { outcome: 'refused', kind: 'policy', failure };
    const detail = refusal(refused, result.stderr);
    return {
      outcome: 'refused',
      kind: 'policy',
      failure: new Failure(failure.row, { ...failure.details, detail }, failure),
    };
  }
  if (/^fatal: the receiving end does not support --atomic push/m.test(result.stderr))
    return { outcome: 'not-atomic', failure };
  const { kind } = sortPush(result);
  if (kind === 'transient') return { outcome: 'unreachable', failure };
  // What is not known may have landed.
  if (kind === 'ambiguous' || kind === 'permanent' || kind === 'lost-race' || result.exitCode === 0)
    return { outcome: 'unclear', failure };
  return { outcome: 'refused', kind, failure };
}

/** A server that checks what it got may say nothing for many times as long as one that answers a question. */
const quiet = 10;

const answered = (answers: PushedRef[], { ref }: Move): boolean => answers.some(({ to }) => to === ref);
