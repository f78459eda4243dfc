import { spawn } from 'node:child_process';
import { pace } from './system/pace.ts';

/**
 * Started by git instead of ssh, or of the other side's git, by `network/limit.ts`: `limit.js BYTES PROGRAM [ARG…]` runs the
 * program and lets only so many bytes a second through to it.
 */
const [bytesPerSecond, program = '', ...args] = process.argv.slice(2);
const child = spawn(program, args, { stdio: ['pipe', 'inherit', 'inherit'], windowsHide: true });
child.on('error', (error) => {
  process.stderr.write(`fatal: cannot run ${program}: ${error.message}\n`);
  process.exit(128);
});
// It may end before it has read everything; how it ended tells the story.
child.stdin.on('error', () => undefined);
process.stdin.pipe(pace(Number(bytesPerSecond))).pipe(child.stdin);
child.on('exit', (code) => process.exit(code ?? 128));
