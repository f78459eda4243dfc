import * as v from 'valibot';
import { Failure, failureNames } from '../model/failures.ts';
import { type Project, statePath } from '../project/project.ts';
import { readRecord, writeRecord } from '../project/state.ts';
import { isoTime } from '../system/clock.ts';
import { removeDurable } from '../system/disk.ts';
import { isAlive } from '../system/process.ts';
import type { Entry } from './entries.ts';

/**
 * What became of the last try to publish. Consecutive entries go out as one push, so one record tells it for all entries
 * of a branch up to `seq`: a queue of ten thousand entries is not rewritten at each try.
 */

const attemptSchema = v.object({
  kind: v.picklist(['publish', 'rescue']),
  branch: v.string(),
  /** The last commit that the try was for, and its place in history. */
  commit: v.string(),
  seq: v.number(),
  state: v.picklist(['working', 'waiting', 'failed', 'halted']),
  /** The process that works, if it does. */
  pid: v.number(),
  attempts: v.number(),
  /** Before this time (ms since 1970) it is not tried again by itself; null: a person has to do something first. */
  nextAttemptAt: v.nullable(v.pipe(v.number(), v.minValue(0), v.maxValue(8.64e15))),
  /** How long that was from the try, ms. */
  delayMs: v.number(),
  /** A row that only a newer version knows is no reason to forget the rest. */
  failure: v.fallback(
    v.nullable(
      v.object({
        row: v.picklist(failureNames),
        details: v.record(v.string(), v.union([v.string(), v.number(), v.boolean(), v.null()])),
      }),
    ),
    null,
  ),
});
const schema = v.object({ v: v.literal(1), attempts: v.array(attemptSchema) });

export type Attempt = v.InferOutput<typeof attemptSchema>;
type Group = Pick<Attempt, 'kind' | 'branch'>;

const file = (project: Project): string => statePath(project, 'queue.json');
export const sameGroup = (a: Pick<Entry, 'kind' | 'branch'>, b: Group): boolean =>
  a.kind === b.kind && a.branch === b.branch;

/** The last try of each branch that something waits for (a damaged record is no reason not to try). */
export async function readAttempts(project: Project): Promise<Attempt[]> {
  const read = await readRecord(project, file(project), schema);
  return read.state === 'ok' ? read.value.attempts : [];
}

/** Puts one try in the place of the one before; `null`: everything of that branch is published, nothing is left to tell. */
export async function noteAttempt(project: Project, group: Group, attempt: Attempt | null): Promise<void> {
  const before = await readAttempts(project);
  const others = before.filter((one) => !sameGroup(one, group));
  const attempts = attempt === null ? others : [...others, attempt];
  if (attempts.length > 0) await writeRecord(file(project), { v: 1, attempts });
  else if (before.length > 0) await removeDurable(file(project));
}

/** The tries that still tell something: one for a commit that was rewritten away from the branch since does not. */
export const standing = (attempts: readonly Attempt[], entries: readonly Entry[]): Attempt[] =>
  attempts.filter((one) => entries.some((entry) => entry.commit === one.commit && sameGroup(entry, one)));

/** `waiting` for the lock or the team, `failed` and tried again by itself, `halted` until a person has done something. */
export function stateAfter({ code, row, retryable }: Failure): 'waiting' | 'failed' | 'halted' {
  if (row === 'lock-damaged' || ['LOCK_HELD', 'LOCK_LOST', 'STALE_BASE', 'CONFLICT', 'BUSY'].includes(code))
    return 'waiting';
  return retryable || code === 'INTERNAL' ? 'failed' : 'halted';
}

/** These are not about what is pushed, but about the way to the remote: nothing else would get through either. */
export const concernsAll = ({ code }: Failure): boolean => ['OFFLINE', 'AUTH', 'CONFIG_INVALID'].includes(code);

export const failureOf = ({ failure }: Attempt): Failure | null =>
  failure === null ? null : new Failure(failure.row, failure.details);

/**
 * How a try comes to be made. `when-due`: by itself, when its time has come. `reachable`: the remote has just let us in,
 * so what failed on the way to it is worth a try. `by-hand`: a person asks, so nothing is left out.
 */
export type Urgency = 'when-due' | 'reachable' | 'by-hand';

/**
 * Is it time for the next try? Pure. `now`: ms since 1970. `isMore`: something was saved since, which is worth a look whether
 * the way to the remote (a password, its address) was mended meanwhile.
 */
export function isDue(attempt: Attempt, urgency: Urgency, now: number, isMore = false): boolean {
  if (urgency === 'by-hand' || attempt.state === 'working') return true;
  const failure = failureOf(attempt);
  if (attempt.state === 'halted')
    return (urgency === 'reachable' || isMore) && failure !== null && concernsAll(failure);
  if (urgency === 'reachable' || attempt.nextAttemptAt === null) return true;
  const left = attempt.nextAttemptAt - now;
  // More than there ever was: the clock was set back meanwhile.
  return left <= 0 || left > attempt.delayMs;
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
  lastError: { code: string; message: string } | null;
}

/**
 * Entries with what is known of their last try. Pure, but for asking whether the working process is alive. `branch`: the
 * one that is published; entries of another one wait until the settings name it again.
 */
export function showQueue(
  entries: readonly Entry[],
  attempts: readonly Attempt[],
  branch: string,
  alive: (pid: number) => boolean = isAlive,
): ShownEntry[] {
  const tries = standing(attempts, entries);
  return entries.map((entry) => {
    const { id, seq, kind, commit, createdAt } = entry;
    const tried = tries.find((one) => sameGroup(entry, one) && seq <= one.seq);
    const failure = tried ? failureOf(tried) : null;
    const untried = kind === 'publish' && entry.branch !== branch ? 'waiting' : 'pending';
    const isOver = tried?.state === 'working' && !alive(tried.pid);
    const nextAttemptAt = tried?.nextAttemptAt ?? null;
    return {
      id,
      seq,
      kind,
      state: tried === undefined || isOver ? untried : tried.state,
      commit,
      branch: entry.branch,
      createdAt,
      attempts: tried?.attempts ?? 0,
      nextAttemptAt: nextAttemptAt === null ? null : isoTime(nextAttemptAt),
      lastError: failure === null ? null : { code: failure.code, message: failure.message },
    };
  });
}
