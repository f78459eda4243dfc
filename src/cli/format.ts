import { Failure } from '../model/failures.ts';

export { localTime } from '../model/failures.ts';

const units: Record<string, number> = { s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 };

/** `90s`, `10m`, `4h`, `2d` in ms. Throws `usage`. */
export function duration(text: string, command: string): number {
  const match = /^(\d+(?:\.\d+)?)([smhd])$/.exec(text);
  if (!match)
    throw new Failure('usage', { detail: `"${text}" is no duration; it takes one like 90s, 10m or 4h`, command });
  return Number(match[1]) * (units[match[2] ?? ''] ?? 0);
}

/** `1 version`, `2 versions` */
export const counted = (count: number, what: string): string => `${count} ${what}${count === 1 ? '' : 's'}`;
