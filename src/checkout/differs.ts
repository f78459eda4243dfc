import path from 'node:path';
import { git, tryGit } from '../git/run.ts';
import { indexInfo, type TreeEntry } from '../git/tree.ts';
import { withIndex } from '../project/own-index.ts';
import type { Project } from '../project/project.ts';
import { statOf } from '../system/stat.ts';

/**
 * Which of these paths do not lie in the work tree as a version has them (null: nothing is there)? The one place that
 * compares files with a version: through git's filters, since a file may be stored in another form than it lies here.
 */
export async function differing(
  project: Project,
  wanted: ReadonlyMap<string, TreeEntry | null>,
): Promise<ReadonlySet<string>> {
  const found = new Set<string>();
  const entries: [string, TreeEntry][] = [];
  for (const [name, entry] of wanted)
    if (entry !== null) entries.push([name, entry]);
    else if ((await statOf(path.join(project.root, name))) !== null) found.add(name);
  if (entries.length === 0) return found;
  return await withIndex(project, async (env) => {
    const { root } = project;
    await git(root, ['read-tree', '--empty'], { env });
    await git(root, ['update-index', '-z', '--index-info'], { env, input: indexInfo(entries, '') });
    // Reads the files; afterwards the entries of those that are the same know their stats.
    await tryGit(root, ['update-index', '-q', '--refresh'], { env });
    for (const name of (await git(root, ['diff-files', '--name-only', '-z'], { env })).split('\0'))
      if (name !== '') found.add(name);
    return found;
  });
}
