import type { Failure } from '../model/failures.ts';
import { type Breaker, breakerState, closed, step } from '../network/breaker.ts';
import { untilOnline } from '../network/comeback.ts';
import { askedMs } from '../network/retry.ts';
import { noteTry } from '../network/tries.ts';
import { type Project, remoteOf } from '../project/project.ts';
import type { Clock } from '../system/clock.ts';

/** Is the remote worth a try now? What the background knows of the way there. */
export interface Reach {
  /** Why nobody answers, as long as that is so. */
  silence: () => Failure | null;
  /** It has kept failing: it is spared for a while. */
  isSpared: () => boolean;
  succeeded: () => void;
  /** Keeps a try for the statistics: `push`, since when (monotonic, ms), what became of it, and when it is tried again. */
  note: (op: string, started: number, failure: Failure | null, retryMs: number | null) => Promise<void>;
  /** Gives the wait until a next try makes sense, ms. Where nobody answered, the coming back is waited for from now on. */
  failed: (failure: Failure) => number;
  /** Ends with the signal. */
  ended: () => Promise<void>;
}

export interface ReachPorts {
  clock: Clock;
  signal: AbortSignal;
  /** `true`: the remote was away, and is back; `false`: it answers, and did all the time, so the tries are to be paced. */
  onBack: (wasAway: boolean) => void;
  /** It cannot even be asked (the project's folder is gone). */
  onTrouble: (error: unknown) => void;
}

export function startReach(project: Project, { clock, signal, onBack, onTrouble }: ReachPorts): Reach {
  const { network } = project.config;
  let breaker: Breaker = closed;
  let silence: Failure | null = null;
  let listening: Promise<void> = Promise.resolve();

  const note: Reach['note'] = async (op, started, failure, retryMs) => {
    const { root, remote } = await remoteOf(project);
    const tried = { op, at: clock.now(), ms: clock.monotonic() - started, failure, retryMs };
    if (remote.url !== null) await noteTry(root, remote.url, tried);
  };

  /** One question for all that wait for that host, instead of tries. */
  const listen = async (): Promise<void> => {
    const ports = { clock, signal, firstMs: network.initialBackoffMs, intervalMs: network.probeSeconds * 1000 };
    try {
      const { sawAway, asked } = await untilOnline(await remoteOf(project), ports);
      await note('check', clock.monotonic() - (asked.connectivity.latencyMs ?? 0), null, null);
      silence = null;
      if (sawAway) breaker = closed;
      onBack(sawAway);
    } catch (error) {
      silence = null;
      if (!signal.aborted) onTrouble(error);
    }
  };

  return {
    silence: () => silence,
    isSpared: () => breakerState(breaker, clock.monotonic()) === 'open',
    succeeded() {
      breaker = step(breaker, { event: 'succeeded' }, clock.monotonic(), network);
    },
    failed(failure) {
      const now = clock.monotonic();
      const event = { event: 'failed', askedMs: askedMs(failure) ?? 0, random: Math.random() } as const;
      breaker = step(breaker, event, now, network);
      // A server that is asked too often is not asked whether it is there.
      if (failure.code === 'OFFLINE' && failure.row !== 'too-many-requests' && silence === null && !signal.aborted) {
        silence = failure;
        listening = listen();
      }
      return breaker.until - now;
    },
    note,
    ended: async () => await listening,
  };
}
