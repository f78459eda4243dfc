import * as fs from 'node:fs/promises';
import os from 'node:os';
import { ifMissing } from '../system/disk.ts';
import { run } from '../system/process.ts';

/**
 * Which of these files (absolute paths) somebody has open for writing. Null where the system does not tell. Other users'
 * processes are not seen.
 */
export async function openForWriting(
  files: ReadonlySet<string>,
  platform = process.platform,
): Promise<Set<string> | null> {
  if (files.size === 0) return new Set();
  if (platform === 'linux') return await fromProc(files);
  if (platform === 'darwin') return await fromLsof(files);
  return null;
}

/** About 10 ms for 96 processes. */
async function fromProc(files: ReadonlySet<string>): Promise<Set<string>> {
  const open = new Set<string>();
  for (const pid of await fs.readdir('/proc')) {
    if (!/^\d+$/.test(pid)) continue;
    for (const fd of await fs.readdir(`/proc/${pid}/fd`).catch(notOurs([] as string[]))) {
      const target = await fs.readlink(`/proc/${pid}/fd/${fd}`).catch(notOurs(''));
      if (!files.has(target)) continue;
      const info = await fs.readFile(`/proc/${pid}/fdinfo/${fd}`, 'utf8').catch(notOurs(''));
      if (isWriting(info)) open.add(target);
    }
  }
  return open;
}

/** The access mode in `flags:` (octal): 0 reads, 1 writes, 2 does both. */
export function isWriting(fdinfo: string): boolean {
  const flags = /^flags:\s*([0-7]+)$/m.exec(fdinfo)?.[1];
  return flags !== undefined && (Number.parseInt(flags, 8) & 3) !== 0;
}

/** Processes end while we look, and other users' are closed to us. */
function notOurs<T>(value: T): (error: unknown) => T {
  return (error) => {
    const { code } = error as NodeJS.ErrnoException;
    return code === 'EACCES' || code === 'EPERM' || code === 'ESRCH' ? value : ifMissing(value)(error);
  };
}

async function fromLsof(files: ReadonlySet<string>): Promise<Set<string> | null> {
  // A missing lsof, or one that hangs on a dead network drive, tells nothing.
  const call = { cwd: os.tmpdir(), env: { ...process.env, LC_ALL: 'C' }, timeoutMs: 5000 };
  const result = await run('lsof', ['-w', '-F', 'an', '--', ...files], call).catch(() => null);
  return result === null || result.killed !== null ? null : parseLsof(result.stdout.toString('utf8'));
}

/** `lsof -F an`: a line `a` with the access mode (r, w, u), then a line `n` with the name. */
export function parseLsof(text: string): Set<string> {
  const open = new Set<string>();
  let writing = false;
  for (const line of text.split('\n')) {
    if (line.startsWith('a')) writing = line === 'aw' || line === 'au';
    if (line.startsWith('n') && writing) open.add(line.slice(1));
  }
  return open;
}
