import { gitFailure } from '../git/failures.ts';
import { redact, tryGit } from '../git/run.ts';
import type { Failure } from '../model/failures.ts';
import { type Clock, isoTime, systemClock } from '../system/clock.ts';
import { away, type RemoteOf } from './away.ts';
import { reasonOf } from './tries.ts';

/** Can the project's own remote be used now? As `net check --json` gives it. */
export interface Connectivity {
  /**
   * `online`: it answers as a Git server (also one that refuses the credentials: the network is there) · `offline`: it does
   * not answer, or asks to be left alone · `unknown`: something answers, but it cannot be told whether that is the remote.
   */
  state: 'online' | 'offline' | 'unknown';
  /** The address, without credentials; null: the project has no remote. */
  remote: string | null;
  /** From the question to the answer, ms. */
  latencyMs: number | null;
  checkedAt: string;
  /** Why it is not simply online. */
  reason: string | null;
}

export interface Asked {
  connectivity: Connectivity;
  failure: Failure | null;
}

/** Whoever asks waits less than 5 s, the start of git and ssh included, ms. */
const answerMs = 4000;

/**
 * Asks the remote itself, with the same git, ssh and proxy settings as everything else that goes there: one small question
 * (the published branch), bounded in time. Those who ask at the same moment share one connection.
 */
export async function checkRemote(remote: RemoteOf, clock: Clock = systemClock): Promise<Asked> {
  const key = `${remote.root}\0${remote.remote.url}`;
  const asking = underWay.get(key) ?? ask(remote, clock).finally(() => underWay.delete(key));
  underWay.set(key, asking);
  return await asking;
}

const underWay = new Map<string, Promise<Asked>>();

async function ask(of: RemoteOf, clock: Clock): Promise<Asked> {
  const { root, branch, remote } = of;
  const { url } = remote;
  const checkedAt = isoTime(clock.now());
  if (url === null) {
    const reason = 'the project has no remote';
    return { connectivity: { state: 'unknown', remote: null, latencyMs: null, checkedAt, reason }, failure: null };
  }
  const started = clock.monotonic();
  // `--heads`: the list of all refs may be long.
  const args = ['-c', 'protocol.version=2', 'ls-remote', '--heads', '--quiet', '--', url, `refs/heads/${branch}`];
  const result = await tryGit(root, args, { timeoutMs: answerMs });
  const failure = result.exitCode === 0 ? null : await away(gitFailure(result, args, redact(url), root), of);
  const state = failure === null ? 'online' : stateOf(failure);
  const latencyMs = state === 'online' ? Math.round(clock.monotonic() - started) : null;
  const reason = failure === null ? null : reasonOf(failure);
  return { connectivity: { state, remote: redact(url), latencyMs, checkedAt, reason }, failure };
}

/** What the failure of a question to the remote says of the network. */
export function stateOf({ row, code }: Failure): Connectivity['state'] {
  if (code === 'OFFLINE') return 'offline';
  // A changed host key, or a proxy's no, may be anybody's answer.
  return row === 'auth' ? 'online' : 'unknown';
}
