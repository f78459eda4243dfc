import { askedMs, RetryPolicy } from '../network/retry.ts';
import type { Project } from '../project/project.ts';
import type { Context } from './command.ts';

/** Who stands before a terminal does not wait longer than this for a server that asks to be left alone, ms. */
const patienceMs = 120_000;

/**
 * Tries again while the remote cannot be reached, and says so on the way: `⚠ Attempt 1 failed: connection timed out` ·
 * `Retrying in 1.0 s…`. With `--no-retry` once. Throws the last failure.
 */
export async function withRetries<T>(
  project: Pick<Project, 'config'>,
  context: Context,
  fn: () => Promise<T>,
): Promise<{ value: T; attempts: number }> {
  const { clock, signal, output } = context;
  const { maxRetries, initialBackoffMs, maxBackoffMs } = project.config.network;
  const policy = context.retry
    ? new RetryPolicy({ maxRetries, initialMs: initialBackoffMs, maxMs: maxBackoffMs })
    : RetryPolicy.noRetry();
  let attempts = 0;
  const value = await policy.executeWithProgress(
    async (attempt) => {
      attempts = attempt;
      return await fn();
    },
    (attempt, delayMs, failure) => {
      const reason = String(failure.details['detail'] ?? failure.message);
      output.tell(`⚠ Attempt ${attempt} failed: ${reason}`, {
        event: 'attempt-failed',
        attempt,
        code: failure.code,
        reason,
      });
      output.tell(`Retrying in ${(delayMs / 1000).toFixed(1)} s…`, { event: 'retrying', delayMs });
    },
    { clock, signal, retryIf: (failure) => failure.code === 'OFFLINE' && (askedMs(failure) ?? 0) <= patienceMs },
  );
  return { value, attempts };
}
