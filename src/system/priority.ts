import { readdirSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import { run } from './process.ts';

/** `usual` is what a system mostly refuses to those who have taken the lowest, unless they may do everything. */
type Priority = 'lowest' | 'usual';

/**
 * The priority for processor and disk, for this process and all that it starts from now on: the lowest, for a DAW that
 * records must never notice us; the usual one when the session ends and seconds are left. What a system does not have, or
 * does not allow, is done without.
 */
export async function takePriority(which: Priority, platform: NodeJS.Platform = process.platform): Promise<void> {
  const threads = platform === 'linux' ? ourThreads() : [process.pid];
  const { PRIORITY_LOW, PRIORITY_NORMAL } = os.constants.priority;
  const nice = which === 'lowest' ? PRIORITY_LOW : PRIORITY_NORMAL;
  for (const id of threads) quietly(() => os.setPriority(id, nice));
  // Where sessions get equal shares, nice counts only within ours.
  if (platform === 'linux') quietly(() => writeFileSync('/proc/self/autogroup', String(nice)));
  const program = diskProgram(platform, threads, which);
  if (program === null) return;
  const call = { cwd: os.tmpdir(), env: process.env, timeoutMs: 5000 };
  await run(program.name, program.args, call).catch(() => null); // not installed
}

/** The program that makes the disk wait for others, or not any more; null: none is needed. Pure. */
export function diskProgram(
  platform: NodeJS.Platform,
  ids: readonly number[],
  which: Priority,
): { name: string; args: string[] } | null {
  if (platform === 'linux')
    return { name: 'ionice', args: ['-c', which === 'lowest' ? '3' : '2', '-p', ...ids.map(String)] };
  if (platform === 'darwin')
    return { name: 'taskpolicy', args: [which === 'lowest' ? '-b' : '-B', '-p', ...ids.map(String)] };
  return null; // Windows takes it from the priority of the process
}

/** On Linux priorities are a thread's, and the threads that Node begins with are there already. */
function ourThreads(): number[] {
  return readdirSync('/proc/self/task').map(Number);
}

function quietly(work: () => void): void {
  try {
    work();
  } catch {
    // A thread that has just ended, a system without it: it goes on as it is.
  }
}
