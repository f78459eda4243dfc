import { randomUUID } from 'node:crypto';
import * as fs from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { tryGit } from '../git/run.ts';
import type { Project } from '../project/project.ts';
import { syncService } from '../setup/synced.ts';
import { exists, ifMissing } from '../system/disk.ts';
import { run } from '../system/process.ts';
import { type Check, good, problem, remark } from './check.ts';

/** What the disk of the project is like: room, names, where it really lies. */
export async function fileSystemChecks(project: Project): Promise<Check[]> {
  const { root } = project;
  return [await room(project), ...(await names(project)), await place(root)];
}

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

async function room({ root, gitDir, config }: Project): Promise<Check> {
  const { bavail, bsize } = await fs.statfs(gitDir);
  const free = bavail * bsize;
  const { reserveBytes } = config.disk;
  if (free >= reserveBytes) return good('disk', `${gigabytes(free)} free`);
  return problem(
    'disk',
    `only ${gigabytes(free)} free where ${root} is kept`,
    `Make room: ${gigabytes(reserveBytes)} are to stay free for recordings (disk.reserveBytes).`,
  );
}

const gigabytes = (bytes: number): string => `${(bytes / 2 ** 30).toFixed(1)} GiB`;

/** Are `A` and `a`, and the two ways to write `ä`, one name here? Git has to know the first. */
async function names({ root }: Project): Promise<Check[]> {
  const folder = path.join(root, '.oxenvcs', 'state');
  const id = randomUUID();
  const file = path.join(folder, `Ä-${id}.tmp`.normalize('NFC'));
  try {
    await fs.mkdir(folder, { recursive: true });
    await fs.writeFile(file, '');
    const ignoresCase = await exists(path.join(folder, `Ä-${id}.TMP`.normalize('NFC')));
    const ignoresForm = await exists(path.join(folder, `Ä-${id}.tmp`.normalize('NFD')));
    const asked = await tryGit(root, ['config', '--type=bool', '--get', 'core.ignoreCase']);
    const known = asked.stdout.toString('utf8').trim() === 'true';
    const traits = `${ignoresCase ? 'A and a are one name' : 'A and a are two names'}; ${ignoresForm ? 'one' : 'two'} for the two ways to write ä`;
    if (known === ignoresCase) return [good('names', traits)];
    return [
      problem(
        'names',
        `${traits}, but Git thinks otherwise: the project was moved to another kind of disk`,
        `Run \`git config core.ignoreCase ${ignoresCase}\`.`,
        async () => await tryGit(root, ['config', '--local', 'core.ignoreCase', String(ignoresCase)]),
      ),
    ];
  } catch (error) {
    return [
      problem(
        'names',
        `the project folder cannot be written to: ${(error as Error).message}`,
        'Change the rights of the folder.',
      ),
    ];
  } finally {
    await fs.rm(file, { force: true }).catch(() => undefined); // told above
  }
}

async function place(root: string): Promise<Check> {
  const service = await syncService(root, os.homedir());
  const isInside = (await fs.lstat(path.join(root, '.git')).catch(ifMissing(null)))?.isDirectory() ?? false;
  if (service !== null && isInside)
    return problem(
      'place',
      `${service} syncs this folder, with the Git data in it, and can damage them`,
      'Close everything that uses the project, then move the Git data out with `git init --separate-git-dir FOLDER`.',
    );
  const drive = await networkDrive(root);
  if (drive !== null)
    return remark(
      'place',
      `the project lies on a network drive (${drive}): saves from other computers are not told, so it is looked at from time to time`,
      'Work on a disk of this computer, and share over the remote.',
    );
  return good(
    'place',
    service === null ? 'a disk of this computer' : `synced by ${service}; its Git data lies outside`,
  );
}
