import { watch } from 'node:fs';
import path from 'node:path';
import { type Registered, register, registered, registryFolder, unregister } from '../control/registry.ts';
import { asFailure } from '../model/failures.ts';
import { counted } from '../model/words.ts';
import type { Clock } from '../system/clock.ts';
import { listenIn } from '../system/listen-in.ts';

/**
 * The list of projects, as it is and as it changes. A project is left with `oxenvcs remove`, which tells it; one whose entry
 * was deleted otherwise (the whole data folder, perhaps) is watched on, and put into the list again.
 */
export interface List {
  /** As it was read last. */
  now(): Promise<Registered>;
  /** Reads it, and hands over what is to be watched; from now on after each change, too. */
  follow(): Promise<void>;
  /** The same now, where it is followed. */
  look(): Promise<void>;
  /** A person leaves this project. */
  leave(root: string): Promise<void>;
  stop(): void;
}

export interface ListPorts {
  clock: Clock;
  /** What is to be watched now, by what was handed over and left since. */
  wanted: () => string[];
  take: (roots: string[]) => void;
  tell: (line: string) => void;
}

/** Many changes at once are one, ms. */
const burstMs = 100;
/** Whoever deletes may still be at it, ms. */
const sweepMs = 500;
/** Where the list cannot be written it is tried again so often, ms. */
const againMs = 30_000;

export function followList({ clock, wanted, take, tell }: ListPorts): List {
  const over = new AbortController();
  const clones = new Map<string, string>();
  let list: Registered | null = null;
  let reading = Promise.resolve();
  let mending: Promise<void> | null = null;

  /** One after the other: what is handed over is the newest. */
  const inTurn = async (work: () => Promise<void>): Promise<void> => {
    const turn = reading.then(work);
    reading = turn.catch(() => undefined); // told to whoever asked for it
    await turn;
  };
  const read = async (): Promise<Registered> => {
    list = await registered();
    for (const file of list.damaged) tell(`⚠ A damaged entry of the list of projects was set aside as ${file}.`);
    for (const [root, clone] of list.clones) clones.set(root, clone);
    return list;
  };
  /** What is watched, and is not in the list any more under this name or, moved, under another. */
  const missingIn = ({ roots, clones: of }: Registered): string[] => {
    const listed = new Set([...roots, ...of.values()]);
    return wanted().filter((root) => !listed.has(root) && !listed.has(clones.get(root) ?? ''));
  };
  const look = async (): Promise<void> =>
    await inTurn(async () => {
      const found = await read();
      const missing = missingIn(found);
      take([...found.roots, ...missing]);
      if (missing.length > 0) mending ??= mend().finally(() => (mending = null));
    });
  const mend = async (): Promise<void> => {
    let told = '';
    for (let waitMs = sweepMs; !over.signal.aborted; waitMs = againMs) {
      await clock.sleep(waitMs, over.signal).catch(() => undefined); // only aborted
      if (over.signal.aborted) return;
      try {
        return await inTurn(putBack);
      } catch (error) {
        const { message } = error as Error;
        if (message !== told) tell(`⚠ The list of projects cannot be written, and all are watched on: ${message}`);
        told = message;
      }
    }
  };
  const putBack = async (): Promise<void> => {
    const missing = missingIn(await read());
    for (const root of missing) await register(root, clones.get(root));
    if (missing.length > 0)
      tell(
        `⚠ ${counted(missing.length, 'project')} had been deleted from the list of projects, and not by \`oxenvcs remove\`: watched on, and in the list again.`,
      );
  };

  let deafen: (() => void) | null = null;
  return {
    now: async () => list ?? (await registered()),
    follow: async () => {
      const changed = () => void look().catch((error: unknown) => tell(`⚠ ${asFailure(error).message}`));
      deafen = onChanges(registryFolder(), changed);
      await look();
    },
    look: async () => {
      if (deafen !== null) await look();
    },
    // Whoever leaves it has taken it out; by now it may have been put back.
    leave: async (root) => await inTurn(async () => await unregister(root)),
    stop() {
      over.abort();
      deafen?.();
    },
  };
}

/** Calls `changed` after each change in a folder, also when that was deleted and made anew. Gives what ends it. */
function onChanges(folder: string, changed: () => void): () => void {
  let due: NodeJS.Timeout | undefined;
  let watcher: { close: () => void } | null = null;
  const soon = () => {
    due ??= setTimeout(() => {
      due = undefined;
      changed();
    }, burstMs);
  };
  const attach = () => {
    watcher?.close();
    watcher = null;
    try {
      watcher = watch(folder, soon).on('error', () => undefined);
    } catch {
      // It is gone, and is told of when it is back; or the system is out of watches, and whoever changes it says so.
    }
  };
  attach();
  const deafen = listenIn(path.dirname(folder), [path.basename(folder)], () => {
    attach();
    soon();
  });
  return () => {
    deafen();
    watcher?.close();
    clearTimeout(due);
  };
}
