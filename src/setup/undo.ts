import * as fs from 'node:fs/promises';
import path from 'node:path';
import { gitLine } from '../git/run.ts';
import { configPath } from '../project/project.ts';
import { writeDurable } from '../system/disk.ts';

/**
 * Remembers the files that `init` writes into a folder before it commits anything: ours, and Git's own settings where there
 * is a repository. Gives what makes them as they were, for an `init` that failed.
 */
export async function rememberFiles(root: string, isRepository: boolean): Promise<() => Promise<void>> {
  const files = ['.gitattributes', '.gitignore', configPath].map((name) => path.join(root, name));
  if (isRepository) files.push(path.resolve(root, await gitLine(root, ['rev-parse', '--git-path', 'config'])));
  const before = await Promise.all(files.map(async (file) => ({ file, was: await read(file) })));
  return async () => {
    for (const { file, was } of before) {
      if (was === 'not a file') continue;
      if (was === null) await fs.rm(file, { force: true });
      else await putBack(file, was);
    }
  };
}

interface Content {
  bytes: Buffer;
  mode: number;
}

async function putBack(file: string, was: Content): Promise<void> {
  const now = await read(file);
  const isSame = now !== null && now !== 'not a file' && now.bytes.equals(was.bytes);
  if (!isSame) await writeDurable(file, was.bytes, was.mode);
}

/** Null: there is none. A folder in its place, or one without rights, is nothing that is written. */
async function read(file: string): Promise<Content | null | 'not a file'> {
  try {
    return { bytes: await fs.readFile(file), mode: (await fs.stat(file)).mode & 0o777 };
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'ENOENT' ? null : 'not a file';
  }
}
