import { AsyncLocalStorage } from 'node:async_hooks';

/** Whose work a callback is, so that what it throws outside of any promise ends that project's watch and no other. */
const working = new AsyncLocalStorage<string>();

/** Runs the work of a project. */
export const workFor = <T>(root: string, work: () => T): T => working.run(root, work);

/** More of them that belong to no project, within `withinMs`, and nothing can be relied on any more. */
const most = 5;
const withinMs = 60_000;

export interface CrashPorts {
  now: () => number;
  /** Something of this project was thrown where nobody could catch it; null: of none. */
  crashed: (root: string | null, error: unknown) => void;
  /** Too much went wrong: the process should end, to be started anew. */
  giveUp: () => void;
}

/** Takes what nobody has caught. Gives what ends that. */
export function catchCrashes({ now, crashed, giveUp }: CrashPorts): () => void {
  let stray: number[] = [];
  const onCrash = (error: unknown): void => {
    const root = working.getStore() ?? null;
    crashed(root, error);
    if (root !== null) return;
    stray = [...stray.filter((at) => now() - at < withinMs), now()];
    if (stray.length > most) giveUp();
  };
  process.on('uncaughtException', onCrash).on('unhandledRejection', onCrash);
  return () => void process.off('uncaughtException', onCrash).off('unhandledRejection', onCrash);
}
