import type { Readable, Writable } from 'node:stream';
import { Failure } from '../model/failures.ts';
import { exists } from '../system/disk.ts';
import { type Call, type Result, run } from '../system/process.ts';
import { commandAt, gitFailure, isTalking } from './failures.ts';
import { startedBy } from './orphans.ts';
import { redact } from './redact.ts';
import { withRemoteSettings } from './remote-settings.ts';
import { outwaitLock } from './stale-lock.ts';
import { listenToHeaders, traceVariables } from './http-headers.ts';

export { redact } from './redact.ts';

/** The only place that starts git (with simple.ts, which asks simple-git to). */

export interface GitOptions {
  input?: string | Uint8Array | Readable;
  /** Standard output goes there as it comes, and is not part of the result. */
  output?: Writable;
  /** Over the usual environment: `GIT_INDEX_FILE`, `GIT_AUTHOR_NAME`… */
  env?: Record<string, string>;
  signal?: AbortSignal;
  timeoutMs?: number;
  /** Killed when standard error has said nothing for so many ms. */
  idleMs?: number;
  /** Let git know of its hooks: only to ask where they are. */
  hooks?: true;
  /** Variables that git does not get. */
  without?: readonly string[];
  /** Instead of the proxy that the person has set for the remote. */
  proxy?: string;
  /** Sees standard error by the line, also those of a progress that overwrite each other; without credentials. */
  onStderr?: (line: string) => void;
}

export interface GitResult extends Result {
  /** Did it talk to a remote? */
  talks: boolean;
  /** So long the server asked to be left alone (`Retry-After`), ms. */
  retryAfterMs: number | null;
  /** What the clock of an http server said, ms since 1970. */
  serverDateMs: number | null;
}

/** Settings of every call of ours. */
const settings = [
  // Git's default makes no fsync at all: after a power cut a flushed queue entry named a commit that was not there.
  'core.fsync=committed,loose-object',
  'core.fsyncMethod=batch',
  // fetch and others start maintenance by themselves, in the middle of a recording.
  'gc.auto=0',
  'maintenance.auto=false',
  // What tells whether a file has changed is its stat: a monitor of the user's that has stopped, or lies, would hide saves.
  'core.fsmonitor=false',
  // How lines end is the user's own choice; that git would turn them is no reason to make no version.
  'core.safecrlf=false',
  // File names come as they are, also with spaces, emoji and newlines (with -z).
  'core.quotePath=false',
  // Signing asks for a passphrase; nobody is there to answer.
  'commit.gpgSign=false',
  'push.gpgSign=false',
  // The user's own settings must not add to what is pushed.
  'push.followTags=false',
  // The sparse walk did not see blobs of another tree as known and sent them again.
  'pack.useSparse=false',
  // Newer gits can wait for a busy server by themselves: silently, and not to be interrupted.
  'http.maxRetries=0',
  // Detaching would let a maintenance process outlive us.
  'gc.autoDetach=false',
  // Means nothing to git: should we be killed, whoever comes after us knows it by this.
  startedBy(process.pid),
].flatMap((setting) => ['-c', setting]);

/** No hook of the user's runs for what we do: one that hangs (reference-transaction, post-index-change) would hang the watcher. */
const noHooks = ['-c', 'core.hooksPath=/dev/null'];

/** What git itself sets for the repository at hand (`git rev-parse --local-env-vars`): wrong for any other. */
const localVariables = [
  'GIT_ALTERNATE_OBJECT_DIRECTORIES',
  'GIT_COMMON_DIR',
  'GIT_CONFIG',
  'GIT_CONFIG_COUNT',
  'GIT_CONFIG_PARAMETERS',
  'GIT_DIR',
  'GIT_GRAFT_FILE',
  'GIT_IMPLICIT_WORK_TREE',
  'GIT_INDEX_FILE',
  'GIT_NO_REPLACE_OBJECTS',
  'GIT_OBJECT_DIRECTORY',
  'GIT_PREFIX',
  'GIT_REPLACE_REF_BASE',
  'GIT_SHALLOW_FILE',
  'GIT_WORK_TREE',
];

/** The environment of every git that we start. */
export function gitEnvironment(over: Record<string, string> = {}): NodeJS.ProcessEnv {
  const env: NodeJS.ProcessEnv = { ...process.env };
  for (const name of localVariables) delete env[name];
  // A window that asks for a password would wait for somebody who is making music.
  delete env['SSH_ASKPASS'];
  return {
    ...env,
    // The failure table reads English.
    LC_ALL: 'C',
    LANGUAGE: 'C',
    // Nobody is there to answer a prompt.
    GIT_TERMINAL_PROMPT: '0',
    SSH_ASKPASS_REQUIRE: 'never',
    GCM_INTERACTIVE: 'never',
    GIT_EDITOR: ':',
    // `git status` of ours must not take the index lock from under the user's own git.
    GIT_OPTIONAL_LOCKS: '0',
    // Our own hooks stand aside when we are the ones who call git.
    OXENVCS_INTERNAL: '1',
    ...over,
  };
}

