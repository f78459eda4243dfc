import type { ProjectState } from '../control/protocol.ts';
import type { Clock } from '../system/clock.ts';
import { tend, type TendEvent, type WatchProject } from './tend.ts';

export interface Supervisor {
  /** These are the projects now: new ones are begun, others are let go. */
  tendTo(roots: readonly string[]): void;
  /** Lets go of a project; resolves when nothing of it is in use any more. */
  forget(root: string): Promise<void>;
  /** The same, until the signal is aborted. */
  lend(root: string, until: AbortSignal): Promise<void>;
  states(): ProjectState[];
  /** Ends all, side by side. */
  stop(): Promise<void>;
}

export interface SupervisorPorts {
  clock: Clock;
  watchProject: WatchProject;
  tell: (root: string, event: TendEvent) => void;
}

interface Tended {
  state: ProjectState;
  stop: AbortController;
  done: Promise<void>;
}

/** Watches many projects side by side: what happens to one is nothing to the others. */
export function supervise({ clock, watchProject, tell }: SupervisorPorts): Supervisor {
  const tended = new Map<string, Tended>();
  const lent = new Map<string, number>();
  let wanted = new Set<string>();
  let stopped = false;

  const begin = (root: string): void => {
    if (stopped || tended.has(root) || lent.has(root)) return;
    const stop = new AbortController();
    const one: Tended = { state: { project: root, state: 'watched', detail: '' }, stop, done: Promise.resolve() };
    one.done = tend(root, {
      clock,
      signal: stop.signal,
      watchProject,
      tell: (event) => tell(root, event),
      become: (state) => {
        one.state = { project: root, ...state };
      },
    });
    tended.set(root, one);
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
      for (const root of wanted) begin(root);
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
    async stop() {
      stopped = true;
      await Promise.all([...tended.keys()].map(end));
    },
  };
}
