import { type Renewed, standsForMs } from './time.ts';

/** When a holder renews its lease and when it gives up: pure, so that clocks which jump and sleep can be tried on it. */

export interface Pulse {
  leaseMs: number;
  heartbeatMs: number;
  /** The last renewal that the remote has. */
  renewed: Renewed;
  /** Tries that failed since. */
  failures: number;
  /** Uptime of the last of these. */
  triedAt: number;
  /** The remote's record says "idle" while we work, or the other way round. */
  outdated: boolean;
}

export type NextBeat =
  | { do: 'wait'; ms: number }
  | { do: 'renew' }
  /** `idle`: nobody has worked here for so long that others should not wait. `over`: the lease ran out. */
  | { do: 'end'; why: 'idle' | 'over' };

/** A computer that wakes is noticed after so long at most, ms: timers stand still while it sleeps. */
const sliceMs = 15_000;

/** A change of idleness is told to the remote no more often than this, ms. */
const tellMs = 30_000;

/** The wait after the first try that failed, ms; it doubles, up to half a heartbeat. */
const backoffMs = 2000;

export function nextBeat(pulse: Pulse, now: Renewed, idle: { forMs: number; maxMs: number }): NextBeat {
  if (idle.forMs >= idle.maxMs) return { do: 'end', why: 'idle' };
  const left = standsForMs(pulse.leaseMs, pulse.renewed, now);
  // Over by our clocks. Tries end with the lease; but one who slept past its end asks once, since only the swap knows
  // whether anybody has taken it.
  if (left === 0) return pulse.failures === 0 ? { do: 'renew' } : { do: 'end', why: 'over' };
  const due = dueInMs(pulse, pulse.leaseMs - left, now.uptime);
  if (due <= 0) return { do: 'renew' };
  return { do: 'wait', ms: Math.ceil(Math.min(due, left, sliceMs)) };
}

function dueInMs({ heartbeatMs, failures, triedAt, outdated }: Pulse, passed: number, uptime: number): number {
  if (failures > 0) return triedAt + Math.min(heartbeatMs / 2, backoffMs * 2 ** (failures - 1)) - uptime;
  return (outdated ? Math.min(heartbeatMs, tellMs) : heartbeatMs) - passed;
}
