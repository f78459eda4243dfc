import { RetryPolicy } from './retry.ts';

/**
 * Keeps the background from hammering a remote that keeps failing. Closed: all goes on. Open: nothing is tried before
 * `until`. Half-open, from then on: one try decides. Times are ms on a clock that never goes back. What survives a restart
 * is the time of the next try, which stands with the queue; a command that a person starts does not ask the breaker.
 */
export interface Breaker {
  /** In a row. */
  failures: number;
  until: number;
}

export type BreakerEvent =
  | { event: 'succeeded' }
  /** `askedMs`: the server asked to be left alone so long. `random`: 0 ≤ x < 1. */
  | { event: 'failed'; askedMs: number; random: number };

export interface BreakerSettings {
  maxRetries: number;
  initialBackoffMs: number;
  maxBackoffMs: number;
}

export const closed: Breaker = { failures: 0, until: 0 };

export function breakerState({ failures, until }: Breaker, now: number): 'closed' | 'open' | 'half-open' {
  if (failures === 0) return 'closed';
  return now < until ? 'open' : 'half-open';
}

/** The breaker after a try. Pure. */
export function step(breaker: Breaker, event: BreakerEvent, now: number, settings: BreakerSettings): Breaker {
  if (event.event === 'succeeded') return closed;
  // A try that began before it opened, or that a person made, tells nothing new.
  if (breakerState(breaker, now) === 'open') return breaker;
  const failures = breaker.failures + 1;
  return { failures, until: now + pauseMs(failures, event, settings) };
}

/** However long a remote has been failing, it gets another chance so often, ms. */
const longestMs = 900_000;

/**
 * As long as a command would try, the waits are the same as its; from then on they double, up to a quarter of an hour. Never
 * less than what the server asked for.
 */
function pauseMs(
  failures: number,
  { askedMs, random }: Extract<BreakerEvent, { event: 'failed' }>,
  { maxRetries, initialBackoffMs: initialMs, maxBackoffMs: maxMs }: BreakerSettings,
): number {
  const beyond = Math.max(0, failures - maxRetries - 1);
  const own =
    beyond === 0
      ? new RetryPolicy({ initialMs, maxMs }).delay(failures, null, () => random)
      : Math.min(Math.max(longestMs, maxMs), maxMs * 2 ** beyond) * (0.5 + random / 2);
  return Math.max(askedMs, own);
}
