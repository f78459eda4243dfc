import * as v from 'valibot';
import { isoTime } from '../system/clock.ts';
import { whoHas } from './guard.ts';
import { type Project, statePath } from './project.ts';
import { readRecord, writeRecord } from './state.ts';

const Noted = v.object({
  v: v.literal(1),
  state: v.picklist(['clean', 'dirty', 'settling', 'committing', 'held', 'paused', 'off']),
  detail: v.string(),
  at: v.string(),
});

export type WatcherStatus = Pick<v.InferOutput<typeof Noted>, 'state' | 'detail'>;

const file = (project: Project): string => statePath(project, 'watcher.json');
let writing = Promise.resolve();

/** For `status` in another terminal. In the background: the watcher does not wait, and what it does next is written after. */
export function noteWatcher(project: Project, { state, detail }: WatcherStatus): void {
  const record = { v: 1, state, detail, at: isoTime(Date.now()) };
  // Only news for people: a disk that is full must not stop the watcher, which will meet it where it matters.
  writing = writing.then(() => writeRecord(file(project), record)).catch(() => undefined);
}

/** What the watcher of a project is doing; `off` when no process watches. */
export async function watcherStatus(project: Project): Promise<WatcherStatus & { pid: number | null }> {
  const holder = await whoHas(project, 'watch');
  if (holder === null) return { state: 'off', detail: 'nobody watches this project', pid: null };
  const { pid } = holder;
  const read = await readRecord(project, file(project), Noted);
  return read.state === 'ok'
    ? { state: read.value.state, detail: read.value.detail, pid }
    : { state: 'clean', detail: '', pid };
}
