import * as fs from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { run } from './process.ts';

/** A process of this user that runs now: its program's file name, in lower case. */
export interface Running {
  pid: number;
  program: string;
}

/** All processes that can be seen; null where the system does not tell. */
export async function runningPrograms(platform: NodeJS.Platform = process.platform): Promise<Running[] | null> {
  if (platform === 'linux') return await fromProc();
  const [program, args] = platform === 'win32' ? ['tasklist', ['/fo', 'csv', '/nh']] : ['ps', ['-Axo', 'pid=,comm=']];
  const result = await run(program, args, {
    cwd: os.tmpdir(),
    env: { ...process.env, LC_ALL: 'C' },
    timeoutMs: 5000,
  }).catch(() => null);
  if (result === null || result.exitCode !== 0) return null;
  const text = result.stdout.toString('utf8');
  return platform === 'win32' ? parseTasklist(text) : parsePs(text);
}

async function fromProc(): Promise<Running[]> {
  const found: Running[] = [];
  for (const pid of await fs.readdir('/proc')) {
    if (!/^\d+$/.test(pid)) continue;
    // Processes end while we look. `comm` is cut at 15 characters, and scripts have their interpreter's name.
    const command = await fs.readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '');
    const program = command.split('\0', 1)[0] ?? '';
    if (program !== '') found.push({ pid: Number(pid), program: path.basename(program).toLowerCase() });
  }
  return found;
}

/** `ps -Axo pid=,comm=`: `  123 /Applications/Ableton Live 12.app/Contents/MacOS/Live` */
export function parsePs(text: string): Running[] {
  return text.split('\n').flatMap((line) => {
    const match = /^\s*(\d+)\s+(.+?)\s*$/.exec(line);
    return match ? [{ pid: Number(match[1]), program: path.posix.basename(match[2] ?? '').toLowerCase() }] : [];
  });
}

/** `tasklist /fo csv /nh`: `"Ableton Live 12 Suite.exe","123","Console","1","500,000 K"` */
export function parseTasklist(text: string): Running[] {
  return text.split(/\r?\n/).flatMap((line) => {
    const match = /^"([^"]+)","(\d+)"/.exec(line);
    return match ? [{ pid: Number(match[2]), program: (match[1] ?? '').replace(/\.exe$/i, '').toLowerCase() }] : [];
  });
}
