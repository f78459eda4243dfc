import type { ProjectState } from '../control/protocol.ts';
import type { Clock } from '../system/clock.ts';
import { workFor } from './crashes.ts';
import { tend, type TendEvent, type TendPorts, type WatchProject } from './tend.ts';

export interface Supervisor {
  /** These are the projects now: new ones are begun, others are let go. */
  tendTo(roots: readonly string[]): void;
  /** Lets go of a project; resolves when nothing of it is in use any more. */
  forget(root: string): Promise<void>;
  /** The same, until the signal is aborted. */
  lend(root: string, until: AbortSignal): Promise<void>;
  states(): ProjectState[];
  /** Those that are to be tended, whatever becomes of them. */
  wanted(): string[];
  /** Something of a project was thrown where nobody could catch it: it is begun anew. */
  crashed(root: string, error: unknown): void;
  /** Ends all, side by side. */
  stop(): Promise<void>;
}

export interface SupervisorPorts {
  clock: Clock;
  watchProject: WatchProject;
  seek: TendPorts['seek'];
  tell: (root: string, event: TendEvent) => void;
}

interface Tended {
  state: ProjectState;
  stop: AbortController;
  done: Promise<void>;
  breakOff: (error: unknown) => void;
}

/** Between the beginnings of many projects, ms: each starts a dozen processes. */
const apartMs = 30;

/** Watches many projects side by side: what happens to one is nothing to the others. */
export function supervise({ clock, watchProject, seek, tell }: SupervisorPorts): Supervisor {
  const tended = new Map<string, Tended>();
  const lent = new Map<string, number>();
  let wanted = new Set<string>();
  let stopped = false;

  /** Is it begun by this? */
  const begin = (root: string, afterMs = 0): boolean => {
    if (stopped || tended.has(root) || lent.has(root)) return false;
    const stop = new AbortController();
    const { signal } = stop;
    const state: ProjectState = { project: root, state: 'watched', detail: '' };
    const one: Tended = { state, stop, done: Promise.resolve(), breakOff: () => undefined };
    const ports: TendPorts = {
      clock,
      signal,
      watchProject,
      seek,
      tell: (event) => tell(root, event),
      become: (now) => {
        one.state = { project: root, ...now };
      },
      onBegin: (breakOff) => {
        one.breakOff = breakOff;
      },
    };
    one.done = workFor(root, async () => {
      await clock.sleep(afterMs, signal).catch(() => undefined); // only aborted
      await tend(root, ports);
    });
    tended.set(root, one);
    return true;
  };

  const end = async (root: string): Promise<void> => {
    const one = tended.get(root);
    if (one === undefined) return;
    one.stop.abort(new Error('it is let go'));
    await one.done;
    if (tended.get(root) === one) tended.delete(root);
    // Asked for again meanwhile.
    if (wanted.has(root)) begin(root);
  };

  return {
    tendTo(roots) {
      wanted = new Set(roots);
      let begun = 0;
      for (const root of wanted) if (begin(root, begun * apartMs)) begun += 1;
      for (const root of tended.keys()) if (!wanted.has(root)) void end(root);
    },
    async forget(root) {
      wanted.delete(root);
      await end(root);
    },
    async lend(root, until) {
      lent.set(root, (lent.get(root) ?? 0) + 1);
      until.addEventListener('abort', () => {
        const left = (lent.get(root) ?? 1) - 1;
        if (left > 0) return void lent.set(root, left);
        lent.delete(root);
        if (wanted.has(root)) begin(root);
      });
      await end(root);
    },
    states() {
      const away = [...lent.keys()]
        .filter((root) => wanted.has(root))
        .map((root) => ({ project: root, state: 'lent' as const, detail: 'watched in the foreground' }));
      return [...[...tended.values()].map(({ state }) => state), ...away].toSorted((a, b) =>
        a.project < b.project ? -1 : 1,
      );
    },
    wanted: () => [...wanted],
    crashed(root, error) {
      tended.get(root)?.breakOff(error);
    },
    async stop() {
      stopped = true;
      await Promise.all([...tended.keys()].map(end));
    },
  };
}
