/**
 * How large the next part of a push may be: pure. Parts begin small and grow while they get through, up to what the link
 * carries in `seconds`. After a break none is larger than the largest that got through, until the transfer ends.
 */

export interface Limits {
  /** Bytes; a single file may be larger. */
  min: number;
  max: number;
  /** A part takes about so long. */
  seconds: number;
}

export interface Sizing {
  /** Bytes of the next part. */
  next: number;
  /** The largest that got through, bytes. */
  proven: number;
  /** Some part broke off. */
  broken: boolean;
}

/** What fits in one such piece is simply pushed: over 1 MB/s it takes as long as a part should. */
const firstParts = 16;
/** How much larger than what got through the next one may be. */
const growth = 4;

/** `before`: how this very transfer stood when an earlier process left it. */
export function startSizing(limits: Limits, before: Sizing | null = null): Sizing {
  const { next, proven, broken } = before ?? { next: firstParts * limits.min, proven: 0, broken: false };
  return { next: within(limits, next), proven, broken };
}

/** A part of so many bytes got through in so many ms. */
export function gotThrough({ next, proven, broken }: Sizing, limits: Limits, bytes: number, ms: number): Sizing {
  const largest = Math.max(proven, bytes);
  const inTime = (bytes / Math.max(1, ms)) * 1000 * limits.seconds;
  const grown = Math.min(inTime, growth * Math.max(next, bytes));
  return { next: within(limits, broken ? Math.min(grown, largest) : grown), proven: largest, broken };
}

/** A part of so many bytes broke off. */
export function brokeOff({ proven }: Sizing, limits: Limits, bytes: number): Sizing {
  // One that broke although larger ones had got through: the link has become worse.
  const next = proven > 0 && proven < bytes ? proven : bytes / 2;
  return { next: within(limits, next), proven, broken: true };
}

const within = ({ min, max }: Limits, bytes: number): number =>
  Math.floor(Math.max(Math.min(min, max), Math.min(max, bytes)));
