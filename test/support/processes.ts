import { execFileSync } from 'node:child_process';
import * as fs from 'node:fs';

export { isAlive as isRunning } from '../../src/system/process.ts';

/** Ends a process and all that it started, whatever group they are in. Ones that have ended already are fine. */
export function killTree(pid: number): void {
  for (const one of [...descendants(pid), pid]) {
    try {
      process.kill(one, 'SIGKILL');
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
    }
  }
}

/** The processes that `pid` started, and theirs. */
export function descendants(pid: number): number[] {
  const all = processes();
  const below = (parent: number): number[] =>
    all.filter(([, of]) => of === parent).flatMap(([child]) => [child, ...below(child)]);
  return below(pid);
}

/** [pid, parent's pid] of every process. A slim Debian has no `ps`, a Mac has no /proc. */
function processes(): [number, number][] {
  if (process.platform !== 'linux')
    return execFileSync('ps', ['-A', '-o', 'pid=,ppid='], { encoding: 'utf8' })
      .trim()
      .split('\n')
      .map((line) => line.trim().split(/\s+/).map(Number) as [number, number]);
  return fs
    .readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .flatMap((name) => {
      // The second field is the name in brackets, which may hold anything.
      const parent = /\) \S (\d+) /.exec(statOf(name))?.[1];
      return parent === undefined ? [] : [[Number(name), Number(parent)] as [number, number]];
    });
}

function statOf(pid: string): string {
  try {
    return fs.readFileSync(`/proc/${pid}/stat`, 'utf8');
  } catch {
    return ''; // it ended between the listing and the look
  }
}
