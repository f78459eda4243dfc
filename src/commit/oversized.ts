import { git } from '../git/run.ts';
import { statAll } from '../system/stat.ts';

/** A file that is larger than the remote takes: it stays in the folder and comes into no version. */
export interface Oversized {
  path: string;
  /** Bytes. */
  size: bigint;
}

/** Splits files into those that may come into a version and those that the remote would refuse. `limit`: bytes, or null. */
export async function bySize(
  root: string,
  paths: readonly string[],
  limit: number | null,
): Promise<{ within: string[]; over: Oversized[] }> {
  if (limit === null || paths.length === 0) return { within: [...paths], over: [] };
  const large: Oversized[] = [];
  for (const [path, stat] of await statAll(root, paths))
    if (stat !== null && stat.size > BigInt(limit)) large.push({ path, size: stat.size });
  const elsewhere = await withPointer(root, large);
  const over = large.filter(({ path }) => !elsewhere.has(path));
  const names = new Set(over.map(({ path }) => path));
  return { within: paths.filter((path) => !names.has(path)), over };
}

/** Of git-lfs the repository holds only a pointer, however large the file is. */
async function withPointer(root: string, large: readonly Oversized[]): Promise<Set<string>> {
  if (large.length === 0) return new Set();
  const input = large.map(({ path }) => path).join('\0');
  const answer = (await git(root, ['check-attr', '-z', '--stdin', 'filter'], { input })).split('\0');
  const found = new Set<string>();
  for (let i = 0; i + 2 < answer.length; i += 3) if (answer[i + 2] === 'lfs') found.add(answer[i] ?? '');
  return found;
}
