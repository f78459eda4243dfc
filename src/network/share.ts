import { randomBytes } from 'node:crypto';
import * as fs from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { exists } from '../system/disk.ts';
import { run } from '../system/process.ts';
import { isSsh, sshCommand, sshSettings } from './ssh.ts';

/**
 * Over ssh each call of git makes a connection of its own: some eight times there and back, and two processes that agree on a
 * key. What follows each other goes through one instead (OpenSSH's ControlMaster), opened by the first of them.
 */

/** The environment of git that has it use the shared connection. */
export type Connection = Record<string, string>;

/** Nobody may be left with an open connection by a process that was killed: it ends when it was not used for so long, s. */
const idleSeconds = 60;
/** `sun_path` holds 104 bytes on a Mac; ssh first makes it under a name that is 17 longer. */
const longest = 104 - 18;

/**
 * Runs `work` with one connection for all that it does with the remote; closed at the end. Without one (no difference but the time it takes)
 * where the remote is not reached by OpenSSH, on Windows, whose OpenSSH cannot do it, and where the user shares connections already.
 */
export async function withSharedConnection<T>(
  { root, remote: { url } }: { root: string; remote: { url: string } },
  work: (connection: Connection) => Promise<T>,
): Promise<T> {
  const socket = process.platform !== 'win32' && isSsh(url) ? await socketFor(root, url) : null;
  if (socket === null) return await work({});
  try {
    return await work({ GIT_SSH_COMMAND: `${await sshCommand(root)} ${through(socket, idleSeconds)}` });
  } finally {
    await close(socket);
  }
}

/** While somebody works at a project it is looked at the remote each minute, s; and so late it is noticed that its other end is gone, s. */
const [standingSeconds, aliveSeconds] = [90, 20];

/** Connections for those who look again and again, by the program with its arguments and the address. */
const standing = new Map<string, { socket: string; users: number }>();

export interface Standing {
  /**
   * The ssh program with its arguments, for a shell; the address is to follow. `broken`: what comes next takes a new connection.
   * Null: nowhere is it out of reach for others.
   */
  use: () => Promise<{ command: string; broken: () => Promise<void> } | null>;
  /** The last who leaves closes it. */
  leave: () => Promise<void>;
}

/**
 * One connection for all in this process that look at the same place (`[user@]host`) from time to time. The first look opens it; ssh
 * closes it when nobody has looked for a while. Null where `withSharedConnection` does without.
 */
export async function standingConnection(root: string, to: string, port?: string): Promise<Standing | null> {
  if (process.platform === 'win32') return null;
  const program = `${await sshCommand(root)}${port === undefined ? '' : ` -p ${port}`}`;
  const key = `${program} ${to}`;
  const first = standing.has(key) ? null : await socketFor(root, `ssh://${to}/`);
  const one = standing.get(key) ?? (first === null ? null : { socket: first, users: 0 });
  if (one === null) return null;
  standing.set(key, one);
  one.users += 1;
  return {
    async use() {
      const { socket } = one;
      const folder = path.dirname(socket);
      if (!(await isOurs(folder))) return null;
      const alive = `-o ServerAliveInterval=${aliveSeconds} -o ServerAliveCountMax=2`;
      return {
        command: `${program} ${through(socket, standingSeconds)} ${alive}`,
        async broken() {
          if (one.socket === socket) one.socket = path.join(folder, newName());
          await close(socket);
        },
      };
    },
    async leave() {
      one.users -= 1;
      if (one.users > 0) return;
      standing.delete(key);
      await close(one.socket);
    },
  };
}

const through = (socket: string, seconds: number): string =>
  `-o ControlMaster=auto -o ControlPath=${socket} -o ControlPersist=${seconds}`;

const newName = (): string => `ssh-${randomBytes(6).toString('hex')}`;

/** Null: it is not to be shared, or cannot be. */
async function socketFor(root: string, url: string): Promise<string | null> {
  const settings = await sshSettings(root, url);
  if (settings === null) return null;
  if (settings.get('controlmaster') !== 'false' || settings.has('controlpath')) return null;
  for (const folder of folders()) {
    // Blanks would need quotes within quotes, and a percent sign means something to ssh.
    const socket = path.join(folder, newName());
    if (/^[\w./+-]+$/.test(socket) && Buffer.byteLength(socket) <= longest && (await isOurs(folder))) return socket;
  }
  return null;
}

function folders(): string[] {
  const { XDG_RUNTIME_DIR: runtime } = process.env;
  const own = `oxenvcs-${process.getuid?.() ?? 'user'}`;
  return [...(runtime ? [path.join(runtime, 'oxenvcs')] : []), path.join(os.tmpdir(), own), path.join('/tmp', own)];
}

/** A folder that nobody else can reach: who can open the socket can push as its owner. */
async function isOurs(folder: string): Promise<boolean> {
  await fs.mkdir(folder, { mode: 0o700 }).catch(() => undefined);
  const stat = await fs.lstat(folder).catch(() => null);
  return stat?.isDirectory() === true && stat.uid === process.getuid?.() && (stat.mode & 0o077) === 0;
}

async function close(socket: string): Promise<void> {
  if (!(await exists(socket))) return;
  const call = { cwd: os.tmpdir(), env: process.env, timeoutMs: 5000 };
  // Should it not hear it ends by itself.
  await run('ssh', ['-F', '/dev/null', '-o', `ControlPath=${socket}`, '-O', 'exit', 'shared'], call).catch(() => null);
}
