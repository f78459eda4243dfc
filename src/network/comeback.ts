import type { Clock } from '../system/clock.ts';
import { localFolder, type RemoteOf } from './away.ts';
import { type Asked, checkRemote, type Connectivity } from './connectivity.ts';
import { askedMs, RetryPolicy } from './retry.ts';

/**
 * Waits for a remote that is away. Many may wait in one process (a daemon has many projects, each with things to do): one
 * question at a time goes out for all that wait for the same host, however many they are.
 */

export interface ComebackPorts {
  clock: Clock;
  signal: AbortSignal;
  /** The first question, ms from now; the next ones ever later… */
  firstMs: number;
  /** …up to this, ms: so late at the latest it is noticed that it is back. */
  intervalMs: number;
  ask?: (remote: RemoteOf, clock: Clock) => Promise<Asked>;
  /** Told of each answer. */
  onAsked?: (asked: Asked) => void;
}

export interface Comeback {
  asked: Asked;
  /** It was away when it was asked, and came back; else it was there all the time. */
  sawAway: boolean;
}

interface Waiter extends ComebackPorts {
  remote: RemoteOf;
  sawAway: boolean;
  /** Ends the waiting: it is back, or it cannot be asked (the project's folder is gone). */
  end: (comeback: Comeback | Error) => void;
}

interface Host {
  waiters: Set<Waiter>;
  /** Aborted when nobody waits any more. */
  deserted: AbortController;
}

const hosts = new Map<string, Host>();

/** Does anything in this process wait for that remote's host to come back? Then nothing else need ask it. */
export const isAway = (url: string): boolean => hosts.has(hostOf(url));

/** Resolves when the remote is online. Rejects with the signal's reason when aborted. */
export async function untilOnline(remote: RemoteOf, ports: ComebackPorts): Promise<Comeback> {
  const { signal } = ports;
  signal.throwIfAborted();
  const key = hostOf(remote.remote.url ?? remote.root);
  const known = hosts.get(key);
  const host = known ?? { waiters: new Set(), deserted: new AbortController() };
  hosts.set(key, host);
  return await new Promise((resolve, reject) => {
    const end = (comeback: Comeback | Error) => {
      signal.removeEventListener('abort', onAbort);
      host.waiters.delete(waiter);
      if (host.waiters.size === 0) {
        hosts.delete(key);
        host.deserted.abort();
      }
      if (comeback instanceof Error) reject(comeback);
      else resolve(comeback);
    };
    const onAbort = () => end(signal.reason as Error);
    const waiter: Waiter = { ...ports, remote, sawAway: false, end };
    signal.addEventListener('abort', onAbort);
    host.waiters.add(waiter);
    if (known === undefined) void askForAll(host);
  });
}

/** Asks at once, then waits until the remote is online, at most `timeoutMs`. Gives the last answer. */
export async function untilOnlineOr(
  remote: RemoteOf,
  timeoutMs: number,
  {
    clock,
    signal,
    intervalMs,
    ask = checkRemote,
  }: Omit<ComebackPorts, 'signal' | 'firstMs'> & { signal?: AbortSignal },
): Promise<Connectivity> {
  signal?.throwIfAborted();
  const started = clock.monotonic();
  let last = await ask(remote, clock);
  const leftMs = timeoutMs - (clock.monotonic() - started);
  if (last.connectivity.state === 'online' || leftMs <= 0) return last.connectivity;
  const over = new AbortController();
  const stop = signal === undefined ? over.signal : AbortSignal.any([signal, over.signal]);
  const timer = clock.sleep(leftMs, stop).then(
    () => over.abort(),
    () => undefined, // it is over already
  );
  const onAsked = (asked: Asked) => (last = asked);
  await untilOnline(remote, { clock, signal: stop, firstMs: intervalMs, intervalMs, ask, onAsked }).catch(
    (error: unknown) => {
      if (!over.signal.aborted) throw error;
    },
  );
  over.abort();
  await timer;
  return last.connectivity;
}

/** Never rejects: what goes wrong is told to the one that it went wrong for. */
async function askForAll({ waiters, deserted }: Host): Promise<void> {
  let patienceMs = 0;
  for (let question = 1; waiters.size > 0; question++) {
    const all = [...waiters];
    const initialMs = Math.min(...all.map(({ firstMs }) => firstMs));
    const maxMs = Math.min(...all.map(({ intervalMs }) => intervalMs));
    const delayMs = Math.max(patienceMs, new RetryPolicy({ initialMs, maxMs }).delay(question));
    await all[0]?.clock.sleep(delayMs, deserted.signal).catch(() => undefined); // only aborted
    patienceMs = await askOnce(waiters);
  }
}

/** Asks for the first; where its host answers, but not as this one's remote, each of the others has to ask for itself. */
async function askOnce(waiters: Set<Waiter>): Promise<number> {
  const left = new Set(waiters);
  for (const waiter of left) {
    if (!waiters.has(waiter)) continue;
    const asked = await (waiter.ask ?? checkRemote)(waiter.remote, waiter.clock).catch((error: Error) => error);
    if (asked instanceof Error) {
      waiter.end(asked);
      continue;
    }
    const { state } = asked.connectivity;
    if (state === 'unknown') {
      waiter.sawAway = true;
      waiter.onAsked?.(asked);
    } else {
      for (const one of left) {
        one.onAsked?.(asked);
        if (state === 'online' && waiters.has(one)) one.end({ asked, sawAway: one.sawAway });
        one.sawAway = true;
      }
      return askedMs(asked.failure) ?? 0;
    }
    left.delete(waiter);
  }
  return 0;
}

/** What is reached or not as one: the host of an address, or a folder. */
export function hostOf(url: string): string {
  const folder = localFolder(url);
  if (folder !== null) return folder;
  const [, scheme = '', host = ''] = /^([a-z][\w+.-]*):\/\/(?:[^/@]*@)?([^/]*)/i.exec(url) ?? [];
  if (host !== '') return `${scheme}://${host}`.toLowerCase();
  // As ssh has it: `git@band.example:song.git`.
  const [, short = url] = /^(?:[^/@:]*@)?([^/:]+):/.exec(url) ?? [];
  return `ssh://${short}`.toLowerCase();
}
