import * as fs from 'node:fs/promises';
import path from 'node:path';
import * as v from 'valibot';
import { gitLine } from '../git/run.ts';
import type { Project } from '../project/project.ts';
import { makeFolder, readRecord, setAside } from '../project/state.ts';
import { flushAll, ifMissing, removeAllDurable, writeAllDurable } from '../system/disk.ts';
import { inParallel } from '../system/parallel.ts';
import { keepQueued } from './refs.ts';

/**
 * The queue on the disk: `.oxenvcs/queue/<seq>-<commit>.json`, one file an entry, so that a listing is in the order of
 * history. Hooks in plain sh write such files too. A ref keeps the commits alive until they are published (refs.ts).
 */

const schema = v.object({
  v: v.literal(1),
  /**
   * `publish`: a version of the published branch. `intent`: work that began offline. `rescue`: a version that could not
   * go onto the team's branch, and `branch` is the one on the remote that it goes to instead.
   */
  kind: v.picklist(['publish', 'intent', 'rescue']),
  commit: v.pipe(v.string(), v.regex(/^[0-9a-f]{40,64}$/)),
  branch: v.pipe(v.string(), v.nonEmpty()),
  /** How many commits the history up to this one has: the same whoever counts, and rising along a branch. */
  seq: v.pipe(v.number(), v.integer(), v.minValue(0)),
  createdAt: v.string(),
  /** Of an intent: what the remote's branch was when work began offline, and the files that it began with. */
  base: v.optional(v.nullable(v.string())),
  paths: v.optional(v.array(v.string())),
});

type Stored = v.InferOutput<typeof schema>;
type Kind = Stored['kind'];
export type Entry = Stored & { id: string };

export interface Listed {
  /** In the order of history. */
  entries: Entry[];
  /** Files that could not be read, or name a commit that is not here, and were set aside, with the reason. */
  damaged: { file: string; reason: string }[];
}

const queueFolder = ({ root }: Pick<Project, 'root'>): string => path.join(root, '.oxenvcs', 'queue');
const fileName = (id: string): string => `${id}.json`;

/** The id is the file's name, and tells the kind: `0000000012-<commit>`, `0000000012-<commit>-intent`. */
export function withId(entry: Stored): Entry {
  const suffix = entry.kind === 'publish' ? '' : `-${entry.kind}`;
  return { ...entry, id: `${String(entry.seq).padStart(10, '0')}-${entry.commit}${suffix}` };
}

/** Queues one commit. Doing it twice is the same as once. When this returns, the entry is on the disk. */
export async function enqueue(project: Project, commit: string, branch: string, createdAt: string): Promise<Entry> {
  return await add(project, { kind: 'publish', commit, branch, createdAt });
}

/** The consumer could not put this commit onto the team's branch: from now on it goes to `branch`, whatever becomes of HEAD. */
export async function noteRescue(project: Project, rescue: Pick<Entry, 'commit' | 'branch' | 'createdAt'>) {
  return await add(project, { kind: 'rescue', ...rescue });
}

/**
 * Work began while the remote could not be asked for the lock: on which version, when, and with which files. It stands
 * until the lock is taken, or the work is published otherwise. One at a time: the first is when the work began.
 */
export async function noteIntent(
  project: Project,
  intent: Pick<Entry, 'commit' | 'branch' | 'createdAt'> & { base: string | null; paths: string[] },
): Promise<void> {
  const { entries } = await listQueue(project, 'intent');
  if (!entries.some(({ branch }) => branch === intent.branch)) await add(project, { kind: 'intent', ...intent });
}

/** The lock is ours, or the work is on the remote: what was intended is done. */
export async function endIntents(project: Project): Promise<void> {
  await removeEntries(project, (await listQueue(project, 'intent')).entries);
}

async function add(project: Project, what: Omit<Stored, 'v' | 'seq'>): Promise<Entry> {
  const [count] = await Promise.all([
    gitLine(project.root, ['rev-list', '--count', what.commit, '--']),
    what.kind === 'intent' ? null : keepQueued(project, [what.commit]),
  ]);
  const entry = withId({ v: 1, seq: Number(count), ...what });
  await writeEntries(project, [entry]);
  return entry;
}

