import { Failure } from '../model/failures.ts';
import type { Project } from '../project/project.ts';
import { asConsumer } from './drain.ts';
import { type Entry, removeEntries } from './entries.ts';
import { lookAtQueue } from './rebuild.ts';
import { keepSuperseded, markDropped, unmarkDropped } from './refs.ts';

export interface Dropped {
  entry: Entry;
  /** Versions that wait still and build on it: it goes out with them all the same. */
  later: number;
}

/**
 * Takes one entry out of the queue, and notes that with a ref, for the queue is rebuilt from Git: it does not come back by
 * itself. Its commit stays in the history and is kept alive. A version that builds on it and is published takes it along:
 * Git publishes whole histories. Throws `no-such-entry`; `busy` while something is being published.
 */
export async function dropEntry(project: Project, id: string, now: number, patienceMs: number): Promise<Dropped> {
  return await asConsumer(project, patienceMs, async () => {
    const { entries, dropped } = await lookAtQueue(project);
    const entry = findEntry([...entries, ...dropped], id);
    const { kind, commit, branch } = entry;
    const line = entries.filter((one) => one.kind === 'publish' && one.branch === project.config.branch);
    const isOnLine = [...line, ...dropped].some((one) => one.commit === commit);
    // A rescue would be begun again by the version that it is for.
    if (kind !== 'intent' && isOnLine) await markDropped(project, [commit]);
    else if (kind !== 'intent') await keepSuperseded(project, [commit], now);
    await removeEntries(project, [entry]);
    const at = line.findIndex((one) => one.commit === commit && one.branch === branch);
    return { entry, later: at < 0 ? 0 : line.length - at - 1 };
  });
}

/** The entry of that id, also if it was dropped: then it is put back. Throws `no-such-entry`. */
export async function takeBack(project: Project, id: string): Promise<Entry> {
  const { entries, dropped } = await lookAtQueue(project);
  const entry = findEntry([...entries, ...dropped], id);
  if (dropped.includes(entry)) await unmarkDropped(project, [entry.commit]);
  return entry;
}

/** By the whole id, or the beginning of the commit as `queue list` shows it. */
function findEntry(entries: readonly Entry[], id: string): Entry {
  const exact = entries.find((one) => one.id === id);
  if (exact) return exact;
  const found = /^[0-9a-f]{4,}$/.test(id) ? entries.filter(({ commit }) => commit.startsWith(id)) : [];
  // One version may have several entries; the one that publishes it is meant.
  const [first] = [...found].toSorted((a, b) => Number(b.kind === 'publish') - Number(a.kind === 'publish'));
  if (first === undefined) throw new Failure('no-such-entry', { id });
  if (found.some(({ commit }) => commit !== first.commit))
    throw new Failure('usage', { detail: `More than one entry begins with ${id}`, command: 'queue list' });
  return first;
}
