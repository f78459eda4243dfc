import path from 'node:path';
import { Failure } from './model/failures.ts';
import { untilOnlineOr } from './network/comeback.ts';
import { checkRemote, type Connectivity } from './network/connectivity.ts';
import { NetworkOperation as Operation } from './network/operation.ts';
import type { OnRetry, RetryPolicy, RetryPorts, Try } from './network/retry.ts';
import { noteTry } from './network/tries.ts';
import { findProject, type Project, remoteOf } from './project/project.ts';
import { systemClock } from './system/clock.ts';

/**
 * The public interface of the package: what oxenvcs puts around everything that needs the network, for programs of your
 * own.
 *
 *     import { NetworkOperation, RetryPolicy, waitForConnectivity } from 'oxenvcs';
 *
 *     await waitForConnectivity(60_000, 5_000, { dir: '/path/to/My Song' });
 *     const policy = new RetryPolicy({ maxRetries: 3, initialMs: 500, maxMs: 10_000 });
 *     await NetworkOperation('upload stems', async (attempt, signal) => await upload(signal)).withPolicy(policy).execute();
 */

export { type Code, type Details, Failure, type FailureName } from './model/failures.ts';
export type { Connectivity } from './network/connectivity.ts';
export { type OnRetry, type RetryOptions, RetryPolicy, type RetryPorts, type Try } from './network/retry.ts';
export type { Clock } from './system/clock.ts';

export interface InProject {
  /** A folder in the project that is meant (default: the current folder). */
  dir?: string;
}

/**
 * Asks the project's own remote, by its own protocol and through the user's own proxy settings, whether it can be used now;
 * the answer is there in less than 5 s. Throws the Failures `not-a-project`, `config-invalid`, `no-git`.
 */
export async function checkConnectivity({ dir = '.' }: InProject = {}): Promise<Connectivity> {
  const project = await findProject(path.resolve(dir));
  return (await checkRemote(await remoteOf(project))).connectivity;
}

/**
 * Waits until the project's remote is online, at most `timeoutMs`, asking every `intervalMs` at the latest. All who wait in
 * one process for the same host share each question. Gives the last answer: see its `state`. Throws what
 * `checkConnectivity` throws; the signal's reason when aborted.
 */
export async function waitForConnectivity(
  timeoutMs: number,
  intervalMs: number,
  { dir = '.', signal }: InProject & { signal?: AbortSignal } = {},
): Promise<Connectivity> {
  const remote = await remoteOf(await findProject(path.resolve(dir)));
  return await untilOnlineOr(remote, timeoutMs, { intervalMs, clock: systemClock, ...(signal ? { signal } : {}) });
}

/** Something that needs the network: a connectivity check before each try, a retry policy around it, each try in `net stats`. */
export interface NetworkOperation<T> {
  /** The same operation under another policy than the usual `new RetryPolicy()`. */
  withPolicy(policy: RetryPolicy): NetworkOperation<T>;
  /** Throws what the last try threw; the Failure `offline` where the remote was not there; the signal's reason when aborted. */
  execute(): Promise<T>;
}

export interface OperationOptions extends InProject, RetryPorts {
  onRetry?: OnRetry;
}

interface Operations {
  /** `name`: as `net stats` lists it. Outside of a project there is no remote to ask, and nothing is kept. */
  <T>(name: string, fn: Try<T>, options?: OperationOptions): NetworkOperation<T>;
  new <T>(name: string, fn: Try<T>, options?: OperationOptions): NetworkOperation<T>;
}

export const NetworkOperation = function <T>(
  name: string,
  fn: Try<T>,
  { dir = '.', ...ports }: OperationOptions = {},
): NetworkOperation<T> {
  let found: Promise<Project | null> | null = null;
  const project = async () => await (found ??= findProject(path.resolve(dir)).catch(ifNoProject));
  return new Operation(name, fn, {
    ...ports,
    check: async () => {
      const around = await project();
      return around && (await checkRemote(await remoteOf(around)));
    },
    onTried: async (tried) => {
      const around = await project();
      const { root, remote } = around ? await remoteOf(around) : { root: '', remote: { url: null } };
      if (remote.url !== null) await noteTry(root, remote.url, tried);
    },
  });
} as unknown as Operations;

function ifNoProject(error: unknown): null {
  if (error instanceof Failure && error.code === 'NOT_A_PROJECT') return null;
  throw error;
}
