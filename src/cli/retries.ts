import { NetworkOperation } from '../network/operation.ts';
import { askedMs, RetryPolicy } from '../network/retry.ts';
import { noteTry, reasonOf } from '../network/tries.ts';
import { type Project, remoteUrl } from '../project/project.ts';
import type { Context } from './command.ts';

/** Who stands before a terminal does not wait longer than this for a server that asks to be left alone, ms. */
const patienceMs = 120_000;

/**
 * Tries again while the remote cannot be reached, and says so on the way: `⚠ Attempt 1 failed: connection timed out` ·
 * `Retrying in 1.0 s…`. With `--no-retry` once. Each try is kept for `net stats` under the name of the operation, unless
 * it did not come to talking to the remote, or there is no project yet. Throws the last failure.
 */
export async function withRetries<T>(
  { root, config }: Pick<Project, 'config'> & Partial<Pick<Project, 'root'>>,
  context: Context,
  name: string,
  fn: () => Promise<T>,
  hasTalked: (value: T) => boolean = () => true,
): Promise<{ value: T; attempts: number }> {
  const { clock, signal, output } = context;
  const { maxRetries, initialBackoffMs, maxBackoffMs } = config.network;
  const policy = context.retry
    ? new RetryPolicy({ maxRetries, initialMs: initialBackoffMs, maxMs: maxBackoffMs })
    : RetryPolicy.noRetry();
  let attempts = 0;
  const once = async (attempt: number) => {
    attempts = attempt;
    return await fn();
  };
  const operation = new NetworkOperation(name, once, {
    clock,
    signal,
    hasTalked,
    retryIf: (failure) => failure.code === 'OFFLINE' && (askedMs(failure) ?? 0) <= patienceMs,
    onTried: async (tried) => {
      if (root === undefined) return;
      const url = await remoteUrl({ root, config });
      if (url !== null) await noteTry(root, url, tried);
    },
    onRetry: (attempt, delayMs, failure) => {
      const reason = reasonOf(failure);
      output.tell(`⚠ Attempt ${attempt} failed: ${reason}`, {
        event: 'attempt-failed',
        attempt,
        code: failure.code,
        reason,
      });
      output.tell(`Retrying in ${(delayMs / 1000).toFixed(1)} s…`, { event: 'retrying', delayMs });
    },
  });
  return { value: await operation.withPolicy(policy).execute(), attempts };
}
