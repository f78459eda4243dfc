import type { BigIntStats } from 'node:fs';
import * as fs from 'node:fs/promises';
import path from 'node:path';
import { exists, ifMissing, readText } from '../system/disk.ts';
import { isFresh } from '../system/stat.ts';
import { placeOf } from './place.ts';
import { git } from './run.ts';

/**
 * What refs are at; null: there is no such ref. Read from git's own files where they are plain (a file with an object's id,
 * or a line of packed-refs), since a process takes 3 ms; whatever looks otherwise (symbolic, another format) git is asked
 * about.
 */
export async function refTips(root: string, refs: readonly string[]): Promise<(string | null)[]> {
  const { common } = await placeOf(root);
  const tips: (string | null)[] = await Promise.all(refs.map(async (ref) => await looseTip(path.join(common, ref))));
  // Only after the loose ones: git packs a ref before it takes its file away.
  if (tips.includes('none')) {
    const packed = await readText(path.join(common, 'packed-refs')).catch(() => undefined);
    // A disk that is gone, or fails, has no refs either: git says what it is.
    const isPlain =
      packed !== undefined &&
      (await exists(path.join(common, 'HEAD'))) &&
      !(await exists(path.join(common, 'reftable')));
    for (const [n, ref] of refs.entries())
      if (tips[n] === 'none') tips[n] = tipIn(packed ?? '', ref) ?? (isPlain ? null : 'ask');
  }
  if (!tips.includes('ask')) return tips;
  const asked = refs.filter((_, n) => tips[n] === 'ask');
  const listed = await git(root, ['for-each-ref', '--format=%(objectname) %(refname)', ...asked]);
  return refs.map((ref, n) => (tips[n] === 'ask' ? tipIn(listed, ref) : (tips[n] ?? null)));
}

/** An id; `none`: no file; `ask`: one of another kind, or a folder. */
async function looseTip(file: string): Promise<string> {
  const text = await readText(file).catch(() => '');
  return text === null ? 'none' : (/^([0-9a-f]{40}|[0-9a-f]{64})\n$/.exec(text)?.[1] ?? 'ask');
}

/** From lines `<id> <ref>`. */
function tipIn(lines: string, ref: string): string | null {
  const at = lines.indexOf(` ${ref}\n`);
  return at < 0 ? null : lines.slice(lines.lastIndexOf('\n', at) + 1, at);
}

/**
 * A text that stays the same as long as no ref below these (folders of refs, or refs) was made, moved or removed, without a
 * process. `common`: the Git folder that holds the refs. Null: it cannot be told, for they are kept in another format, were
 * written just now, or are not there.
 */
export async function refsMark(common: string, below: readonly string[], now = Date.now()): Promise<string | null> {
  const marks: string[] = [];
  let fresh = false;
  const look = async (name: string): Promise<BigIntStats | null> => {
    const stat = await fs.lstat(path.join(common, name), { bigint: true }).catch(ifMissing(null));
    marks.push(stat === null ? `${name} -` : `${name} ${stat.ino} ${stat.size} ${stat.mtimeNs} ${stat.ctimeNs}`);
    if (stat !== null && isFresh(Number(stat.mtimeMs), now)) fresh = true;
    return stat;
  };
  const walk = async (name: string): Promise<void> => {
    if ((await look(name))?.isDirectory() !== true) return;
    const inside = await fs.readdir(path.join(common, name)).catch(ifMissing([] as string[]));
    for (const one of inside.toSorted()) await walk(`${name}/${one}`);
  };
  try {
    if ((await look('HEAD')) === null || (await look('reftable')) !== null) return null;
    // Git packs a ref before it takes its file away.
    for (const name of below) await walk(name);
    await look('packed-refs');
  } catch {
    return null; // a disk that fails, no rights: git says what it is
  }
  return fresh ? null : marks.join('\n');
}
