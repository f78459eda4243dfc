import type { Line } from './tries.ts';

/** How well a remote can be reached, as `net stats --json` gives it. */
export interface Health {
  /** Of the oldest try that is known; null: none is. */
  since: string | null;
  tries: number;
  /** 0…1, of all tries; null: there was none. */
  successRate: number | null;
  operations: OperationHealth[];
  /** What was tried again and why, the most frequent first. */
  retried: { operation: string; code: string; reason: string; count: number; lastAt: string }[];
  lastSuccessAt: string | null;
  lastFailure: { at: string; operation: string; code: string; reason: string } | null;
}

export interface OperationHealth {
  name: string;
  tries: number;
  failed: number;
  /** Of the tries that were answered, ms: half of them, and nineteen of twenty, were no slower. Null: there was none. */
  medianMs: number | null;
  p95Ms: number | null;
}

/** What a log of tries (oldest first) tells. Pure. */
export function healthOf(lines: readonly Line[]): Health {
  const good = lines.filter(({ failure }) => failure === null);
  const lastFailed = lines.findLast(({ failure }) => failure !== null);
  return {
    since: lines[0]?.at ?? null,
    tries: lines.length,
    successRate: lines.length === 0 ? null : good.length / lines.length,
    operations: [...new Set(lines.map(({ op }) => op))].toSorted().map((name) =>
      operation(
        name,
        lines.filter(({ op }) => op === name),
      ),
    ),
    retried: retried(lines),
    lastSuccessAt: good.at(-1)?.at ?? null,
    lastFailure: lastFailed?.failure ? { at: lastFailed.at, operation: lastFailed.op, ...lastFailed.failure } : null,
  };
}

function operation(name: string, lines: readonly Line[]): OperationHealth {
  const times = lines
    .filter(({ failure }) => failure === null)
    .map(({ ms }) => ms)
    .toSorted((a, b) => a - b);
  const at = (share: number): number | null => times[Math.ceil(times.length * share) - 1] ?? null;
  return { name, tries: lines.length, failed: lines.length - times.length, medianMs: at(0.5), p95Ms: at(0.95) };
}

function retried(lines: readonly Line[]): Health['retried'] {
  const found = new Map<string, Health['retried'][number]>();
  for (const { op, at, failure, retryMs } of lines) {
    if (failure === null || retryMs === null) continue;
    const key = JSON.stringify([op, failure]);
    const before = found.get(key);
    found.set(key, { operation: op, ...failure, count: (before?.count ?? 0) + 1, lastAt: at });
  }
  return [...found.values()].toSorted((a, b) => b.count - a.count);
}
