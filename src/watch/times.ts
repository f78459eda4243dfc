import type { Config } from '../model/config.ts';

/** All numbers of the watch stage, in ms unless said. What has a setting comes from there. */
export interface Times {
  /** A file counts as settled when it has not changed for so long. DAWs write a save in 2–17 ms (Ardour, Hydrogen measured). */
  quiet: number;
  /** So long before a session has settled its bytes begin to be stored: 5 MB take 80 ms, 21 MB 350 ms. FAT tells times by 2 s only, so not sooner. */
  ahead: number;
  /** The same for takes. A take is flushed every 2.6–2.9 s (Ardour, 32-bit 48 kHz), every 6 s as 16-bit mono. A guess with a margin. */
  mediaQuiet: number;
  /** Between two versions of media only. A guess. */
  mediaGap: number;
  /** How long settled media wait for a save of the session. A guess. */
  mediaOnly: number;
  /** How long a save's version waits for a take that still grows. A guess. */
  takeHold: number;
  /** How often everything is compared with HEAD although nothing was heard: events get lost. */
  scan: number;
  /** … and the more seldom, up to this, the longer nothing stirs. */
  longestScan: number;
  /** Without events the comparing takes one part in so many of the time. A guess. */
  scanShare: number;
  /** Between two looks while something moves. */
  look: number;
  /** A DAW may keep idle descriptors open: a file unchanged for so long counts as closed. A guess. */
  openPatience: number;
  /** After the first event a burst is let pass before the look. Ardour's longest took 17 ms. */
  burst: number;
  /** A version that takes longer than this to be made is noted on the disk, should we be killed meanwhile. A guess. */
  moment: number;
  /** While no version can be made (a merge, a foreign index.lock) it is tried after this, then after twice as long … */
  firstRetry: number;
  /** … up to this. */
  lastRetry: number;
  /** When told to end, the takes of a version get so long: then it is made without them. A guess; a version without takes is made in 0.2 s. */
  endTakes: number;
  /** … and nothing is begun any more after so long: 5 s are promised for everything. */
  end: number;
  /** How many bytes of media are still taken into the last version when told to end: 480 MB took 3.4 s. */
  endBytes: number;
}

export function timesOf(settings: Config['watch']): Times {
  const quiet = settings.quietSeconds * 1000;
  return {
    quiet,
    ahead: Math.min(500, quiet / 6),
    mediaQuiet: settings.mediaQuietSeconds * 1000,
    mediaGap: settings.minCommitGapSeconds * 1000,
    mediaOnly: settings.mediaOnlyCommitMinutes * 60_000,
    takeHold: settings.growingTakeHoldSeconds * 1000,
    scan: settings.scanSeconds * 1000,
    longestScan: 900_000,
    scanShare: 20,
    // Short quiet times are for tests; below 20 ms it would only burn the processor.
    look: Math.max(20, Math.min(1000, quiet / 3)),
    openPatience: 60_000,
    burst: 50,
    moment: 1000,
    firstRetry: 1000,
    lastRetry: 30_000,
    endTakes: 2500,
    end: 4000,
    endBytes: 268_435_456,
  };
}
