import * as fs from 'node:fs/promises';
import { createServer, type Server, type Socket } from 'node:net';
import path from 'node:path';
import { pipeName, socketFolders, socketName } from '../control/place.ts';
import { Failure } from '../model/failures.ts';
import { ifMissing } from '../system/disk.ts';
import { dataFolder } from '../system/places.ts';

/** The open socket of the background process. */
export interface Ear {
  /** What to connect to. */
  address: string;
  /** Takes no more connections, ends those that stand, and removes the socket. */
  close: () => Promise<void>;
}

/**
 * Opens the control socket, for this user only, in the first folder that takes one, under a name that is its own: whatever
 * lies there from before, ours or not, is in nobody's way. The socket of the process before this one is removed.
 * Throws `daemon-not-started` where no folder takes one.
 */
export async function listen(
  token: string,
  serve: (socket: Socket) => void,
  before: string | null,
  platform: NodeJS.Platform = process.platform,
): Promise<Ear> {
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    sockets.add(socket);
    socket.once('close', () => sockets.delete(socket)).on('error', () => undefined);
    serve(socket);
  });
  if (before !== null && platform !== 'win32') await removeSocket(before);
  const address =
    platform === 'win32' ? await open(server, pipeName(dataFolder(), token)) : await openInFolder(server, token);
  return {
    address,
    close: async () => {
      const closed = new Promise<void>((resolve) => server.close(() => resolve()));
      for (const socket of sockets) socket.destroy();
      await closed;
    },
  };
}

async function openInFolder(server: Server, token: string): Promise<string> {
  const reasons: string[] = [];
  for (const folder of socketFolders()) {
    const address = path.join(folder, socketName(dataFolder(), token));
    try {
      await makeOurs(folder);
      await open(server, address);
      await fs.chmod(address, 0o600);
      return address;
    } catch (error) {
      // Some file systems hold no sockets; a temporary folder may be somebody else's.
      reasons.push((error as Error).message);
    }
  }
  throw new Failure('daemon-not-started', { detail: `no folder takes its socket (${reasons.join('; ')})` });
}

/** A folder that only this user can enter. Throws where it is somebody else's, or a link. */
async function makeOurs(folder: string): Promise<void> {
  await fs.mkdir(folder, { recursive: true, mode: 0o700 });
  const stat = await fs.lstat(folder);
  if (!stat.isDirectory() || stat.uid !== process.getuid?.()) throw new Error(`${folder} is not ours`);
  await fs.chmod(folder, 0o700);
}

async function open(server: Server, address: string): Promise<string> {
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(address, () => {
      server.off('error', reject);
      resolve();
    });
  });
  return address;
}

/** Only ever a socket: the record may be of another time, or written by hand. */
async function removeSocket(address: string): Promise<void> {
  const stat = await fs.lstat(address).catch(ifMissing(null));
  if (stat?.isSocket()) await fs.rm(address, { force: true });
}
