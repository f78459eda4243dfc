import { createHash } from 'node:crypto';
import os from 'node:os';
import path from 'node:path';
import * as v from 'valibot';
import { readText } from '../system/disk.ts';
import { dataFolder } from '../system/places.ts';

/**
 * Where the background process is found. What decides is in the user's data folder, which all processes of a user agree
 * on: a login over ssh has no XDG_RUNTIME_DIR where the desktop has one. So the record there names the socket.
 */

export const daemonFolder = (): string => path.join(dataFolder(), 'daemon');
export const recordFile = (): string => path.join(daemonFolder(), 'daemon.json');
/** What it says before it has a log, and when it dies. */
export const outputFile = (): string => path.join(daemonFolder(), 'output.log');
export const logFile = (): string => path.join(daemonFolder(), 'daemon.log');

const Record = v.object({
  v: v.literal(1),
  pid: v.number(),
  /** Told again by whoever answers at the socket: then it is this very process. */
  token: v.string(),
  socket: v.string(),
});
export type DaemonRecord = v.InferOutput<typeof Record>;

/** The process that was the last to call itself the background process, which may have ended. A damaged record is none. */
export async function readDaemonRecord(): Promise<DaemonRecord | null> {
  const text = await readText(recordFile());
  if (text === null) return null;
  try {
    return v.parse(Record, JSON.parse(text));
  } catch {
    return null; // it is written anew at the next start
  }
}

/** `sun_path` holds 104 bytes on a Mac, 108 on Linux: longer ones are cut or refused. */
const longest = 100;

/**
 * Folders that may hold the socket, best first. Systems tidy their temporary folders now and then; the data folder is
 * only passed over where its path is too long.
 */
export function socketFolders(
  env: { [name: string]: string | undefined } = process.env,
  data = dataFolder(),
  temporary = os.tmpdir(),
  user: string | number = process.getuid?.() ?? 'user',
): string[] {
  const runtime = env['XDG_RUNTIME_DIR'];
  return [
    ...(runtime ? [path.join(runtime, 'oxenvcs')] : []),
    path.join(data, 'daemon'),
    path.join(temporary, `oxenvcs-${user}`),
    path.join('/tmp', `oxenvcs-${user}`),
  ].filter((folder) => Buffer.byteLength(path.join(folder, socketName(data, ''))) <= longest);
}

/** The socket's name in its folder: one for each data folder, and another at each start. */
export const socketName = (data: string, token: string): string =>
  `${hashOf(data)}-${token.slice(0, 8).padEnd(8, '0')}.sock`;

/** The named pipe of Windows, where no folder is needed. */
export const pipeName = (data: string, token: string): string => `\\\\.\\pipe\\oxenvcs-${hashOf(data)}-${token}`;

const hashOf = (text: string): string => createHash('sha256').update(text).digest('hex').slice(0, 12);
