import { createHash } from 'node:crypto';
import * as fs from 'node:fs/promises';
import path from 'node:path';
import { git } from '../../src/git/run.ts';
import { run } from '../../src/system/process.ts';
import { init, type Initialized, type InitOptions } from '../../src/setup/init.ts';
import { sandbox, write } from '../support/sandbox.ts';

/** A folder of a song as a DAW leaves it, in a folder of its own. */
export async function song(files: Record<string, string | Uint8Array> = { 'Song.als': 'one' }): Promise<string> {
  const root = path.join(await sandbox(), 'My Song');
  await write(root, files);
  return root;
}

/** `init` with hooks, as the command does it. */
export const setUp = async (dir: string, options: Partial<InitOptions> = {}): Promise<Initialized> =>
  await init(dir, { hooks: true, ...options });

/** Every file below a folder with its bytes and rights, Git's own included. */
export async function snapshot(dir: string): Promise<Record<string, string>> {
  const found: Record<string, string> = {};
  for (const entry of await fs.readdir(dir, { withFileTypes: true, recursive: true })) {
    const file = path.join(entry.parentPath, entry.name);
    const { mode } = await fs.lstat(file);
    const content = entry.isFile()
      ? createHash('sha256')
          .update(await fs.readFile(file))
          .digest('hex')
      : '';
    found[path.relative(dir, file)] = `${mode.toString(8)} ${content}`;
  }
  return found;
}

/** The files in a version. */
export async function filesIn(root: string, commit = 'HEAD'): Promise<string[]> {
  return (await git(root, ['ls-tree', '-r', '-z', '--name-only', commit])).split('\0').filter(Boolean);
}

/** What `git status` shows, ignored files aside. */
export async function status(root: string): Promise<string[]> {
  return (await git(root, ['status', '--porcelain=v1', '-z', '--untracked-files=all'])).split('\0').filter(Boolean);
}

export const ours = ['.gitattributes', '.gitignore', '.oxenvcs/config.json'];

/** Git as the user runs it: with hooks, without our settings. */
export async function byHand(
  cwd: string,
  args: string[],
  env: Record<string, string> = {},
): Promise<{ code: number | null; stdout: string; stderr: string }> {
  const { exitCode, stdout, stderr } = await run('git', args, { cwd, env: { ...process.env, ...env } });
  return { code: exitCode, stdout: stdout.toString('utf8'), stderr };
}