/**
 * Runs git. Any way of ending is a result; only an absent git throws (`no-git`). Credentials are cut from stderr. A ref's
 * lock that a killed git has left behind is removed after a while; what cannot have begun on the remote is then tried again.
 */
export async function tryGit(cwd: string, args: readonly string[], options: GitOptions = {}): Promise<GitResult> {
  for (;;) {
    const result = await runOnce(cwd, args, options);
    if (result.exitCode === 0 || !(await outwaitLock(result.stderr, { signal: options.signal })) || result.talks)
      return result;
  }
}

/**
 * Whatever answers an http request with an empty page, or with one that has no line break, is an empty repository to git
 * (of the old kind, which are mere files): a hotel's login page had all that is known of the remote forgotten.
 */
const emptyToGit = /^(fatal: couldn't find remote ref|error: no DAV locking support on) /m;
const noGit = "fatal: 'what answers there' does not appear to be a git repository\n";

async function runOnce(cwd: string, args: readonly string[], options: GitOptions): Promise<GitResult> {
  const { env, onStderr, hooks, without = [], proxy, ...rest } = options;
  const told = onStderr && byLine((line) => onStderr(redact(line)));
  const talks = isTalking(args);
  const trace = talks ? traceVariables(process.env) : null;
  const headers = trace && listenToHeaders();
  const to = talks ? withRemoteSettings(args, commandAt(args), proxy) : { args, env: {} };
  const call: Call = {
    ...rest,
    cwd,
    env: {
      ...gitEnvironment({ ...trace, ...to.env, ...env }),
      ...Object.fromEntries(without.map((name) => [name, undefined])),
    },
    ...(told ? { onStderr: told.take } : {}),
    ...(headers ? { onTrace: headers.take } : {}),
  };
  try {
    const result = await run('git', [...settings, ...(hooks ? [] : noHooks), ...to.args], call);
    told?.end();
    if (headers?.isNoGit() === true && (result.exitCode === 0 || emptyToGit.test(result.stderr)))
      Object.assign(result, { exitCode: 128, stderr: noGit });
    const stderr = onOneLine(redact(result.stderr), [cwd, ...args]);
    return {
      ...result,
      stderr,
      talks,
      retryAfterMs: headers?.askedMs(Date.now()) ?? null,
      serverDateMs: headers?.dateMs() ?? null,
    };
  } catch (cause) {
    throw await whyNotStarted(cwd, cause);
  }
}

/** Runs git and gives its standard output. Throws the failure that its way of ending means. */
export async function git(cwd: string, args: readonly string[], options: GitOptions = {}): Promise<string> {
  const result = await tryGit(cwd, args, options);
  if (result.exitCode !== 0) throw gitFailure(result, args, undefined, cwd);
  return result.stdout.toString('utf8');
}

/** Like `git`, one line without its end: an object id, a ref, a path. */
export async function gitLine(cwd: string, args: readonly string[], options: GitOptions = {}): Promise<string> {
  return (await git(cwd, args, options)).replace(/\r?\n$/, '');
}

/** Is the answer yes (exit 0) or no (exit 1)? Anything else throws. */
export async function gitAsks(cwd: string, args: readonly string[], options: GitOptions = {}): Promise<boolean> {
  const result = await tryGit(cwd, args, options);
  if (result.exitCode === 0) return true;
  if (result.exitCode === 1) return false;
  throw gitFailure(result, args, undefined, cwd);
}

/** A name with a line break in it would put lines of its own into what git says, and they would be read. */
function onOneLine(stderr: string, names: readonly string[]): string {
  let text = stderr;
  for (const name of names)
    if (name.includes('\n')) {
      // Git itself prints other control characters so.
      const printed = name.replace(/[^\P{Cc}\n\t]/gu, '?');
      text = text.replaceAll(printed, printed.replaceAll('\n', '?'));
    }
  return text;
}

/** Cuts what comes in pieces into lines: a credential may lie across two pieces. */
function byLine(onLine: (line: string) => void): { take: (text: string) => void; end: () => void } {
  let rest = '';
  const take = (text: string) => {
    const lines = (rest + text).split(/[\r\n]+/);
    rest = lines.pop() ?? '';
    for (const line of lines) if (line !== '') onLine(line);
  };
  return { take, end: () => take('\n') };
}

async function whyNotStarted(cwd: string, cause: unknown): Promise<Failure> {
  const { code } = cause as NodeJS.ErrnoException;
  // ENOENT is said of a missing program and of a missing folder alike.
  if (code === 'ENOENT' && !(await exists(cwd))) return new Failure('folder-vanished', { dir: cwd }, cause);
  if (code === 'ENOENT') return new Failure('no-git', {}, cause);
  if (code === 'ENOTDIR') return new Failure('not-a-folder', { dir: cwd }, cause);
  if (code === 'EACCES') return new Failure('no-rights', { detail: `${cwd} may not be entered` }, cause);
  return new Failure('git-failed', { detail: (cause as Error).message }, cause);
}
