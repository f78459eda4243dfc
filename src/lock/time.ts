import type { LockRecord } from './record.ts';

/**
 * When a lease is over. All pure, all in ms. The fence (push/publish.ts) keeps what is published safe whatever the
 * clocks say; these rules keep people from being disturbed by a clock that is wrong.
 */

/** How often a holder renews: at least four times in a lease, so that three may fail. */
export const heartbeatMs = (settingMinutes: number, leaseMs: number): number =>
  Math.max(1, Math.floor(Math.min(settingMinutes * 60_000, leaseMs / 4)));

/** What a contender adds to the end of a lease for clocks that differ. */
export const graceMs = (leaseMs: number): number => Math.min(5 * 60_000, leaseMs / 4);

export interface Observation {
  /** Wall clock of the one who asks. */
  now: number;
  /** How long the asker itself has seen this very record unchanged, on a clock that nobody sets. */
  unchangedMs: number;
}

type Times = Pick<LockRecord, 'expiresAt' | 'leaseMs' | 'heartbeatMs'>;

/** Is the lease over by this wall clock? For showing; not enough to take it over. */
export const isExpired = (record: Pick<LockRecord, 'expiresAt'>, now: number): boolean =>
  now >= Date.parse(record.expiresAt);

/**
 * After how many ms a contender may take over, if the record stays as it is; 0: now. The lease must be over by its own
 * clock, with grace, AND it must itself have seen no renewal for two heartbeats: a clock that runs ahead never sees a
 * live holder's record stand still for so long.
 */
export function takeableInMs(record: Times, { now, unchangedMs }: Observation): number {
  const byClock = Date.parse(record.expiresAt) + graceMs(record.leaseMs) - now;
  const byWatching = 2 * Math.min(record.heartbeatMs, record.leaseMs / 4) - unchangedMs;
  return Math.max(0, byClock, byWatching);
}

/**
 * Since when (uptime) the same record has been seen, after one more look. After a restart the uptime begins anew: what
 * was seen before it has then stood for at least as long as this computer is up.
 */
export const seenSince = (before: { same: boolean; sinceUptime: number }, uptime: number): number =>
  before.same ? (before.sinceUptime > uptime ? 0 : before.sinceUptime) : uptime;

export interface Renewed {
  /** Wall clock when the last renewal was made (before it was sent). */
  at: number;
  /** The same on the clock that counts sleep. */
  uptime: number;
}

/**
 * How long a holder may still count itself in, in ms; 0: not any more. It ends with the lease, so a grace before
 * anybody may take over. Of the two clocks the one that says more time has passed is believed: timers stand still in
 * standby, the wall clock may be set back, the uptime begins anew with a restart.
 */
export function standsForMs(leaseMs: number, renewed: Renewed, now: Renewed): number {
  const passed = Math.max(now.at - renewed.at, now.uptime - renewed.uptime, 0);
  return Math.max(0, leaseMs - passed);
}
