import { readdirSync, readFileSync, readlinkSync, statSync } from 'node:fs';
import path from 'node:path';
import { run } from './process.ts';

/**
 * Which of these files (relative to `root`) some process has open for writing. Processes of other users cannot be seen
 * into. `unknown` where the system does not tell: then only the quiet times count.
 */
export async function openForWriting(
  root: string,
  paths: readonly string[],
  platform: NodeJS.Platform = process.platform,
): Promise<ReadonlySet<string> | 'unknown'> {
  if (paths.length === 0) return new Set();
  if (platform === 'linux') return fromProc(root, paths);
  if (platform === 'darwin') return await fromLsof(root, paths);
  return 'unknown';
}

/** Not by promises: these files are on no disk, and it is asked at each look (see processes.ts). */
function fromProc(root: string, paths: readonly string[]): Set<string> {
  const byName = new Map<string, string[]>();
  for (const name of paths)
    byName.set(path.posix.basename(name), [...(byName.get(path.posix.basename(name)) ?? []), name]);
  const open = new Set<string>();
  for (const pid of listed('/proc')) {
    if (!/^\d+$/.test(pid)) continue;
    const folder = `/proc/${pid}/fd`;
    for (const fd of listed(folder)) {
      const target = ifThere(() => readlinkSync(`${folder}/${fd}`)) ?? '';
      const candidates = byName.get(target.slice(target.lastIndexOf('/') + 1)) ?? [];
      if (candidates.length === 0 || !isForWriting(pid, fd)) continue;
      for (const name of candidates) if (isSameFile(`${folder}/${fd}`, path.join(root, name))) open.add(name);
    }
  }
  return open;
}

/** Processes end and descriptors close while we look: what is gone is not open. */
function ifThere<T>(ask: () => T): T | null {
  try {
    return ask();
  } catch {
    return null;
  }
}

const listed = (folder: string): string[] => ifThere(() => readdirSync(folder)) ?? [];

/** open(2)'s access mode, in octal, in the line `flags:`. */
function isForWriting(pid: string, fd: string): boolean {
  const info = ifThere(() => readFileSync(`/proc/${pid}/fdinfo/${fd}`, 'utf8')) ?? '';
  const flags = Number.parseInt(/^flags:\s*([0-7]+)/m.exec(info)?.[1] ?? '0', 8);
  return (flags & 3) !== 0;
}

/** By device and inode: in a sandbox (Flatpak) the same file goes by another path. */
function isSameFile(one: string, other: string): boolean {
  const [a, b] = [ifThere(() => statSync(one)), ifThere(() => statSync(other))];
  return a !== null && b !== null && a.ino === b.ino && a.dev === b.dev;
}

async function fromLsof(root: string, paths: readonly string[]): Promise<Set<string> | 'unknown'> {
  const open = new Set<string>();
  // Command lines are limited in length.
  for (let i = 0; i < paths.length; i += 500) {
    const files = paths.slice(i, i + 500).map((name) => path.join(root, name));
    const env = { ...process.env, LC_ALL: 'C' };
    const call = { cwd: root, env, timeoutMs: 5000 };
    const result = await run('/usr/sbin/lsof', ['-w', '-Fan', '--', ...files], call).catch(() => null);
    // Exit code 1 says that some of the files are not open.
    if (result === null || result.killed !== null || (result.exitCode ?? 2) > 1) return 'unknown';
    for (const file of parseLsof(result.stdout.toString('utf8'))) open.add(path.relative(root, file));
  }
  return open;
}

/** The names of files that are open for writing in the output of `lsof -Fan`: `p` process, `f` descriptor, `a` access, `n` name. */
export function parseLsof(text: string): string[] {
  const names: string[] = [];
  let access = '';
  for (const line of text.split('\n')) {
    if (line.startsWith('f')) access = '';
    else if (line.startsWith('a')) access = line.slice(1);
    else if (line.startsWith('n') && (access === 'w' || access === 'u')) names.push(unescaped(line.slice(1)));
  }
  return names;
}

/** lsof writes what it cannot print as `\n`, `\t`, `\\` or `\xHH`, byte by byte. */
function unescaped(name: string): string {
  const single: Record<string, string> = { n: '\n', t: '\t', r: '\r', b: '\b', f: '\f', '\\': '\\' };
  const bytes: Buffer[] = [];
  for (const [whole, hex, letter] of name.matchAll(/\\x([0-9a-f]{2})|\\(.)|[^\\]+/gi)) {
    if (hex !== undefined) bytes.push(Buffer.from([Number.parseInt(hex, 16)]));
    else bytes.push(Buffer.from(letter === undefined ? whole : (single[letter] ?? whole)));
  }
  return Buffer.concat(bytes).toString('utf8');
}
