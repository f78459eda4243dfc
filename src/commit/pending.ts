import { randomUUID } from 'node:crypto';
import path from 'node:path';
import * as v from 'valibot';
import { git } from '../git/run.ts';
import type { PendingSave } from '../model/save.ts';
import type { Project } from '../project/project.ts';
import { readRecord, writeRecord } from '../project/state.ts';
import { blobsThere } from './capture.ts';

/**
 * What was captured and is no version yet, because a take still grows, a merge is under way, or gigabytes are stored. The
 * DAW has saved over it by now, perhaps: its bytes are in the object store alone. So it is noted which they are, and
 * refs/oxenvcs/captured/<id>/<blob> keeps them while nothing else does.
 */

const digits = v.pipe(v.string(), v.regex(/^-?\d+$/));
const Journal = v.object({
  v: v.literal(1),
  /** Refs are shared by the worktrees of a repository; these are ours. It stays the same. */
  id: v.pipe(v.string(), v.uuid()),
  /** Oldest first. */
  saves: v.array(
    v.object({
      captured: v.array(
        v.object({
          file: v.object({ path: v.string(), mode: v.picklist(['100644', '100755', '120000']), oid: v.string() }),
          stat: v.object({ size: digits, mtimeNs: digits, ino: digits }),
        }),
      ),
      deleted: v.array(v.string()),
    }),
  ),
});
type Saves = v.InferOutput<typeof Journal>['saves'];

export interface Pending {
  /** What the process before this one has left, oldest first. */
  read(): Promise<PendingSave[]>;
  /** Puts these in the place of what was noted before; once this returns they are on the disk. */
  note(saves: readonly PendingSave[]): Promise<void>;
}

export function pendingSaves(project: Project): Pending {
  const { root, gitDir } = project;
  const file = path.join(gitDir, 'oxenvcs', 'pending-saves.json');
  let id: string | null = null;
  /** What the file holds; null: it has to be written anew. */
  let noted: string | null = '[]';

  const write = async (saves: Saves): Promise<void> => {
    await writeRecord(file, { v: 1, id, saves });
  };
  const changeRefs = async (lines: string[]): Promise<void> => {
    if (lines.length > 0) await git(root, ['update-ref', '--stdin'], { input: lines.join('') });
  };

  return {
    async read() {
      const read = await readRecord(project, file, Journal);
      if (read.state !== 'ok') return [];
      ({ id } = read.value);
      noted = JSON.stringify(read.value.saves);
      const files = read.value.saves.flatMap(({ captured }) => captured.map(({ file }) => file));
      const there = await blobsThere(root, files);
      return fromJson(read.value.saves.filter(({ captured }) => captured.every((one) => there.has(one.file.oid))));
    },
    async note(saves) {
      const value = toJson(saves);
      const text = JSON.stringify(value);
      if (text === noted) return;
      noted = null;
      if (id === null) {
        id = randomUUID();
        await write([]);
      }
      const prefix = `refs/oxenvcs/captured/${id}/`;
      const refs = await git(root, ['for-each-ref', '--format=%(refname)', prefix]);
      const has = new Set(refs.split('\n').map((ref) => ref.slice(prefix.length)));
      const wanted = new Set(saves.flatMap(({ captured }) => captured.map((one) => one.file.oid)));
      // Whenever it ends in between: what is noted has its refs.
      await changeRefs([...wanted].filter((oid) => !has.has(oid)).map((oid) => `update ${prefix}${oid} ${oid}\n`));
      await write(value);
      await changeRefs(
        [...has].filter((oid) => oid !== '' && !wanted.has(oid)).map((oid) => `delete ${prefix}${oid}\n`),
      );
      noted = text;
    },
  };
}

const toJson = (saves: readonly PendingSave[]): Saves =>
  saves.map(({ captured, deleted }) => ({
    captured: captured.map(({ file, stat }) => ({
      file,
      stat: { size: String(stat.size), mtimeNs: String(stat.mtimeNs), ino: String(stat.ino) },
    })),
    deleted,
  }));

const fromJson = (saves: Saves): PendingSave[] =>
  saves.map(({ captured, deleted }) => ({
    captured: captured.map(({ file, stat }) => ({
      file,
      stat: { size: BigInt(stat.size), mtimeNs: BigInt(stat.mtimeNs), ino: BigInt(stat.ino) },
    })),
    deleted,
  }));
