import { Failure } from '../model/failures.ts';
import { type Clock, systemClock } from '../system/clock.ts';
import { failureOf, isSlip } from './thrown.ts';

export interface RetryOptions {
  /** Tries after the first one; Infinity: until the deadline, or for ever. */
  maxRetries?: number;
  /** The first wait, ms; each further one is twice the one before. */
  initialMs?: number;
  /** No wait is longer, ms, unless the server asks for it. */
  maxMs?: number;
  /** All tries and waits together end before this, ms. */
  deadlineMs?: number;
}

export interface RetryPorts {
  /** Aborted: it ends at once, with the signal's reason. */
  signal?: AbortSignal;
  /** Instead of what the failure itself says about being tried again. */
  retryIf?: (failure: Failure) => boolean;
  clock?: Clock;
  /** 0 ≤ x < 1 */
  random?: () => number;
}

/** One try, from 1. Its signal is aborted with the whole, and at the deadline. */
export type Try<T> = (attempt: number, signal: AbortSignal) => Promise<T>;

/** Told before each wait: which attempt failed (from 1), how long the wait is (ms), and why. */
export type OnRetry = (attempt: number, delayMs: number, failure: Failure) => void;

/**
 * Tries again what may succeed later: exponential backoff, `initial · 2^attempt`, capped, with jitter so that a whole
 * band that comes online at once does not ask at once. A server that says when to come back (`Retry-After`) is taken at
 * its word. What a later try cannot mend is thrown at the first.
 *
 * (p-retry 7 and cockatiel 3, which still run on Node 20, were looked at: the first cannot take a wait from the failure,
 * the second cannot end one when aborted, neither takes a clock. What would be left of them is the loop.)
 */
export class RetryPolicy {
  private readonly options: Required<RetryOptions>;
  private readonly fixed: boolean;

  /** Defaults: 5 retries from 1 s, capped at 30 s, no deadline. Throws a RangeError for what is no such number. */
  constructor(options: RetryOptions = {}, fixed = false) {
    const { maxRetries = 5, initialMs = 1000, maxMs = 30_000, deadlineMs = Infinity } = options;
    this.options = { maxRetries, initialMs, maxMs, deadlineMs };
    for (const [name, value] of Object.entries(this.options))
      if (!(value >= 0)) throw new RangeError(`${name} takes a number, 0 or more, not ${value}`);
    this.fixed = fixed;
  }

  static noRetry(): RetryPolicy {
    return new RetryPolicy({ maxRetries: 0 });
  }

  /** `retries` more tries, `ms` apart. */
  static fixedBackoff(retries: number, ms: number): RetryPolicy {
    return new RetryPolicy({ maxRetries: retries, initialMs: ms, maxMs: ms }, true);
  }

  /**
   * The wait after the attempt of that number (from 1), ms: between half and all of the exponential value; never less
   * than what the server asked for, and the longest one where it is asked too often and did not say for how long.
   */
  delay(attempt: number, failure: Failure | null = null, random: () => number = Math.random): number {
    const { initialMs, maxMs } = this.options;
    const full = Math.min(maxMs, initialMs * 2 ** (attempt - 1));
    const own = this.fixed ? full : full * (0.5 + random() / 2);
    return Math.max(own, askedMs(failure) ?? (failure?.row === 'too-many-requests' ? maxMs : 0));
  }

  /**
   * Runs `fn(attempt, signal)` until it succeeds. Throws what the last try threw; the signal's reason when aborted.
   * Errors that nobody knows are tried again, too; slips of the program (a TypeError) and aborts are not.
   */
  async execute<T>(fn: Try<T>, ports: RetryPorts = {}): Promise<T> {
    return await this.executeWithProgress(fn, () => undefined, ports);
  }

  /** The same, and tells of each failed try before it waits. */
  async executeWithProgress<T>(fn: Try<T>, onRetry: OnRetry, ports: RetryPorts = {}): Promise<T> {
    const { clock = systemClock } = ports;
    const { deadlineMs } = this.options;
    const over = new AbortController();
    const ended = new AbortController();
    const late = new Failure('remote-unclear', { detail: `no answer within ${deadlineMs / 1000} s` });
    // Woken by its abort when all is done before.
    if (deadlineMs < Infinity)
      void clock.sleep(deadlineMs, ended.signal).then(
        () => over.abort(late),
        () => undefined,
      );
    try {
      return await this.run(fn, onRetry, { ...ports, clock, signal: anyOf(ports.signal, over.signal) });
    } finally {
      ended.abort();
    }
  }

  private async run<T>(
    fn: Try<T>,
    onRetry: OnRetry,
    { clock, signal, random, retryIf }: RetryPorts & { clock: Clock; signal: AbortSignal },
  ): Promise<T> {
    const start = clock.monotonic();
    for (let attempt = 1; ; attempt++) {
      signal.throwIfAborted();
      try {
        return await unlessAborted(signal, fn(attempt, signal));
      } catch (error) {
        if (signal.aborted) throw error;
        const failure = failureOf(error);
        const again = retryIf?.(failure) ?? (failure.retryable || (failure.row === 'internal' && !isSlip(error)));
        const delayMs = this.delay(attempt, failure, random);
        const tooLate = clock.monotonic() - start + delayMs > this.options.deadlineMs;
        if (!again || attempt > this.options.maxRetries || tooLate) throw error;
        onRetry(attempt, delayMs, failure);
        await clock.sleep(delayMs, signal).catch((error: unknown) => {
          signal.throwIfAborted();
          throw error;
        });
      }
    }
  }
}

/** So long the server asked to be left alone, ms; null: it did not. */
export function askedMs(failure: Failure | null): number | null {
  const asked = failure?.details['retryAfterMs'];
  return typeof asked === 'number' ? asked : null;
}

const anyOf = (one: AbortSignal | undefined, other: AbortSignal): AbortSignal =>
  one === undefined ? other : AbortSignal.any([one, other]);

/** Ends at once when aborted; what the work becomes then is nobody's concern any more. */
async function unlessAborted<T>(signal: AbortSignal, work: Promise<T>): Promise<T> {
  let onAbort = (): void => undefined;
  const aborted = new Promise<never>((_, reject) => {
    onAbort = () => reject(signal.reason as Error);
    signal.addEventListener('abort', onAbort);
  });
  try {
    return await Promise.race([work, aborted]);
  } finally {
    signal.removeEventListener('abort', onAbort);
  }
}
