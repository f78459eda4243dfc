import { asFailure, Failure } from '../model/failures.ts';
import { type Clock, systemClock } from '../system/clock.ts';

export interface RetryOptions {
  /** Tries after the first one. */
  maxRetries?: number;
  /** The first wait, ms; each further one is twice the one before. */
  initialMs?: number;
  /** No wait is longer, ms. */
  maxMs?: number;
  /** All tries and waits together end before this, ms. */
  deadlineMs?: number;
}

export interface RetryPorts {
  clock?: Clock;
  signal?: AbortSignal;
  /** 0 ≤ x < 1 */
  random?: () => number;
  /** Instead of what the failure itself says about being tried again. */
  retryIf?: (failure: Failure) => boolean;
}

/** Told before each wait: which attempt failed (from 1), how long the wait is (ms), and why. */
export type OnRetry = (attempt: number, delayMs: number, failure: Failure) => void;

/**
 * Tries again what may succeed later: exponential backoff, `initial · 2^attempt`, capped, with jitter so that a whole
 * band that comes online at once does not ask at once. What a later try cannot mend is thrown at the first.
 */
export class RetryPolicy {
  private readonly options: Required<RetryOptions>;
  private readonly fixed: boolean;

  /** Defaults: 5 retries from 1 s, capped at 30 s, no deadline. */
  constructor(
    { maxRetries = 5, initialMs = 1000, maxMs = 30_000, deadlineMs = Infinity }: RetryOptions = {},
    fixed = false,
  ) {
    this.options = { maxRetries, initialMs, maxMs, deadlineMs };
    this.fixed = fixed;
  }

  static noRetry(): RetryPolicy {
    return new RetryPolicy({ maxRetries: 0 });
  }

  /** `retries` more tries, `ms` apart. */
  static fixedBackoff(retries: number, ms: number): RetryPolicy {
    return new RetryPolicy({ maxRetries: retries, initialMs: ms, maxMs: ms }, true);
  }

  /** The wait after the attempt of that number (from 1), ms: between half and all of the exponential value. */
  delay(attempt: number, random: () => number = Math.random): number {
    const { initialMs, maxMs } = this.options;
    const full = Math.min(maxMs, initialMs * 2 ** (attempt - 1));
    return this.fixed ? full : full * (0.5 + random() / 2);
  }

  /** Runs `fn(attempt)` until it succeeds. Throws the last failure; the signal's reason when aborted. */
  async execute<T>(fn: (attempt: number) => Promise<T>, ports: RetryPorts = {}): Promise<T> {
    return await this.executeWithProgress(fn, () => undefined, ports);
  }

  async executeWithProgress<T>(
    fn: (attempt: number) => Promise<T>,
    onRetry: OnRetry,
    ports: RetryPorts = {},
  ): Promise<T> {
    const { clock = systemClock, signal, random = Math.random, retryIf = (failure) => failure.retryable } = ports;
    const start = clock.monotonic();
    for (let attempt = 1; ; attempt++) {
      signal?.throwIfAborted();
      try {
        return await fn(attempt);
      } catch (error) {
        const failure = asFailure(error);
        const delayMs = this.delay(attempt, random);
        const tooLate = clock.monotonic() - start + delayMs > this.options.deadlineMs;
        if (!retryIf(failure) || attempt > this.options.maxRetries || tooLate) throw failure;
        onRetry(attempt, delayMs, failure);
        await clock.sleep(delayMs, signal);
      }
    }
  }
}
