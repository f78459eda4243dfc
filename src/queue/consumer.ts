import * as fs from 'node:fs/promises';
import path from 'node:path';
import lockfile from 'proper-lockfile';
import { Failure } from '../model/failures.ts';
import type { Project } from '../project/project.ts';

/**
 * Runs `work` as the only consumer of the queue on this machine. Throws `busy` while another process publishes for
 * longer than `patienceMs`. The signal is aborted if the right is lost (a machine that slept past the stale time): two
 * consumers at once would only repeat each other's work, since publishing twice is the same as once.
 */
export async function asConsumer<T>(
  project: Project,
  patienceMs: number,
  work: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  const folder = path.join(project.root, '.oxenvcs', 'state');
  await fs.mkdir(folder, { recursive: true });
  const compromised = new AbortController();
  const release = await lockfile
    .lock(folder, {
      lockfilePath: path.join(folder, 'consumer.lock'),
      // proper-lockfile touches the lock every `update` ms; three missed touches make it stale.
      stale: 6000,
      update: 2000,
      retries: { retries: Math.ceil(patienceMs / 200), factor: 1, minTimeout: 200, maxTimeout: 200 },
      onCompromised: (error) => compromised.abort(error),
    })
    .catch((cause: NodeJS.ErrnoException) => {
      if (cause.code === 'ELOCKED')
        throw new Failure('busy', { detail: 'Another process of this project is publishing' }, cause);
      throw cause;
    });
  try {
    return await work(compromised.signal);
  } finally {
    if (!compromised.signal.aborted) await release();
  }
}
