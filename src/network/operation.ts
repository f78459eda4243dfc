import { Failure } from '../model/failures.ts';
import { systemClock } from '../system/clock.ts';
import type { Asked } from './connectivity.ts';
import { askedMs, type OnRetry, RetryPolicy, type RetryPorts, type Try } from './retry.ts';
import { failureOf } from './thrown.ts';
import type { Tried } from './tries.ts';

export interface OperationPorts<T> extends RetryPorts {
  /** Is the remote there? Asked before each try; while it is not, that is the failure. Null: there is none to ask. */
  check?: () => Promise<Asked | null>;
  /** Keeps each try for the statistics. Must not throw. */
  onTried?: (tried: Tried) => Promise<void>;
  /** Did it come to talking to the remote at all? What did not is kept out of the statistics. */
  hasTalked?: (value: T) => boolean;
  onRetry?: OnRetry;
}

/** Anything that needs the network, with what belongs around it: connectivity check, retry policy, statistics. */
export class NetworkOperation<T> {
  private readonly name: string;
  private readonly fn: Try<T>;
  private readonly ports: OperationPorts<T>;
  private readonly policy: RetryPolicy;

  constructor(name: string, fn: Try<T>, ports: OperationPorts<T> = {}, policy: RetryPolicy = new RetryPolicy()) {
    this.name = name;
    this.fn = fn;
    this.ports = ports;
    this.policy = policy;
  }

  /** The same operation under another policy. */
  withPolicy(policy: RetryPolicy): NetworkOperation<T> {
    return new NetworkOperation(this.name, this.fn, this.ports, policy);
  }

  /** Runs it. Throws what the last try threw, `offline` where the remote was not there; the signal's reason when aborted. */
  async execute(): Promise<T> {
    const { onTried, onRetry, hasTalked, ...ports } = this.ports;
    const { clock = systemClock } = ports;
    let noted: Promise<void> = Promise.resolve();
    let failed: Tried | null = null;
    const note = (tried: Tried | null): void => {
      if (tried !== null && onTried) noted = noted.then(async () => await onTried(tried));
      failed = null;
    };
    const once: Try<T> = async (attempt, signal) => {
      const started = clock.monotonic();
      const tried = (failure: Failure | null): Tried => {
        return { op: this.name, at: clock.now(), ms: clock.monotonic() - started, failure, retryMs: null };
      };
      try {
        await this.assertThere();
        const value = await this.fn(attempt, signal);
        if (hasTalked?.(value) !== false) note(tried(null));
        return value;
      } catch (error) {
        failed = tried(failureOf(error));
        throw error;
      }
    };
    const again: OnRetry = (attempt, delayMs, failure) => {
      note(failed && { ...failed, retryMs: delayMs });
      onRetry?.(attempt, delayMs, failure);
    };
    try {
      return await this.policy.executeWithProgress(once, again, ports);
    } finally {
      note(failed);
      await noted;
    }
  }

  private async assertThere(): Promise<void> {
    const asked = await this.ports.check?.();
    if (asked?.connectivity.state !== 'offline') return;
    const retryAfterMs = askedMs(asked.failure);
    const details = { detail: asked.connectivity.reason ?? 'it does not answer' };
    throw new Failure('offline', retryAfterMs === null ? details : { ...details, retryAfterMs }, asked.failure);
  }
}
