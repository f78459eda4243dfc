import { Failure, type FailureName } from '../model/failures.ts';
import type { Result } from '../system/process.ts';
import { fileLimitIn } from './file-limit.ts';
import { type Kind, messages, serverMessages } from './messages.ts';
import { parsePush, type PushedRef, reasonOf, whyRejected } from './porcelain.ts';
import { redact } from './redact.ts';

/**
 * What git's way of ending means. Structure first (signal, exit code, the lines of `push --porcelain`), anchored text
 * last; git is run in C, so its text is English everywhere. Only whole messages of git and ssh count, never a part of
 * one that a person chose: a song called "Connection refused" or a server's hook that prints "fatal: …" (which comes as
 * "remote: fatal: …") decides nothing. Each row is provoked by real git in test/git/.
 */

export type { Kind } from './messages.ts';

export interface Sorted {
  kind: Kind;
  row: FailureName;
  /** The message that told, without git's "fatal: " and the address. */
  detail: string;
  /** The ref that a push was refused for. */
  ref?: string;
  /** The largest file that the host says it takes, bytes. */
  limitBytes?: number;
}

type Ended = Pick<Result, 'exitCode' | 'signal' | 'stderr' | 'killed'> & { talks?: boolean };

/** What a git call that has ended tells. */
export type Told = Ended & Partial<Pick<Result, 'stdout'>> & { retryAfterMs?: number | null };

/** Sorts a result that is not a success. For pushes there is `sortPush`. */
export function sortFailure(result: Ended): Sorted {
  return (
    sortKnown(result) ?? {
      kind: 'permanent',
      row: 'git-failed',
      detail: lastWords(result) || `exit ${result.exitCode}`,
    }
  );
}

/** Sorts a `push --porcelain` that is not a success: by its ref lines where it has some. What nothing is known of may have arrived. */
export function sortPush(result: Ended & Pick<Result, 'stdout'>): Sorted {
  const rejected = parsePush(result.stdout.toString('utf8')).filter(({ flag }) => flag === '!');
  if (rejected.length > 0) {
    const sorted = rejected.map((ref) => sortRejected(ref, result));
    // One ref that is refused fails the others of an atomic push: what needs a person comes first.
    for (const kind of ['policy', 'local', 'transient', 'lost-race'] as const) {
      const first = sorted.find((one) => one.kind === kind);
      if (first) return first;
    }
    return sorted[0] ?? unclear('no answer');
  }
  return sortKnown(result) ?? unclear(lastWords(result) || 'it ended without a word');
}

/**
 * The failure to throw for a git call that was expected to work. `dir`: where it ran. Where the server asked to be left
 * alone, `details.retryAfterMs` says for how long.
 */
