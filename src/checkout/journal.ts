import path from 'node:path';
import * as v from 'valibot';
import type { Project } from '../project/project.ts';
import { readRecord, writeRecord } from '../project/state.ts';
import { exists, removeDurable } from '../system/disk.ts';

/**
 * While it is there, files are being moved from one version to another: no version is made (commit/busy.ts names this
 * file), and whoever finds it after a crash goes on, or puts everything back. In Git's folder, where `git clean` does not
 * reach it.
 */
const schema = v.object({
  v: v.literal(1),
  /** The commit that the files were at; null: the branch had none. */
  from: v.nullable(v.string()),
  to: v.string(),
  /** For the reflog. */
  why: v.string(),
  /** When the files that are replaced were last written, ms since 1970: should all go back, so do the times. */
  times: v.record(v.string(), v.number()),
});

export type Journal = v.InferOutput<typeof schema>;

const file = ({ gitDir }: Pick<Project, 'gitDir'>): string => path.join(gitDir, 'oxenvcs', 'checkout.json');

export async function readJournal(project: Project): Promise<Journal | null> {
  const read = await readRecord(project, file(project), schema);
  return read.state === 'ok' ? read.value : null;
}

export const writeJournal = async (project: Project, journal: Omit<Journal, 'v'>): Promise<void> =>
  await writeRecord(file(project), { v: 1, ...journal });

export const endJournal = async (project: Project): Promise<void> => await removeDurable(file(project));

/** Is a move under way, or was one broken off? */
export const isUnderWay = async (project: Pick<Project, 'gitDir'>): Promise<boolean> => await exists(file(project));
