import path from 'node:path';
import { readText } from '../system/disk.ts';
import { placeOf } from './place.ts';
import { git } from './run.ts';

/**
 * What refs are at; null: there is no such ref. One that was moved not long ago is a file that holds its object's id, and
 * reading that takes no process; whatever looks otherwise (packed, symbolic, another format) git is asked about.
 */
export async function refTips(root: string, refs: readonly string[]): Promise<(string | null)[]> {
  const { common } = await placeOf(root);
  const loose = await Promise.all(refs.map(async (ref) => await looseTip(path.join(common, ref))));
  const others = refs.filter((_, n) => loose[n] === null);
  if (others.length === 0) return loose;
  const listed = await git(root, ['for-each-ref', '--format=%(objectname) %(refname)', ...others]);
  const packed = new Map(
    listed
      .split('\n')
      .filter(Boolean)
      .map((line) => [line.slice(line.indexOf(' ') + 1), line.slice(0, line.indexOf(' '))]),
  );
  return refs.map((ref, n) => loose[n] ?? packed.get(ref) ?? null);
}

async function looseTip(file: string): Promise<string | null> {
  const text = await readText(file).catch(() => null); // a folder of that name: git is asked
  return /^([0-9a-f]{40}|[0-9a-f]{64})\n$/.exec(text ?? '')?.[1] ?? null;
}
