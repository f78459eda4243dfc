import * as v from 'valibot';
import { isoTime } from '../system/clock.ts';
import { localTime } from '../model/failures.ts';
import { whoHas } from './guard.ts';
import { pauseOf } from './pause.ts';
import { type Project, statePath } from './project.ts';
import { readRecord, writeRecord } from './state.ts';

const Noted = v.object({
  v: v.literal(1),
  state: v.picklist(['clean', 'dirty', 'settling', 'committing', 'held', 'paused', 'off']),
  detail: v.string(),
  at: v.string(),
  /** When something last happened in the project. */
  workedAt: v.optional(v.string()),
});

export type WatcherStatus = Pick<v.InferOutput<typeof Noted>, 'state' | 'detail'>;

const file = (project: Project): string => statePath(project, 'watcher.json');
/** By project: one on a disk that does not answer must not hold up the others. */
const writing = new Map<string, Promise<void>>();

/**
 * For `status` in another terminal, and for the next that watches. In the background: the watcher does not wait, and what
 * it does next is written after. `quietMs`: for how long nothing has happened.
 */
export function noteWatcher(project: Project, { state, detail }: WatcherStatus, quietMs: number): void {
  const record = { v: 1, state, detail, at: isoTime(Date.now()), workedAt: isoTime(Date.now() - Math.round(quietMs)) };
  // Only news for people: a disk that is full must not stop the watcher, which will meet it where it matters.
  const before = writing.get(project.root) ?? Promise.resolve();
  const written = before.then(async () => await writeRecord(file(project), record)).catch(() => undefined);
  writing.set(project.root, written);
  void written.then(() => writing.get(project.root) === written && writing.delete(project.root));
}

/** Where nothing has happened for so long, ms, what is done after a save was done then: it need not be looked for at the start. */
export const asleepMs = 86_400_000;

/** For how long nothing has happened in the project, ms; null where that is not known: nobody has watched it yet. */
export async function quietFor(project: Project, now: number): Promise<number | null> {
  const read = await readRecord(project, file(project), Noted);
  if (read.state !== 'ok' || read.value.workedAt === undefined) return null;
  return Math.max(0, now - Date.parse(read.value.workedAt) || 0);
}

/** What the watcher of a project is doing; `off` when no process watches. `host`: the other computer on which it does. */
export async function watcherStatus(
  project: Project,
): Promise<WatcherStatus & { pid: number | null; host: string | null }> {
  const [holder, paused] = await Promise.all([whoHas(project, 'watch'), pauseOf(project, Date.now())]);
  const who = { pid: holder?.pid ?? null, host: holder?.elsewhere?.host ?? null };
  if (paused !== null) {
    const detail = paused.until === null ? 'until `oxenvcs resume`' : `until ${localTime(paused.until)}`;
    return { state: 'paused', detail, ...who };
  }
  if (holder === null) return { state: 'off', detail: 'nobody watches this project', ...who };
  const read = await readRecord(project, file(project), Noted);
  return read.state === 'ok'
    ? { state: read.value.state, detail: read.value.detail, ...who }
    : { state: 'clean', detail: '', ...who };
}
