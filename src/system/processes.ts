import { readdirSync, readFileSync } from 'node:fs';
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
  if (platform === 'linux') return fromProc();
  const text = await told(platform === 'win32' ? ['tasklist', '/fo', 'csv', '/nh'] : ['ps', '-Axo', 'pid=,comm=']);
  if (text === null) return null;
  return platform === 'win32' ? parseTasklist(text) : parsePs(text);
}

/**
 * May the process of that number be one of ours? The number of one that is dead goes to another program after a restart, and
 * on a busy computer within seconds. True where the system does not tell.
 */
export const isNode = async (pid: number): Promise<boolean> =>
  (await runningPrograms())?.some((one) => one.pid === pid && one.program.startsWith('node')) ?? true;

/** Processes that were started with `-c SETTING`, as git is; null where the system does not tell. */
export async function processesWith(
  setting: string,
  platform: NodeJS.Platform = process.platform,
): Promise<number[] | null> {
  if (platform === 'linux') {
    const words = `\0-c\0${setting}\0`;
    return commandLines().flatMap(({ pid, line }) => (line.includes(words) ? [pid] : []));
  }
  const ask = `Get-CimInstance Win32_Process -Filter "Name='git.exe'" | % { "$($_.ProcessId) $($_.CommandLine)" }`;
  const text = await told(
    platform === 'win32' ? ['powershell', '-NoProfile', '-Command', ask] : ['ps', '-Axwwo', 'pid=,args='],
  );
  return text === null ? null : parseArgs(text, setting);
}

/** Lines of a process number and a command line, of which those with `-c SETTING` are meant. */
export const parseArgs = (text: string, setting: string): number[] =>
  text.split(/\r?\n/).flatMap((line) => (`${line} `.includes(` -c ${setting} `) ? [Number.parseInt(line, 10)] : []));

async function told([program = '', ...args]: string[]): Promise<string | null> {
  const call = { cwd: os.tmpdir(), env: { ...process.env, LC_ALL: 'C' }, timeoutMs: 5000 };
  const result = await run(program, args, call).catch(() => null);
  return result === null || result.exitCode !== 0 ? null : result.stdout.toString('utf8');
}

function fromProc(): Running[] {
  return commandLines().flatMap(({ pid, line }) => {
    // `comm` is cut at 15 characters, and scripts have their interpreter's name.
    const program = line.split('\0', 1)[0] ?? '';
    return program === '' ? [] : [{ pid, program: path.basename(program).toLowerCase() }];
  });
}

