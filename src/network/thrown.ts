import { sortFailure, sortStatus } from '../git/failures.ts';
import { redact } from '../git/redact.ts';
import { retryAfterMs } from '../git/http-headers.ts';
import { asFailure, type Details, Failure } from '../model/failures.ts';

/** What anything means that an operation on the network may throw, ours or somebody else's. */

/** Of Node's sockets, name look-up, and fetch. */
const networkCodes =
  /^(ECONN(REFUSED|RESET|ABORTED)|ENOTFOUND|EAI_\w+|ETIMEDOUT|E(HOST|NET)(UNREACH|DOWN)|EPIPE|UND_ERR_(CONNECT_TIMEOUT|HEADERS_TIMEOUT|BODY_TIMEOUT|SOCKET))$/;

/**
 * A Failure stays itself; errors of Node's network and answers of http servers (`status` and `headers` on the error, or on
 * its `response`) get their rows, and so does an error that says what git or ssh say. All else is `internal`.
 */
export function failureOf(thrown: unknown): Failure {
  if (thrown instanceof Failure || !(thrown instanceof Error)) return asFailure(thrown);
  if (thrown.name === 'TimeoutError') return new Failure('offline', { detail: 'no answer in time' }, thrown);
  for (const error of [thrown, thrown.cause]) {
    const code = (error as NodeJS.ErrnoException | null | undefined)?.code ?? '';
    if (networkCodes.test(code))
      return new Failure('offline', { detail: redact((error as Error).message) || code }, thrown);
  }
  return fromAnswer(thrown) ?? fromGit(thrown) ?? asFailure(thrown);
}

/** A mistake in the program, or an end that somebody wanted: no later try will mend it. */
export const isSlip = (thrown: unknown): boolean =>
  thrown instanceof TypeError ||
  thrown instanceof ReferenceError ||
  thrown instanceof RangeError ||
  thrown instanceof SyntaxError ||
  (thrown instanceof Error && thrown.name === 'AbortError');

interface Answer {
  status?: unknown;
  statusCode?: unknown;
  headers?: Headers | Record<string, unknown>;
}

function fromAnswer(error: Error): Failure | null {
  const { response } = error as { response?: Answer };
  const { status, statusCode, headers } = response ?? (error as Answer);
  const code = status ?? statusCode;
  if (typeof code !== 'number' || code < 400 || code > 599) return null;
  const header = (name: string): string | undefined => {
    const value: unknown = headers instanceof Headers ? headers.get(name) : headers?.[name];
    return typeof value === 'string' || typeof value === 'number' ? `${value}` : undefined;
  };
  const { row, detail } = sortStatus(code, true, redact(error.message) || `HTTP ${code}`);
  const asked = retryAfterMs(header('retry-after'), header('date'), Date.now());
  const details: Details = { detail, remote: 'the remote' };
  return new Failure(row, asked === null ? details : { ...details, retryAfterMs: asked }, error);
}

function fromGit(error: Error): Failure | null {
  const { row, detail } = sortFailure({ exitCode: 1, signal: null, killed: null, stderr: redact(error.message) });
  return row === 'git-failed' ? null : new Failure(row, { detail, remote: 'the remote', file: detail }, error);
}
