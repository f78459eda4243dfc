import { onTestFinished } from 'vitest';
import { runDaemon } from '../../src/daemon/run.ts';
import { systemClock } from '../../src/system/clock.ts';

/** The background process in the process of the test, for the places and settings in its environment; `stop` tells it to end. */
export function daemonHere() {
  const said: string[] = [];
  const stop = new AbortController();
  const program = { version: '1.2.3', file: import.meta.filename };
  const ended = runDaemon({ program, clock: systemClock, signal: stop.signal, say: (line) => said.push(line) });
  onTestFinished(async () => {
    stop.abort();
    await ended;
  });
  return { said, stop, ended };
}
