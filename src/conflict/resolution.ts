import path from 'node:path';
import { listTree, sameEntry, type TreeEntry } from '../git/tree.ts';
import type { Project } from '../project/project.ts';
import { decide } from './compare.ts';
import { sideBySide } from './copy.ts';
import { mergeCommit, treeOf } from './merge.ts';
import type { Conflict } from './open.ts';

export type Keep = 'mine' | 'theirs' | 'both';

/**
 * The version that ends a conflict: a merge of the team's branch and the work that could not go onto it. What only one
 * side changed is in it whatever is kept; of what is in common, the one that is kept, or both side by side. No file moves.
 */
export async function resolutionCommit(project: Project, conflict: Conflict, keep: Keep): Promise<string> {
  const { root } = project;
  const { parted, isOurs, mine, theirs: other, files } = conflict;
  const { ours, theirs, here, there, compared } = parted;
  const myself = isOurs ? 'ours' : 'theirs';
  const kept = keep === 'theirs' ? (isOurs ? 'theirs' : 'ours') : myself;
  let entries: Map<string, TreeEntry | null> = decide(compared, here, there, kept);
  if (keep === 'both') {
    const [ofOurs, ofTheirs] = [await listTree(root, ours), await listTree(root, theirs)];
    const joined = new Map(ofTheirs);
    for (const [name, entry] of entries)
      if (entry === null) joined.delete(name);
      else joined.set(name, entry);
    const whole = sideBySide({
      mine: isOurs ? ofOurs : ofTheirs,
      other: isOurs ? ofTheirs : ofOurs,
      joined,
      inCommon: compared.inCommon,
      author: other.author,
      daw: parted.daw,
      project: path.basename(root),
    });
    entries = differences(ofTheirs, whole);
  }
  const tree = await treeOf(project, theirs, entries);
  const how =
    keep === 'both'
      ? `both ${mine.author}’s and ${other.author}’s`
      : `${keep === 'mine' ? mine.author : other.author}’s`;
  const what = files.length > 3 ? `${files.length} files` : files.join(', ');
  const message = `Both had worked on ${what}: ${how} kept`.replace(/\p{Cc}+/gu, ' ');
  return await mergeCommit(project, { tree, parents: [theirs, ours], message });
}

/** What must be put into `from` to make it `to`. */
function differences(
  from: ReadonlyMap<string, TreeEntry>,
  to: ReadonlyMap<string, TreeEntry>,
): Map<string, TreeEntry | null> {
  const found = new Map<string, TreeEntry | null>();
  for (const name of from.keys()) if (!to.has(name)) found.set(name, null);
  for (const [name, entry] of to) if (!sameEntry(entry, from.get(name) ?? null)) found.set(name, entry);
  return found;
}
