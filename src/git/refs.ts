import path from 'node:path';
import { readText } from '../system/disk.ts';
import { placeOf } from './place.ts';
import { git } from './run.ts';

/**
 * What refs are at; null: there is no such ref. Read from git's own files where they are plain (a file with an object's id,
 * or a line of packed-refs), since a process takes 3 ms; whatever looks otherwise (symbolic, another format, none) git is
 * asked about.
 */
export async function refTips(root: string, refs: readonly string[]): Promise<(string | null)[]> {
  const { common } = await placeOf(root);
  const tips = await Promise.all(refs.map(async (ref) => await looseTip(path.join(common, ref))));
  // Only after the loose ones: git packs a ref before it takes its file away.
  if (tips.includes('none')) {
    const packed = (await readText(path.join(common, 'packed-refs')).catch(() => null)) ?? '';
    for (const [n, ref] of refs.entries()) if (tips[n] === 'none') tips[n] = tipIn(packed, ref) ?? 'ask';
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
