import { createHash } from 'node:crypto';
import * as fs from 'node:fs/promises';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { exists, readText } from '../system/disk.ts';

/** The hooks that lie in `hooks/` of the package, as they are installed; and what has become of one that was. */

export const hookNames = [
  'pre-commit',
  'prepare-commit-msg',
  'post-commit',
  'pre-push',
  'post-checkout',
  'post-merge',
  'post-rewrite',
] as const;
export type HookName = (typeof hookNames)[number];

/** What all hooks read; it lies beside them. */
export const helperName = 'oxenvcs.sh';

export type HookState =
  | 'absent'
  | 'installed'
  /** Ours, of another version, or for a Node or a program that lay elsewhere. */
  | 'outdated'
  /** Ours, but changed by somebody. */
  | 'edited'
  /** Somebody else's. */
  | 'foreign';

const marker = /^# oxenvcs hook \d+: /m;
const seal = (text: string): string => `# oxenvcs sha256 ${createHash('sha256').update(text).digest('hex')}\n`;

/** The program of another installation that the hooks in this folder call; null: it is ours, or is not there any more. */
export async function otherProgram(folder: string): Promise<string | null> {
  const text = (await readText(path.join(folder, helperName))) ?? '';
  const called = /^program='(.*)'$/m.exec(text)?.[1]?.replaceAll(`'\\''`, "'");
  const own = /^program='(.*)'$/m.exec(await hookText(helperName))?.[1]?.replaceAll(`'\\''`, "'");
  return called !== undefined && called !== own && (await exists(called)) ? called : null;
}

/** The text of one as it is installed. The last line tells, also to a later version, whether somebody has changed it. */
export async function hookText(name: HookName | typeof helperName): Promise<string> {
  const folder = await sources();
  const text = await fs.readFile(path.join(folder, name), 'utf8');
  const program = path.join(folder, '..', 'dist', 'hook.js');
  const filled = text.replace(/^(node|program)=''$/gm, (_, key: string) => {
    return `${key}=${quoted(key === 'node' ? process.execPath : program)}`;
  });
  return filled + seal(filled);
}

export async function hookState(file: string, name: HookName | typeof helperName): Promise<HookState> {
  const found = await readText(file).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'EISDIR') return '';
    throw error;
  });
  if (found === null) return (await exists(file)) ? 'foreign' : 'absent'; // a broken link
  if (!marker.test(found)) return 'foreign';
  if (found === (await hookText(name))) return 'installed';
  // Windows line ends were put in by a program that did not ask; a shell cannot read them.
  const text = found.replaceAll('\r\n', '\n');
  const end = text.lastIndexOf('# oxenvcs sha256 ');
  return end >= 0 && text.slice(end) === seal(text.slice(0, end)) ? 'outdated' : 'edited';
}

/** As one word of a shell script. Windows' shell takes forward slashes. */
export function quoted(file: string, platform = process.platform): string {
  const name = platform === 'win32' ? file.replaceAll('\\', '/') : file;
  return `'${name.replaceAll("'", `'\\''`)}'`;
}

/** The folder `hooks` of the package: beside `dist/main.js`, or above `src/setup`. */
async function sources(): Promise<string> {
  const here = path.dirname(fileURLToPath(import.meta.url));
  for (const up of ['..', '../..']) {
    const folder = path.resolve(here, up, 'hooks');
    if (await exists(path.join(folder, helperName))) return folder;
  }
  throw new Error(`the hooks that belong to ${here} are missing`);
}
