import { execFileSync, spawnSync } from 'node:child_process';
import * as fs from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { onTestFinished } from 'vitest';
import { sandbox } from './sandbox.ts';

/** A folder on a small disk in memory, of at least so many bytes; gone when the test is over. Fill it up with `fillUp`. */
export async function smallDisk(bytes: number): Promise<string> {
  const dir = await sandbox();
  if (process.platform === 'darwin') return ramDisk(dir, bytes);
  if (mounted('env', [], dir, bytes) || mounted('sudo', ['--non-interactive'], dir, bytes)) return dir;
  return await inSharedMemory();
}

/** Fills a disk to the last byte; gives the file that must go for there to be room again. */
export async function fillUp(dir: string): Promise<string> {
  const file = path.join(dir, 'filler');
  const handle = await fs.open(file, 'a');
  try {
    // Ever smaller pieces, until not one byte fits.
    for (let size = 65_536; size >= 1; ) {
      const written = await handle.write(Buffer.alloc(size)).catch((error: NodeJS.ErrnoException) => {
        if (error.code !== 'ENOSPC') throw error;
        return { bytesWritten: 0 };
      });
      if (written.bytesWritten < size) size = Math.floor(size / 2);
    }
  } finally {
    await handle.close();
  }
  return file;
}

/** As root, or where root may be had without a password, as on the machines of CI services. */
function mounted(through: string, flags: string[], dir: string, bytes: number): boolean {
  const { uid, gid } = os.userInfo();
  const size = `size=${bytes},uid=${uid},gid=${gid}`;
  if (spawnSync(through, [...flags, 'mount', '-t', 'tmpfs', '-o', size, 'oxenvcs-test', dir]).status !== 0)
    return false;
  onTestFinished(() => void execFileSync(through, [...flags, 'umount', '--lazy', dir]));
  return true;
}

/** A container may not mount, but has a shared memory of 64 MB. A computer's is far too large to be filled. */
async function inSharedMemory(): Promise<string> {
  const { blocks, bsize } = await fs.statfs('/dev/shm');
  if (blocks * bsize > 256 * 1024 * 1024)
    throw new Error(
      'Only root can make the small disk that is filled up here: run the tests as root, or in a container.',
    );
  const dir = await fs.mkdtemp('/dev/shm/oxenvcs-test-');
  onTestFinished(async () => await fs.rm(dir, { recursive: true, force: true }));
  return dir;
}

function ramDisk(dir: string, bytes: number): string {
  // hdiutil counts in sectors; less than half a megabyte cannot be formatted.
  const sectors = Math.ceil(Math.max(bytes, 524_288) / 512);
  const device = execFileSync('hdiutil', ['attach', '-nomount', `ram://${sectors}`], { encoding: 'utf8' }).trim();
  onTestFinished(() => void execFileSync('hdiutil', ['detach', '-force', device]));
  execFileSync('newfs_hfs', [device]);
  execFileSync('diskutil', ['mount', '-mountPoint', dir, device]);
  return dir;
}
