import * as fs from 'node:fs/promises';
import { ifMissing } from './disk.ts';
import { run } from './process.ts';

/** Numbers of statfs(2) on Linux. */
const linuxNetworks: Record<number, string> = {
  0x6969: 'NFS',
  0x517b: 'SMB',
  0xfe534d42: 'SMB',
  0xff534d42: 'SMB',
  0x01021997: '9p',
  0x5346414f: 'AFS',
  0x00c36400: 'Ceph',
  // sshfs, rclone and other drives that a program of the user's makes.
  0x65735546: 'FUSE',
};

/** The kind of a network file system by its number on Linux; null: it is a disk of this computer. Pure. */
export const linuxNetwork = (type: number): string | null => linuxNetworks[type >>> 0] ?? null;

/** The same from what `mount` says on a Mac: `//ann@nas/music on /Volumes/music (smbfs, nodev, …)`. Pure. */
export function macNetwork(mounts: string, folder: string): string | null {
  const found = mounts
    .split('\n')
    .flatMap((line) => {
      const [, at, kind] = / on (\/.*) \((\w+)[,)]/.exec(line) ?? [];
      return at !== undefined && kind !== undefined ? [{ at, kind }] : [];
    })
    .filter(({ at }) => folder === at || folder.startsWith(at === '/' ? '/' : `${at}/`))
    .toSorted((a, b) => b.at.length - a.at.length)[0];
  const kinds: Record<string, string> = {
    smbfs: 'SMB',
    nfs: 'NFS',
    afpfs: 'AFP',
    webdav: 'WebDAV',
    macfuse: 'FUSE',
    osxfuse: 'FUSE',
  };
  return kinds[found?.kind ?? ''] ?? null;
}

/** What kind of network drive a folder lies on; null: none, or it cannot be told. */
export async function networkDrive(
  folder: string,
  platform: NodeJS.Platform = process.platform,
): Promise<string | null> {
  if (platform === 'win32') return /^[\\/]{2}[^\\/.?]/.test(folder) ? 'SMB' : null;
  if (platform === 'darwin') {
    const mounts = await run('mount', [], { cwd: '/', env: { ...process.env, LC_ALL: 'C' }, timeoutMs: 5000 });
    return macNetwork(mounts.stdout.toString('utf8'), folder);
  }
  return linuxNetwork((await fs.statfs(folder).catch(ifMissing(null)))?.type ?? 0);
}
