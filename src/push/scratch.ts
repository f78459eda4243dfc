import * as fs from 'node:fs/promises';
import path from 'node:path';
import { promisify } from 'node:util';
import { deflate } from 'node:zlib';
import { gitLine, tryGit } from '../git/run.ts';
import { makeFolderIn } from '../system/disk.ts';

/**
 * An object directory of its own for the commits and folders that are made for a transfer alone: when it is over, they are
 * gone with it. Nothing in it is flushed, for all of it can be made again, and is, by every process that needs it.
 */
export interface Scratch {
  folder: string;
  /** For git: new objects are there, all others where they always are. */
  env: { GIT_OBJECT_DIRECTORY: string; GIT_ALTERNATE_OBJECT_DIRECTORIES: string };
}

export async function openScratch({ root, gitDir }: { root: string; gitDir: string }): Promise<Scratch> {
  const folder = scratchFolder(gitDir);
  await makeFolderIn(path.dirname(folder));
  await makeFolderIn(folder);
  const objects = path.resolve(root, await gitLine(root, ['rev-parse', '--git-path', 'objects']));
  return { folder, env: { GIT_OBJECT_DIRECTORY: folder, GIT_ALTERNATE_OBJECT_DIRECTORIES: quoted(objects) } };
}

/** The transfer is over. */
export const removeScratch = async ({ gitDir }: { gitDir: string }): Promise<void> =>
  await fs.rm(scratchFolder(gitDir), { recursive: true, force: true });

const scratchFolder = (gitDir: string): string => path.join(gitDir, 'oxenvcs', 'parts');

/** Git takes a colon for the end of a path (on Windows a semicolon), unless the path is quoted. */
const quoted = (file: string): string => `"${file.replace(/["\\]/g, '\\$&').replaceAll('\n', '\\n')}"`;

/** Writes an object as git would. What is there is replaced: a power cut may have emptied it. */
export async function writeScratch(
  { folder }: Pick<Scratch, 'folder'>,
  type: 'commit' | 'tree',
  id: string,
  body: Buffer,
): Promise<void> {
  const fan = path.join(folder, id.slice(0, 2));
  await makeFolderIn(fan);
  const temporary = path.join(fan, `tmp_obj_${process.pid}`);
  await fs.writeFile(
    temporary,
    await promisify(deflate)(Buffer.concat([Buffer.from(`${type} ${body.length}\0`), body])),
  );
  await fs.rename(temporary, path.join(fan, id.slice(2)));
}

/** The trees of those of the commits that are here. */
export async function treesHere(
  root: string,
  { env }: Pick<Scratch, 'env'>,
  commits: readonly string[],
  signal?: AbortSignal,
): Promise<Map<string, Buffer>> {
  const trees = new Map<string, Buffer>();
  if (commits.length === 0) return trees;
  const input = commits.map((id) => `${id}^{tree}\n`).join('');
  const read = await tryGit(root, ['cat-file', '--batch', '--buffer'], { env, input, ...(signal ? { signal } : {}) });
  if (read.exitCode !== 0) return trees; // one was damaged by a power cut: they are made anew
  const bytes = read.stdout;
  let at = 0;
  for (const commit of commits) {
    const end = bytes.indexOf(10, at);
    const size = / tree (\d+)$/.exec(bytes.toString('latin1', at, end))?.[1];
    at = end + 1;
    if (size === undefined) continue;
    trees.set(commit, bytes.subarray(at, at + Number(size)));
    at += Number(size) + 1;
  }
  return trees;
}
