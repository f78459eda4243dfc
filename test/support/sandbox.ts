import * as fs from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { onTestFinished } from 'vitest';
import { git } from '../../src/git/run.ts';

/** A folder for one test, removed when the test is over. */
export async function sandbox(): Promise<string> {
  const dir = await fs.realpath(await fs.mkdtemp(path.join(os.tmpdir(), 'oxenvcs-test-')));
  onTestFinished(async () => await fs.rm(dir, { recursive: true, force: true, maxRetries: 5, retryDelay: 100 }));
  return dir;
}

/** A repository with one commit on `main`, holding `files` (path → text). */
export async function repository(dir: string, files: Record<string, string> = { 'Song.als': 'one' }): Promise<string> {
  await fs.mkdir(dir, { recursive: true });
  await git(dir, ['init', '--quiet', '-b', 'main']);
  await write(dir, files);
  await git(dir, ['add', '--all']);
  await git(dir, ['commit', '--quiet', '--allow-empty', '-m', 'first']);
  return dir;
}

/** Writes files below `dir`, making folders as needed. */
export async function write(dir: string, files: Record<string, string | Uint8Array>): Promise<void> {
  for (const [name, data] of Object.entries(files)) {
    await fs.mkdir(path.dirname(path.join(dir, name)), { recursive: true });
    await fs.writeFile(path.join(dir, name), data);
  }
}
