import os from 'node:os';
import { git } from './run.ts';

/** `2.39.5`, of the git that is used here. Throws `no-git`. */
export async function gitVersion(): Promise<string> {
  return /\d+\.\d+(\.\d+)*/.exec(await git(os.tmpdir(), ['--version']))?.[0] ?? '';
}

/** Is a version such as `2.39.5` or `20.19.0` this one or newer? Pure. */
export function atLeast(version: string, major: number, minor: number): boolean {
  const [a = 0, b = 0] = version.split('.').map(Number);
  return a > major || (a === major && b >= minor);
}
