import path from 'node:path';
import { gitAsks } from '../git/run.ts';
import { exists } from '../system/disk.ts';

/** What git leaves in its folder while something of the user's is under way. */
const marks: Record<string, string> = {
  MERGE_HEAD: 'a merge is under way',
  'rebase-merge': 'a rebase is under way',
  'rebase-apply': 'a rebase is under way',
  CHERRY_PICK_HEAD: 'a cherry-pick is under way',
  REVERT_HEAD: 'a revert is under way',
  BISECT_LOG: 'a bisect is under way',
  // Ours: see checkout/journal.ts.
  'oxenvcs/checkout.json': 'versions of the team are being brought in',
};

export const detached = 'an older version is checked out';

/** Why no version may be made now, or null: never in the middle of the user's own Git work. */
export async function whyNotNow({ root, gitDir }: { root: string; gitDir: string }): Promise<string | null> {
  return (await underWay({ gitDir })) ?? ((await gitAsks(root, ['symbolic-ref', '--quiet', 'HEAD'])) ? null : detached);
}

/** Like `whyNotNow`, without a look at what is checked out. */
export async function underWay({ gitDir }: { gitDir: string }): Promise<string | null> {
  for (const [mark, reason] of Object.entries(marks)) if (await exists(path.join(gitDir, mark))) return reason;
  return null;
}
