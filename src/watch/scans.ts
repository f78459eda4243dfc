import type { Times } from './times.ts';

/** When everything is compared with HEAD. Pure. Times are ms on a clock that never goes back. */

export interface Scans {
  /** When the last comparison began; -∞: what differs from HEAD is another question since, or it was never asked. */
  at: number;
  /** How long it took, ms. */
  took: number;
  /** When something was heard last that a comparison before it has not seen. */
  heardAt: number;
  /** Nothing is heard: only looking helps. */
  blind: boolean;
  /** So many comparisons have found nothing new since something stirred. */
  idle: number;
}

/** The first one is due at once. `quietMs`: for how long nothing had happened before, so that little is expected now. */
export const firstScan = ({ scan }: Times, quietMs: number): Scans => ({
  at: Number.NEGATIVE_INFINITY,
  took: 0,
  heardAt: Number.NEGATIVE_INFINITY,
  blind: false,
  idle: Math.floor(Math.log2(1 + quietMs / scan)),
});

/**
 * When the next one is due. Events get lost and come early: what was heard is compared at once, and again when half of the
 * quiet time has passed.
 */
export function nextScan(times: Times, scans: Scans): number {
  const { at, heardAt } = scans;
  if (at <= heardAt) return heardAt;
  const again = heardAt + times.quiet / 2;
  return Math.min(at + pause(times, scans), at < again ? again : Number.POSITIVE_INFINITY);
}

/**
 * How long after a comparison the next one is due, though nothing was heard. Where nothing can be, at the quiet time's pace
 * no save is missed that would not be joined anyway, but a slow drive is not kept busy by it.
 */
function pause(times: Times, { blind, took, idle }: Scans): number {
  if (blind) return Math.min(times.scan, Math.max(times.quiet, times.look, took * times.scanShare));
  return Math.max(times.scan, Math.min(times.longestScan, times.scan * 2 ** idle));
}
