import type { Failure } from '../model/failures.ts';
import { asFailure } from '../model/failures.ts';
import { hearByHand } from '../project/by-hand.ts';
import { pauseOf } from '../project/pause.ts';
import { loadConfig, type Project } from '../project/project.ts';
import type { Clock } from '../system/clock.ts';

export interface OrderPorts {
  clock: Clock;
  signal: AbortSignal;
  /** Something was done with git by hand, or the settings were written. */
  files: () => void;
  /** What is known of the lock has changed. */
  lock: () => void;
  /** The settings as they are now do not hold: the former ones stay in force. */
  trouble: (failure: Failure) => void;
}

export interface Orders {
  /** Aborted: the watch has to begin anew, for it was paused, or its settings are others now. */
  anew: AbortSignal;
  stop: () => void;
}

/** Settings that an editor is still writing are not looked at yet, ms. */
const settleMs = 1000;

/** Hears what a running watch is told by other processes, and by the settings. */
export function hearOrders(project: Project, { clock, signal, files, lock, trouble }: OrderPorts): Orders {
  const anew = new AbortController();
  const inForce = JSON.stringify(project.config);
  let looking = false;

  const lookAtPause = async (): Promise<void> => {
    if ((await pauseOf(project, clock.now())) !== null) anew.abort(new Error('paused'));
  };
  const lookAtSettings = async (): Promise<void> => {
    looking = true;
    await clock.sleep(settleMs, signal);
    looking = false;
    if (JSON.stringify(await loadConfig(project.root)) !== inForce) anew.abort(new Error('the settings have changed'));
  };
  const failed = (error: unknown): void => {
    if (!signal.aborted) trouble(asFailure(error));
  };

  const deafen = hearByHand(project, (what) => {
    if (what === 'lock') return lock();
    if (what === 'pause') return void lookAtPause().catch(failed);
    files();
    if (what === 'settings' && !looking) lookAtSettings().catch(failed);
  });
  return { anew: anew.signal, stop: deafen };
}
