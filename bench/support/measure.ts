/** How often each work is done: `ROUNDS=5 npm run bench -- lock`. Each bench says how many it takes to be worth telling. */
export const rounds = (usual: number): number => Math.max(1, Math.floor(Number(process.env['ROUNDS'] ?? usual)));

/**
 * Each of the works in turn, `times` times, so that whatever else the machine does meets all of them alike. Medians in
 * whole ms.
 */
export async function medians(
  times: number,
  works: Record<string, (round: number) => Promise<unknown>>,
): Promise<Record<string, number>> {
  const took: Record<string, number[]> = {};
  for (let round = 0; round < times; round++)
    for (const [name, work] of Object.entries(works)) {
      const start = performance.now();
      await work(round);
      (took[name] ??= []).push(performance.now() - start);
    }
  return Object.fromEntries(Object.entries(took).map(([name, all]) => [name, Math.round(median(all))]));
}

export function median(all: readonly number[]): number {
  return all.toSorted((a, b) => a - b)[Math.floor(all.length / 2)] ?? 0;
}

/** How many times as long, to two places; NaN where one of them was not measured. */
export const ratio = (took = Number.NaN, beside = Number.NaN): number => Math.round((took / beside) * 100) / 100;
