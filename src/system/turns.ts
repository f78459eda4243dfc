/** Work that waits its turn within this process, by what it is about. */
const turns = new Map<string, Promise<unknown>>();

/** Runs `work` when all that was asked for before it about the same thing has ended, well or not. */
export async function inTurn<T>(about: string, work: () => Promise<T>): Promise<T> {
  const turn = (turns.get(about) ?? Promise.resolve()).then(work);
  const settled = turn.then(
    () => undefined,
    () => undefined,
  );
  turns.set(about, settled);
  try {
    return await turn;
  } finally {
    if (turns.get(about) === settled) turns.delete(about);
  }
}

/** Is somebody at it? */
export const isTaken = (about: string): boolean => turns.has(about);