/** Not by promises: these files are on no disk, and 127 of them took 1.3 ms of the processor instead of 7. */
function commandLines(): { pid: number; line: string }[] {
  const found: { pid: number; line: string }[] = [];
  for (const pid of readdirSync('/proc')) {
    if (!/^\d+$/.test(pid)) continue;
    try {
      found.push({ pid: Number(pid), line: readFileSync(`/proc/${pid}/cmdline`, 'utf8') });
    } catch {
      // Processes end while we look.
    }
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

/** When these processes were started, ms since 1970, to the second; those of which it cannot be told are left out. */
export async function startTimes(
  pids: readonly number[],
  platform: NodeJS.Platform = process.platform,
): Promise<number[]> {
  if (pids.length === 0) return [];
  if (platform === 'linux') {
    const stats = await Promise.all(
      pids.map(async (pid) => await fs.readFile(`/proc/${pid}/stat`, 'utf8').catch(() => '')),
    );
    const bootedAt = Date.now() - os.uptime() * 1000;
    return stats.flatMap((stat) => parseStat(stat, bootedAt));
  }
  const list = pids.join(',');
  const [program, args] =
    platform === 'win32'
      ? [
          'powershell',
          [
            '-NoProfile',
            '-Command',
            `Get-Process -Id ${list} | % { ([DateTimeOffset]$_.StartTime).ToUnixTimeMilliseconds() }`,
          ],
        ]
      : ['ps', ['-o', 'etime=', '-p', list]];
  const call = { cwd: os.tmpdir(), env: { ...process.env, LC_ALL: 'C' }, timeoutMs: 5000 };
  const result = await run(program, args, call).catch(() => null);
  const lines = result?.stdout.toString('utf8').split(/\r?\n/) ?? [];
  if (platform === 'win32') return lines.flatMap((line) => (/^\d+$/.test(line.trim()) ? [Number(line)] : []));
  return lines.flatMap((line) => parseElapsed(line).map((ms) => Date.now() - ms));
}

/** `/proc/PID/stat`: the 22nd field counts from the start of the computer, in hundredths of a second. */
export function parseStat(stat: string, bootedAt: number): number[] {
  // The second field is the name in brackets, which may hold anything.
  const ticks = stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19];
  return ticks === undefined ? [] : [bootedAt + Number(ticks) * 10];
}

/** `ps -o etime=`: `[[days-]hours:]minutes:seconds`; in ms. */
export function parseElapsed(text: string): number[] {
  const match = /^(?:(?:(\d+)-)?(\d+):)?(\d+):(\d+)$/.exec(text.trim());
  if (match === null) return [];
  const [days = 0, hours = 0, minutes = 0, seconds = 0] = match.slice(1).map((part) => Number(part ?? 0));
  return [(((days * 24 + hours) * 60 + minutes) * 60 + seconds) * 1000];
}

/** Does one of these programs (beginnings of names, in lower case) have something below `folder` open? Null: it cannot be seen. */
export async function programHasOpen(programs: readonly string[], folder: string): Promise<boolean | null> {
  const open = await openBy(programs);
  return open === null ? null : open.some((file) => file.startsWith(`${folder}/`));
}

async function openBy(programs: readonly string[]): Promise<string[] | null> {
  return await shared(programs.join('\0'), async () => {
    const running = await shared('', runningPrograms);
    if (running === null) return null;
    const ours = running.filter(({ program }) => programs.some((name) => program.startsWith(name)));
    return ours.length === 0 ? [] : await openFiles(ours.map(({ pid }) => pid));
  });
}

async function openFiles(pids: readonly number[], platform = process.platform): Promise<string[] | null> {
  return platform === 'linux' ? await openOnLinux(pids) : platform === 'darwin' ? await openOnMac(pids) : null;
}

/** Many projects that ask in the same moment share one look at all processes, ms. */
const sharedMs = 1000;
const looks = new Map<string, { at: number; value: Promise<unknown> }>();

async function shared<T>(key: string, look: () => Promise<T>): Promise<T> {
  const last = looks.get(key);
  if (last !== undefined && performance.now() - last.at < sharedMs) return (await last.value) as T;
  const value = look();
  looks.set(key, { at: performance.now(), value });
  return await value;
}

async function openOnLinux(pids: readonly number[]): Promise<string[]> {
  const files: string[] = [];
  for (const pid of pids) {
    // A process that ends while we look has nothing open.
    const names = await fs.readdir(`/proc/${pid}/fd`).catch(() => []);
    for (const name of names) files.push(await fs.readlink(`/proc/${pid}/fd/${name}`).catch(() => ''));
  }
  return files;
}

async function openOnMac(pids: readonly number[]): Promise<string[] | null> {
  const call = { cwd: os.tmpdir(), env: { ...process.env, LC_ALL: 'C' }, timeoutMs: 5000 };
  const result = await run('lsof', ['-w', '-p', pids.join(','), '-F', 'n'], call).catch(() => null);
  return result === null || result.killed !== null ? null : parseLsofNames(result.stdout.toString('utf8'));
}

/** `lsof -F n`: a line `n` with the name for each file. */
export const parseLsofNames = (text: string): string[] =>
  text.split('\n').flatMap((line) => (line.startsWith('n') ? [line.slice(1)] : []));
