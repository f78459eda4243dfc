import os from 'node:os';
import type { Written } from '../git/progress.ts';
import { remoteKey as keyOf } from '../git/redact.ts';
import type { Config } from '../model/config.ts';
import { Failure } from '../model/failures.ts';
import { committer, type Project, remoteUrl } from '../project/project.ts';
import { type Clock, systemClock } from '../system/clock.ts';
import { cloneIdentity } from './clone.ts';
import { type Owner, printable } from './record.ts';

/** All that an operation on the lock needs to know. */
export interface LockContext {
  root: string;
  gitDir: string;
  /** The published branch, which the lock is for. */
  branch: string;
  /** The configured remote: its name, for tracking refs, and its address. */
  remote: { name: string; url: string };
  /** This clone. */
  owner: Owner;
  /** The id that this folder had before it was moved or copied, or on another computer; null: none. */
  former: string | null;
  settings: Pick<Config, 'lock' | 'network' | 'push'>;
  clock: Clock;
  signal?: AbortSignal;
  /** For all that talks to the remote: one connection that it shares (network/share.ts). */
  connection?: Record<string, string>;
  /** Told of each push how much of it is written, as it goes. */
  onWritten?: (written: Written) => void;
}

/** Throws `remote-misconfigured` where the project has no such remote. */
export async function lockContext(
  project: Project,
  clock: Clock = systemClock,
  signal?: AbortSignal,
): Promise<LockContext> {
  const { root, gitDir, config } = project;
  const [url, who, clone] = await Promise.all([remoteUrl(project), committer(project), cloneIdentity(project)]);
  if (url === null)
    throw new Failure('remote-misconfigured', {
      remote: config.remote,
      detail: 'the project has no remote of that name',
    });
  return {
    root,
    gitDir,
    branch: config.branch,
    remote: { name: config.remote, url },
    owner: {
      name: printable(who.name, 100),
      email: printable(who.email, 160),
      host: printable(os.hostname(), 120),
      clone: clone.id,
    },
    former: clone.former,
    settings: { lock: config.lock, network: config.network, push: config.push },
    clock,
    ...(signal ? { signal } : {}),
  };
}

/** Tells remotes apart in our state files. */
export const remoteKey = ({ remote }: Pick<LockContext, 'remote'>): string => keyOf(remote.url);
