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
  const options = `-o ControlMaster=auto -o ControlPath=${socket} -o ControlPersist=${idleSeconds}`;
  try {
    return await work({ GIT_SSH_COMMAND: `${await sshCommand(root)} ${options}` });
  } finally {
    await close(socket);
  }
}

/** Null: it is not to be shared, or cannot be. */
async function socketFor(root: string, url: string): Promise<string | null> {
  const settings = await sshSettings(root, url);
  if (settings === null) return null;
  if (settings.get('controlmaster') !== 'false' || settings.has('controlpath')) return null;
  for (const folder of folders()) {
    // Blanks would need quotes within quotes, and a percent sign means something to ssh.
    const socket = path.join(folder, `ssh-${randomBytes(6).toString('hex')}`);
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
