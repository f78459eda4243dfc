import { readdirSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import { run } from './process.ts';

/**
 * The lowest priority for processor and disk, for this process and all that it starts from now on: a DAW that records must
 * never notice us. What a system does not have is done without.
 */
export async function takeLowestPriority(platform: NodeJS.Platform = process.platform): Promise<void> {
  const threads = platform === 'linux' ? ourThreads() : [process.pid];
  for (const id of threads) quietly(() => os.setPriority(id, os.constants.priority.PRIORITY_LOW));
  // Where sessions get equal shares, nice counts only within ours.
  if (platform === 'linux') quietly(() => writeFileSync('/proc/self/autogroup', '19'));
  const program = diskProgram(platform, threads);
  if (program === null) return;
  const call = { cwd: os.tmpdir(), env: process.env, timeoutMs: 5000 };
  await run(program.name, program.args, call).catch(() => null); // not installed
}

/** The program that makes the disk wait for others; null: none is needed. Pure. */
export function diskProgram(
  platform: NodeJS.Platform,
  ids: readonly number[],
): { name: string; args: string[] } | null {
  if (platform === 'linux') return { name: 'ionice', args: ['-c', '3', '-p', ...ids.map(String)] };
  if (platform === 'darwin') return { name: 'taskpolicy', args: ['-b', '-p', ...ids.map(String)] };
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
