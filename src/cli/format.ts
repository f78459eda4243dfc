import { Failure } from '../model/failures.ts';

export { localTime } from '../model/failures.ts';
export { counted, size } from '../model/words.ts';

const units: Record<string, number> = { s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 };

/** `90s`, `10m`, `4h`, `2d` in ms. Throws `usage`. */
export function duration(text: string, command: string): number {
  const match = /^(\d+(?:\.\d+)?)([smhd])$/.exec(text);
  if (!match)
    throw new Failure('usage', { detail: `"${text}" is no duration; it takes one like 90s, 10m or 4h`, command });
  return Number(match[1]) * (units[match[2] ?? ''] ?? 0);
}

/** The value of an option that says how many. Throws `usage`. */
export function howMany(value: number, option: string, command: string): number {
  if (Number.isSafeInteger(value) && value > 0) return value;
  throw new Failure('usage', { detail: `--${option} takes a whole number above 0`, command });
}

/** `45 s`, `3 min`, `2.5 h`: about. */
export function span(ms: number): string {
  const seconds = Math.round(ms / 1000);
  if (seconds < 100) return `${seconds} s`;
  const minutes = Math.round(seconds / 60);
  return minutes < 100 ? `${minutes} min` : `${(minutes / 60).toFixed(1)} h`;
}
