import { Failure, type FailureName } from '../model/failures.ts';
import type { Result } from '../system/process.ts';

/**
 * What git's way of ending means. Structure first (signal, exit code), anchored text last; git is run in C, so the text
 * is English everywhere. Text counts only in lines that git, ssh or the server's side wrote as a message ("fatal: …",
 * "error: …", "ssh: …", "remote: …"), so that a file or a song called "Connection refused" is never misread.
 */

export type Kind =
  | 'transient' // nothing was sent; try again later
  | 'ambiguous' // it may have arrived
  | 'lost-race' // somebody else was first
  | 'policy' // the remote does not allow it
  | 'auth'
  | 'configuration'
  | 'local' // this computer: disk, rights
  | 'permanent';

interface TextRow {
  kind: Kind;
  row: FailureName;
  /** Matched against single lines of stderr. */
  line: RegExp;
}

const lines: TextRow[] = [
  // Credentials
  { kind: 'auth', row: 'auth', line: /^fatal: Authentication failed for / },
  { kind: 'auth', row: 'auth', line: /^fatal: could not read (Username|Password) for / },
  { kind: 'auth', row: 'auth', line: /^[^ ]+@[^ ]+: Permission denied \(/ },
  { kind: 'auth', row: 'auth', line: /^(fatal|error): .*The requested URL returned error: (401|403|407)\b/ },
  { kind: 'auth', row: 'auth', line: /^Host key verification failed\./ },
  { kind: 'auth', row: 'auth', line: /^error: RPC failed; HTTP (401|403|407)\b/ },
  // The remote cannot be reached; nothing was sent
  { kind: 'transient', row: 'offline', line: /^fatal: unable to access '.*': .*Could not resolve (host|proxy)/ },
  { kind: 'transient', row: 'offline', line: /^fatal: unable to access '.*': Failed to connect to / },
  {
    kind: 'transient',
    row: 'offline',
    line: /^fatal: unable to access '.*': .*([Tt]imed out|[Tt]imeout|Operation too slow)/,
  },
  {
    kind: 'transient',
    row: 'offline',
    line: /^fatal: unable to access '.*': (Recv failure|Send failure|Empty reply|Couldn't connect|transfer closed|.*Connection reset)/,
  },
  {
    kind: 'transient',
    row: 'offline',
    line: /^fatal: unable to access '.*': The requested URL returned error: (408|429|5\d\d)\b/,
  },
  { kind: 'transient', row: 'offline', line: /^ssh: (Could not resolve hostname|connect to host) / },
  {
    kind: 'transient',
    row: 'offline',
    line: /^(kex_exchange_identification|Connection (closed|reset|timed out)|Timeout, server ).*/,
  },
  { kind: 'transient', row: 'offline', line: /^fatal: unable to (connect to|look up) / },
  // The address is wrong
  { kind: 'configuration', row: 'remote-not-found', line: /^fatal: repository '.*' not found/ },
  {
    kind: 'configuration',
    row: 'remote-not-found',
    line: /^(fatal|ERROR|remote): .*(does not appear to be a git repository|[Rr]epository not found)/,
  },
  {
    kind: 'configuration',
    row: 'remote-not-found',
    line: /^fatal: '.*' is not a git command|^fatal: .* not valid: is this a git repository\?/,
  },
  {
    kind: 'configuration',
    row: 'remote-misconfigured',
    line: /^fatal: (unable to find remote helper|remote helper|transport '.*' not allowed|protocol '.*' is not supported|detected dubious ownership|unsafe repository)/,
  },
  {
    kind: 'configuration',
    row: 'remote-misconfigured',
    line: /^fatal: unable to access '.*': (SSL|server certificate|.*certificate|Unsupported protocol|URL rejected|error setting certificate)/,
  },
  {
    kind: 'configuration',
    row: 'remote-misconfigured',
    line: /^fatal: the receiving end does not support --atomic push/,
  },
  // This computer
  { kind: 'local', row: 'disk-full', line: /^(fatal|error): .*(No space left on device|Disk quota exceeded)/ },
  {
    kind: 'local',
    row: 'no-rights',
    line: /^(fatal|error): .*(Permission denied|insufficient permission|Read-only file system)/,
  },
  { kind: 'local', row: 'busy', line: /^fatal: Unable to create '.*\.lock': File exists/ },
  { kind: 'local', row: 'busy', line: /^error: cannot lock ref '.*': Unable to create '.*\.lock': File exists/ },
  {
    kind: 'local',
    row: 'repository-damaged',
    line: /^(fatal|error): (loose object .* is corrupt|bad object|object file .* is empty|packfile .* is corrupt|unable to read tree)/,
  },
  // The server said no
  {
    kind: 'policy',
    row: 'remote-refused',
    line: /^fatal: unable to access '.*': The requested URL returned error: 4\d\d\b/,
  },
  { kind: 'policy', row: 'remote-refused', line: /^error: RPC failed; HTTP 4\d\d\b/ },
  // It broke off in the middle: it may have arrived
  { kind: 'ambiguous', row: 'remote-unclear', line: /^error: RPC failed; / },
  {
    kind: 'ambiguous',
    row: 'remote-unclear',
    line: /^fatal: .*(unexpected disconnect|hung up unexpectedly|early EOF|unexpectedly closed)/,
  },
];

export interface Sorted {
  kind: Kind;
  row: FailureName;
  /** The line that told, without git's "fatal: ". */
  detail: string;
}

/** Sorts a result that is not a success. */
export function sortFailure(result: Pick<Result, 'exitCode' | 'signal' | 'stderr' | 'killed'>): Sorted {
  if (result.killed === 'timeout') return { kind: 'ambiguous', row: 'remote-unclear', detail: 'no answer in time' };
  if (result.killed === 'abort') return { kind: 'ambiguous', row: 'remote-unclear', detail: 'it was interrupted' };
  if (result.signal !== null)
    return { kind: 'ambiguous', row: 'remote-unclear', detail: `git was ended by ${result.signal}` };
  const said = result.stderr.split(/\r?\n|\r/).filter((line) => line.trim() !== '');
  for (const { kind, row, line } of lines) {
    const told = said.find((text) => line.test(text));
    if (told !== undefined) return { kind, row, detail: sentence(told) };
  }
  const last = said.findLast((text) => /^(fatal|error): /.test(text)) ?? said.at(-1) ?? `exit code ${result.exitCode}`;
  return { kind: 'permanent', row: 'git-failed', detail: sentence(last) };
}

/** The failure to throw for a git call that was expected to work. */
export function gitFailure(
  result: Pick<Result, 'exitCode' | 'signal' | 'stderr' | 'killed'>,
  args: readonly string[],
  remote = 'the remote',
): Failure {
  const { row, detail } = sortFailure(result);
  const cause = new Error(
    `git ${args.join(' ')} ended with ${result.exitCode ?? result.signal}: ${result.stderr.trim()}`,
  );
  return new Failure(row, { detail, remote, file: detail, dir: 'the project' }, cause);
}

function sentence(line: string): string {
  return line.replace(/^(fatal|error|remote|ERROR): /, '').replace(/[.\s]+$/, '');
}
