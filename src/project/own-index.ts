import { randomUUID } from 'node:crypto';
import * as fs from 'node:fs/promises';
import path from 'node:path';
import type { Project } from './project.ts';
import { makeFolderIn } from '../system/disk.ts';

/**
 * Runs `work` with an index of our own, empty as yet: the user's is neither read nor locked. `env` is for git. What a killed
 * process leaves of it is tidied away by its name (`removeLeftovers`).
 */
export async function withIndex<T>(
  { gitDir }: Pick<Project, 'gitDir'>,
  work: (env: { GIT_INDEX_FILE: string }) => Promise<T>,
): Promise<T> {
  const index = path.join(gitDir, 'oxenvcs', `index-${randomUUID()}`);
  await makeFolderIn(path.dirname(index));
  try {
    return await work({ GIT_INDEX_FILE: index });
  } finally {
    await fs.rm(index, { force: true });
    await fs.rm(`${index}.lock`, { force: true });
  }
}
