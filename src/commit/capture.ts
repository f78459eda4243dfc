import * as fs from 'node:fs/promises';
import path from 'node:path';
import { gitFailure } from '../git/failures.ts';
import { git, tryGit } from '../git/run.ts';
import type { Captured, FileStat } from '../model/save.ts';
import { sameStat, statOf } from '../system/stat.ts';

/**
 * Puts a file's bytes into the object store, through the filters of its path; once this returns they are on the disk.
 * `moved`: it is not, or no longer, as it was when it settled, and what was stored may be torn.
 */
export async function capture(root: string, name: string, settled: FileStat): Promise<Captured | 'moved'> {
  const file = path.join(root, name);
  const stat = await statOf(file);
  if (stat === null || !sameStat(stat, settled)) return 'moved';
  // Of a link its target's name is stored, as git does.
  const target = stat.isSymbolicLink() ? await fs.readlink(file, 'buffer').catch(() => null) : undefined;
  if (target === null) return 'moved';
  const args = ['hash-object', '-w', ...(target === undefined ? ['--', name] : ['--stdin'])];
  const result = await tryGit(root, args, target === undefined ? {} : { input: target });
  // A file that shrinks or is rewritten under git makes it fail, or die by SIGBUS; one that grows gives a torn blob.
  if (!sameStat(await statOf(file), settled)) return 'moved';
  if (result.exitCode !== 0) throw gitFailure(result, args);
  const oid = result.stdout.toString('utf8').trim();
  if (target !== undefined) return { path: name, mode: '120000', oid };
  const executable = (stat.mode & 0o100n) !== 0n && (await trustsModes(root));
  return { path: name, mode: executable ? '100755' : '100644', oid };
}

/** Somebody may have pruned the repository in a bad moment: of what is gone no version can be made. Gives the ids of those that are there. */
export async function blobsThere(root: string, captured: readonly Captured[]): Promise<Set<string>> {
  if (captured.length === 0) return new Set();
  const input = captured.map(({ oid }) => `${oid}\n`).join('');
  const lines = (await git(root, ['cat-file', '--batch-check'], { input })).split('\n');
  return new Set(lines.flatMap((line) => (line.includes(' blob ') ? [line.slice(0, line.indexOf(' '))] : [])));
}

/** On disks without run bits every file seems to have one; git found that out when the repository was made. */
async function trustsModes(root: string): Promise<boolean> {
  const result = await tryGit(root, ['config', '--type=bool', 'core.fileMode']);
  return result.stdout.toString('utf8').trim() !== 'false';
}