export function gitFailure(
  result: Told,
  args: readonly string[],
  remote = 'the remote',
  dir = 'the project folder',
): Failure {
  const { stdout, retryAfterMs = null } = result;
  const sorted = stdout && commandOf(args) === 'push' ? sortPush({ ...result, stdout }) : sortFailure(result);
  // A git that was ended while it talked to nobody has left nothing in the open.
  const row = sorted.row === 'remote-unclear' && !isTalking(args) ? 'git-failed' : sorted.row;
  const branch = (sorted.ref ?? 'the branch').replace(/^refs\/heads\//, '');
  const said = redact(`git ${args.join(' ')} ended with ${result.exitCode ?? result.signal}: ${result.stderr.trim()}`);
  const details = { detail: sorted.detail, remote, branch, file: sorted.detail, dir };
  const more = {
    ...(retryAfterMs === null ? {} : { retryAfterMs }),
    ...(sorted.limitBytes === undefined ? {} : { limitBytes: sorted.limitBytes }),
  };
  return new Failure(row, { ...details, ...more }, new Error(said));
}

const talking = new Set(['push', 'fetch', 'pull', 'clone', 'ls-remote', 'archive']);

/** Does this git call talk to a remote? A file that is called "push" does not make it so. */
export const isTalking = (args: readonly string[]): boolean => talking.has(commandOf(args));

const commandOf = (args: readonly string[]): string => args[commandAt(args)] ?? '';

/** Where the git command is: the first word after the options of git itself. */
export function commandAt(args: readonly string[]): number {
  let i = 0;
  while (args[i]?.startsWith('-') === true) i += args[i] === '-c' || args[i] === '-C' ? 2 : 1;
  return i;
}

const unclear = (detail: string): Sorted => ({ kind: 'ambiguous', row: 'remote-unclear', detail });

/** In a partial clone any command may come to a file that is only promised, and then talks to the remote after all. */
const promised = /^fatal: could not fetch [0-9a-f]{40,} from promisor remote$/m;

function sortKnown(result: Ended): Sorted | null {
  if (!promised.test(result.stderr)) return sortMessages(result);
  const sorted = sortMessages({ ...result, talks: true });
  // An address that is wrong has never promised anything.
  const isAway = sorted === null || sorted.kind === 'configuration';
  return isAway ? { kind: 'transient', row: 'offline', detail: sorted?.detail ?? lastWords(result) } : sorted;
}

function sortMessages(result: Ended): Sorted | null {
  const { killed, signal, exitCode } = result;
  if (killed === 'timeout') return unclear('no answer in time');
  if (killed === 'abort') return unclear('it was interrupted');
  // Its transport helper ended first: what that one said is the reason.
  if (signal !== null && signal !== 'SIGPIPE') return unclear(`git was ended by ${signal}`);
  const said = linesOf(result.stderr);
  // A transport helper that was killed: git then ends without a word.
  if (said.length === 0 && (exitCode ?? 0) >= 128) return unclear('it ended without a word');
  const answered = result.talks === false ? null : said.map((line) => httpStatus.exec(line)).find(Boolean);
  if (answered) return sortStatus(Number(answered[2]), answered[1] === 'RPC failed', sentence(answered[0]));
  for (const [kind, row, pattern] of messages) {
    // Who talked to nobody was refused by nobody, whatever the names in its messages sound like.
    if (result.talks === false && (remoteKinds.has(kind) || row.startsWith('remote-'))) continue;
    const index = said.findIndex((line) => pattern.test(line) && !endsInName(line));
    if (index >= 0) return { kind, row, detail: sentence(reasonAt(said, index)) };
  }
  return signal === null ? null : unclear(`git was ended by ${signal}`);
}

/** The line that gives the reason: not always the one that tells. */
function reasonAt(said: readonly string[], index: number): string {
  const told = said[index] ?? '';
  // Ssh gave it before git noticed.
  if (told.startsWith('fatal: Could not read from remote')) return said[index - 1] ?? told;
  const [to] = said.slice(index).flatMap((line) => /^ +redirect: (\S+)$/.exec(line)?.[1] ?? []);
  return told.startsWith('fatal: unable to update url base') && to !== undefined ? `it sends us on to ${to}` : told;
}

/** Such a line may sound like anything. */
const endsInName = (line: string): boolean => line.startsWith('fatal: Not a valid object name ');

const remoteKinds = new Set<Kind>(['transient', 'ambiguous', 'lost-race', 'policy', 'auth']);

/** An answer to git's first question, when nothing was sent yet, or to what it sent. */
const httpStatus =
  /^(?:fatal|error): (unable to access|RPC failed)(?: '\S*': The requested URL returned error:|; HTTP) (\d{3})\b/;

export function sortStatus(status: number, wasSent: boolean, detail: string): Sorted {
  if (status === 407) return { kind: 'auth', row: 'proxy-auth', detail };
  if (status === 401 || status === 403) return { kind: 'auth', row: 'auth', detail };
  if (status === 429) return { kind: 'transient', row: 'too-many-requests', detail };
  if ([408, 425].includes(status)) return { kind: 'transient', row: 'offline', detail };
  if (status === 413) return { kind: 'policy', row: 'too-large', detail };
  if (status >= 500) return wasSent ? unclear(detail) : { kind: 'transient', row: 'offline', detail };
  if (status >= 400) return { kind: 'policy', row: 'remote-refused', detail };
  return { kind: 'configuration', row: 'remote-misconfigured', detail };
}

/** What the server says of one ref: its reasons are fixed words of git, the rest stands in its messages. */
function sortRejected(ref: PushedRef, result: Ended): Sorted {
  const reason = reasonOf(ref);
  const server = linesOf(result.stderr).flatMap((line) => /^remote: (.*\S)/.exec(line)?.[1] ?? []);
  const told =
    server.find((line) => /^(error|fatal): /.test(line)) ?? server.find((line) => !/: +\d+% /.test(line)) ?? '';
  const detail = [sentence(told), `(${reason})`].filter((part) => part !== '').join(' ');
  const why = whyRejected(ref);
  // It checks what it gets: something was lost or changed on the way, or what it had from before is not whole.
  const damaged =
    reason === 'missing necessary objects' ||
    server.some((line) => /^fatal: (pack is corrupted|pack has bad|inflate|serious inflate)/.test(line));
  if (damaged) return { kind: 'transient', row: 'arrived-damaged', detail, ref: ref.to };
  if (/^(atomic transaction failed|failed to update ref|unpacker error)$/.test(reason)) {
    const known = serverMessages.find(([, , pattern]) => server.some((line) => pattern.test(line)));
    if (known) return { kind: known[0], row: known[1], detail, ref: ref.to };
    // What could not be read here could not be sent.
    const here = reason === 'unpacker error' ? sortKnown(result) : null;
    if (here?.kind === 'local') return here;
    if (server.length === 0 && !saysWhy(result)) return { ...unclear(detail), ref: ref.to };
    return { kind: 'policy', row: 'remote-refused', detail, ref: ref.to };
  }
  if (why === 'lost') return { kind: 'lost-race', row: 'remote-moved', detail, ref: ref.to };
  if (why === 'refused') return { ...whyByPolicy(server, reason, detail), ref: ref.to };
  return { ...unclear(detail), ref: ref.to };
}

/** Servers that are not git itself give their reason here; git's own has only been killed while it unpacked. */
const saysWhy = ({ stderr }: Ended): boolean =>
  /^error: remote unpack failed: (?!(index-pack|unpack-objects) abnormal exit$)/m.test(stderr);

/** A hook of the host's turned it down: for a file that is too large, or for a reason of its own. */
function whyByPolicy(server: readonly string[], reason: string, detail: string): Sorted {
  const limit = /\bhook declined$/.test(reason) ? fileLimitIn(server) : null;
  if (limit === null) return { kind: 'policy', row: 'remote-refused', detail };
  const known = limit.bytes === null ? {} : { limitBytes: limit.bytes };
  return { kind: 'policy', row: 'file-too-large', detail: sentence(limit.line), ...known };
}

const linesOf = (text: string): string[] => text.split(/\r?\n|\r/).filter((line) => line.trim() !== '');

function lastWords({ stderr }: Ended): string {
  const said = linesOf(stderr);
  return sentence(said.findLast((text) => /^(fatal|error): /.test(text)) ?? said.at(-1) ?? '');
}

function sentence(line: string): string {
  return line
    .replace(/^(fatal|error|remote|ERROR|ssh): /, '')
    .replace(/^unable to access '\S*': /, '')
    .replace(/[.:\s]+$/, '');
}
