import { execFileSync } from 'node:child_process';
import path from 'node:path';

/** Before the first test file: builds the program that cli.ts runs, so that `npx vitest run FILE` tests what is written. */
export default function build(): void {
  execFileSync(process.execPath, ['build.mjs'], { cwd: path.resolve(import.meta.dirname, '../..'), stdio: 'inherit' });
}
