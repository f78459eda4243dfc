import { execFileSync, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import * as fs from 'node:fs/promises';
import path from 'node:path';
import { onTestFinished } from 'vitest';
import { sandbox } from './sandbox.ts';

/** A folder on a small disk in memory, of at least so many bytes; gone when the test is over. Fill it up with `fillUp`. */
export async function smallDisk(bytes: number): Promise<string> {
  const dir = await sandbox();
  if (process.platform === 'darwin') return ramDisk(dir, bytes);
  if (spawnSync('mount', ['-t', 'tmpfs', '-o', `size=${bytes}`, 'none', dir]).status === 0) {
    onTestFinished(() => void execFileSync('umount', ['--lazy', dir]));
    return dir;
  }
  return (await inSharedMemory()) ?? (await inNamespace(dir, bytes));
}

/** A container may not mount, but has 64 MB of shared memory. */
async function inSharedMemory(): Promise<string | null> {
  const { blocks, bsize } = await fs.statfs('/dev/shm');
  if (blocks * bsize > 256 * 1024 * 1024) return null;
  const dir = await fs.mkdtemp('/dev/shm/oxenvcs-test-');
  onTestFinished(async () => await fs.rm(dir, { recursive: true, force: true }));
  return dir;
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

/** Without root: a process with a name space of its own may mount, and its files are reached through /proc. */
async function inNamespace(dir: string, bytes: number): Promise<string> {
  const script = `mount -t tmpfs -o size=${bytes} none "$0" && echo ready && exec sleep infinity`;
  const child = spawn('unshare', ['--user', '--map-root-user', '--mount', 'sh', '-c', script, dir]);
  onTestFinished(() => void child.kill('SIGKILL'));
  let said = '';
  child.stderr.on('data', (text) => (said += String(text)));
  const isReady = await Promise.race([
    once(child.stdout, 'data').then(() => true),
    once(child, 'close').then(() => false),
  ]);
  if (!isReady) throw new Error(`Disks can only be made as root, or where users may have name spaces: ${said}`);
  return `/proc/${child.pid}/root${dir}`;
}

function ramDisk(dir: string, bytes: number): string {
  // hdiutil counts in sectors; smaller than half a megabyte cannot be formatted.
  const sectors = Math.ceil(Math.max(bytes, 524_288) / 512);
  const device = execFileSync('hdiutil', ['attach', '-nomount', `ram://${sectors}`], { encoding: 'utf8' }).trim();
  onTestFinished(() => void execFileSync('hdiutil', ['detach', '-force', device]));
  execFileSync('newfs_hfs', [device]);
  execFileSync('diskutil', ['mount', '-mountPoint', dir, device]);
  return dir;
}