/** What keeps their commits alive comes first. */
export async function writeEntries(project: Project, entries: readonly Entry[]): Promise<void> {
  if (entries.length === 0) return;
  const folder = queueFolder(project);
  await makeFolder(folder);
  const files = entries.map(({ id, ...entry }) => ({ name: fileName(id), data: `${JSON.stringify(entry)}\n` }));
  await writeAllDurable(folder, files);
}

/** Reads the queue. Damaged entries are set aside; what they stood for comes back from Git (see rebuild.ts). */
export async function listQueue(project: Pick<Project, 'root'>, kind?: Kind): Promise<Listed> {
  const folder = queueFolder(project);
  const ids = (await fs.readdir(folder).catch(ifMissing<string[]>([])))
    .filter((name) => name.endsWith('.json') && !name.startsWith('.'))
    .map((name) => name.slice(0, -'.json'.length))
    .filter((id) => kind === undefined || kindOf(id) === kind)
    .toSorted();
  const listed: Listed = { entries: [], damaged: [] };
  const found = await inParallel(ids, async (id) => ({ id, read: await readEntry(project, folder, id) }));
  for (const { id, read } of found) {
    if (read.state === 'ok') listed.entries.push({ ...read.value, id });
    if (read.state === 'damaged') listed.damaged.push({ file: read.movedTo, reason: read.reason });
  }
  return listed;
}

const kindOf = (id: string): Kind => (/-(intent|rescue)$/.exec(id)?.[1] as Kind | undefined) ?? 'publish';

async function readEntry(project: Pick<Project, 'root'>, folder: string, id: string) {
  const file = path.join(folder, fileName(id));
  const read = await readRecord(project, file, schema);
  if (read.state !== 'ok' || withId(read.value).id === id) return read;
  const reason = 'it holds another entry than its name says';
  return { state: 'damaged' as const, movedTo: await setAside(project, file), reason };
}

/** Sets entries aside that name a commit which is not here. */
export async function setEntriesAside(project: Project, entries: readonly Entry[]): Promise<Listed['damaged']> {
  const reason = 'its commit is not in this repository';
  return await inParallel(entries, async ({ id }) => ({
    file: await setAside(project, path.join(queueFolder(project), fileName(id))),
    reason,
  }));
}

/** What this process has flushed: ten thousand entries are not flushed anew at each try. */
const flushed = new Set<string>();

/** A hook in plain sh cannot flush what it writes. */
export async function flushEntries(project: Project, entries: readonly Entry[]): Promise<void> {
  await flushNamed(
    queueFolder(project),
    entries.map(({ id }) => fileName(id)),
  );
}

/** The same for these commits, found by the names of the files alone. False: one of them has no entry of its own. */
export async function flushQueued(project: Project, commits: readonly string[]): Promise<boolean> {
  const folder = queueFolder(project);
  const wanted = new Set(commits);
  const found = new Map<string, string>();
  for (const name of await fs.readdir(folder).catch(ifMissing<string[]>([]))) {
    const commit = /^\d+-([0-9a-f]+)\.json$/.exec(name)?.[1] ?? '';
    if (wanted.has(commit)) found.set(commit, name);
  }
  if (found.size < wanted.size) return false;
  await flushNamed(folder, [...found.values()]);
  return true;
}

async function flushNamed(folder: string, all: readonly string[]): Promise<void> {
  const names = all.filter((name) => !flushed.has(path.join(folder, name)));
  await flushAll(folder, names);
  for (const name of names) flushed.add(path.join(folder, name));
}

export async function removeEntries(project: Project, entries: readonly Entry[]): Promise<void> {
  const folder = queueFolder(project);
  const names = entries.map(({ id }) => fileName(id));
  await removeAllDurable(folder, names);
  for (const name of names) flushed.delete(path.join(folder, name));
}
