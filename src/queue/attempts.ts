import * as v from 'valibot';
import { type Code, type Failure } from '../model/failures.ts';
import { type Project, statePath } from '../project/project.ts';
import { readRecord, writeRecord } from '../project/state.ts';
import { isoTime } from '../system/clock.ts';
import { removeDurable } from '../system/disk.ts';
import { isAlive } from '../system/process.ts';
import type { Entry } from './entries.ts';

/**
 * What became of the last try to publish. Consecutive entries go out as one push, so one record tells it for all of
 * them up to `seq`: a queue of ten thousand entries is not rewritten at each try.
 */

const Attempt = v.object({
  v: v.literal(1),
  /** The place in history up to which the try went. */
  seq: v.number(),
  state: v.picklist(['working', 'waiting', 'failed', 'halted']),
  /** The process that works, if it does. */
  pid: v.number(),
  attempts: v.number(),
  /** Before this time it is not tried again by itself. Kept over restarts. */
  nextAttemptAt: v.nullable(v.string()),
  lastError: v.nullable(v.object({ code: v.string(), message: v.string() })),
});

export type Attempt = v.InferOutput<typeof Attempt>;

const file = (project: Project): string => statePath(project, 'publish.json');

/** The last try, or null when nothing is known of one (a damaged record is no reason not to try). */
export async function readAttempt(project: Project): Promise<Attempt | null> {
  const read = await readRecord(project, file(project), Attempt);
  return read.state === 'ok' ? read.value : null;
}

/** A try begins. */
export async function noteWorking(project: Project, seq: number): Promise<Attempt> {
  const before = await readAttempt(project);
  const attempts = (before?.attempts ?? 0) + 1;
  const lastError = before?.lastError ?? null;
  const attempt: Attempt = { v: 1, seq, state: 'working', pid: process.pid, attempts, nextAttemptAt: null, lastError };
  await writeRecord(file(project), attempt);
  return attempt;
}

/** The try failed; `retryAt` (ms since 1970): when it is tried again by itself. A halted one waits for a person. */
export async function noteFailed(
  project: Project,
  attempt: Attempt,
  failure: Failure,
  retryAt: number | null,
): Promise<void> {
  const lastError = { code: failure.code, message: failure.message };
  const nextAttemptAt = retryAt === null ? null : isoTime(retryAt);
  await writeRecord(file(project), { ...attempt, state: stateAfter(failure.code), nextAttemptAt, lastError });
}

/** Everything is published: nothing is left to tell. */
export async function noteDone(project: Project): Promise<void> {
  await removeDurable(file(project));
}

/** `waiting` for the lock, `failed` and tried again by itself, `halted` until a person has done something. */
export function stateAfter(code: Code): 'waiting' | 'failed' | 'halted' {
  if (code === 'LOCK_HELD' || code === 'BUSY') return 'waiting';
  return code === 'OFFLINE' || code === 'INTERNAL' ? 'failed' : 'halted';
}

/** An entry as `queue list --json` gives it. */
export interface ShownEntry {
  id: string;
  seq: number;
  kind: Entry['kind'];
  state: 'pending' | Attempt['state'];
  commit: string;
  branch: string;
  createdAt: string;
  attempts: number;
  nextAttemptAt: string | null;
  lastError: Attempt['lastError'];
}

/** Entries with what is known of their last try. Pure, but for asking whether the working process is alive. */
export function showQueue(
  entries: readonly Entry[],
  attempt: Attempt | null,
  alive: (pid: number) => boolean = isAlive,
): ShownEntry[] {
  const dead = attempt?.state === 'working' && !alive(attempt.pid);
  return entries.map(({ id, seq, kind, commit, branch, createdAt }) => {
    const tried = attempt !== null && seq <= attempt.seq ? attempt : null;
    return {
      id,
      seq,
      kind,
      state: tried === null || dead ? 'pending' : tried.state,
      commit,
      branch,
      createdAt,
      attempts: tried?.attempts ?? 0,
      nextAttemptAt: tried?.nextAttemptAt ?? null,
      lastError: tried?.lastError ?? null,
    };
  });
}
