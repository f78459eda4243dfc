import { asFailure, Failure, ifDiskFull } from '../model/failures.ts';
import { git } from '../git/run.ts';
import { alone } from '../project/guard.ts';
import type { Project } from '../project/project.ts';
import { notPublished } from '../project/rescue.ts';
import type { Clock } from '../system/clock.ts';
import {
  type Attempt,
  concernsAll,
  failureOf,
  isDue,
  noteAttempt,
  readAttempts,
  sameGroup,
  standing,
  stateAfter,
  type Urgency,
} from './attempts.ts';
import type { Entry } from './entries.ts';
import { finish, type Queue, rebuildQueue } from './rebuild.ts';

/** What goes out as one push: everything that waits for one branch of the remote. */
export interface Group {
  /** `rescue`: `branch` is nobody else's, and needs no lock. */
  kind: 'publish' | 'rescue';
  branch: string;
  /** The commit that the branch is to be at. */
  tip: string;
  /** Oldest first; all are in the history of `tip`. */
  entries: Entry[];
}

export interface DrainPorts<Published> {
  clock: Clock;
  /** How long another consumer is waited for, ms. */
  patienceMs: number;
  /** The wait before the try after that many attempts, of which the last one failed so, ms. */
  backoffMs: (attempts: number, failure: Failure) => number;
  /** Puts the group on the remote, where it may be already. Throws the Failure that prevented it. */
  publish: (group: Group, signal: AbortSignal) => Promise<Published>;
  urgency: Urgency;
  /** Only the group that holds the entry of this id. */
  only?: string;
  signal: AbortSignal;
}

/** What became of one group. */
export type Drained<Published> = Pick<Group, 'kind' | 'branch'> & { versions: number } & (
    | { outcome: 'published'; published: Published }
    /** `retryAt` (ms since 1970) is null where a person has to do something first. `tried`: just now. */
    | { outcome: 'not-yet'; failure: Failure; retryAt: number | null; tried: boolean }
  );

/**
 * One pass over the queue, as its only consumer: what waits for a branch goes out as one push of its last commit, then each
 * entry gets its end. Groups do not wait for each other, except where the remote as a whole cannot be used. Running it
 * twice is the same as once. Empty: there was nothing to do. Throws `busy` when another consumer is at work.
 */
export async function drain<Published>(project: Project, ports: DrainPorts<Published>): Promise<Drained<Published>[]> {
  return await asConsumer(project, ports.patienceMs, async (lost) => await onePass(project, ports, lost));
}

/** Nobody publishes meanwhile. Throws `busy`. */
export async function asConsumer<T>(
  project: Project,
  patienceMs: number,
  work: (lost: AbortSignal) => Promise<T>,
): Promise<T> {
  const guarded = await alone(project, 'publish', patienceMs, work);
  if (guarded.outcome === 'done') return guarded.value;
  throw new Failure('busy', { detail: `Process ${guarded.pid ?? '?'} of this project is publishing` });
}

async function onePass<Published>(
  project: Project,
  ports: DrainPorts<Published>,
  lost: AbortSignal,
): Promise<Drained<Published>[]> {
  const queue = await rebuildQueue(project, ports.clock.now());
  const groups = await groupsOf(project, queue);
  const wanted = groups.filter(
    ({ entries }) => ports.only === undefined || entries.some(({ id }) => id === ports.only),
  );
  const passed: Drained<Published>[] = [];
  for (const group of wanted) {
    const stopper = passed.find((one) => one.outcome === 'not-yet' && one.tried && concernsAll(one.failure));
    const before = standing(await readAttempts(project), group.entries)[0] ?? null;
    const one =
      stopper?.outcome === 'not-yet'
        ? await stopped(project, ports, group, before, stopper.failure)
        : await tryGroup(project, ports, group, before, lost);
    passed.push(one);
  }
  // Tries for what was published otherwise, or dropped.
  for (const attempt of await readAttempts(project))
    if (!groups.some((group) => sameGroup(group, attempt))) await noteAttempt(project, attempt, null);
  return passed;
}

/** Entries of a branch that the settings do not name wait until they do; intents are only noted. */
async function groupsOf(project: Project, { entries, dropped }: Queue): Promise<Group[]> {
  const groups: Group[] = [];
  for (const entry of entries.filter(({ kind }) => kind === 'rescue')) {
    const { branch, commit } = entry;
    const group = groups.find((one) => one.branch === branch);
    if (group === undefined) groups.push({ kind: 'rescue', branch, tip: commit, entries: [entry] });
    else Object.assign(group, { tip: commit, entries: [...group.entries, entry] });
  }
  const { branch } = project.config;
  const waiting = entries.filter((entry) => entry.kind === 'publish' && entry.branch === branch);
  const group = await upTo(project, waiting, dropped);
  if (group !== null) groups.push({ kind: 'publish', branch, ...group });
  return groups;
}

/** The newest version of the branch's line that was not dropped, and what is in its history. */
async function upTo(
  project: Project,
  waiting: Entry[],
  dropped: Entry[],
): Promise<Pick<Group, 'tip' | 'entries'> | null> {
  const last = waiting.at(-1);
  if (last === undefined) return null;
  if (dropped.length === 0) return { tip: last.commit, entries: waiting };
  const { branch } = project.config;
  const not = await notPublished(project);
  const list = async (args: string[]) =>
    (await git(project.root, ['rev-list', ...args, ...not, '--'])).split('\n').filter(Boolean);
  const out = new Set(dropped.map(({ commit }) => commit));
  const tip = (await list(['--first-parent', `refs/heads/${branch}`])).find((commit) => !out.has(commit));
  if (tip === undefined) return null;
  const below = new Set(await list([tip]));
  return { tip, entries: waiting.filter(({ commit }) => below.has(commit)) };
}

async function tryGroup<Published>(
  project: Project,
  ports: DrainPorts<Published>,
  group: Group,
  before: Attempt | null,
  lost: AbortSignal,
): Promise<Drained<Published>> {
  const { clock } = ports;
  const { kind, branch, entries } = group;
  const told = { kind, branch, versions: entries.length };
  const failed = before && failureOf(before);
  const isMore = before !== null && entries.some(({ seq }) => seq > before.seq);
  if (before !== null && failed !== null && !isDue(before, ports.urgency, clock.now(), isMore))
    return { ...told, outcome: 'not-yet', failure: failed, retryAt: before.nextAttemptAt, tried: false };
  const attempts = (before?.attempts ?? 0) + 1;
  const attempt: Attempt = { ...blank(group), attempts, failure: before?.failure ?? null };
  try {
    await noteAttempt(project, group, attempt);
    const published = await ports.publish(group, AbortSignal.any([lost, ports.signal]));
    await finish(project, entries, clock.now());
    await noteAttempt(project, group, null);
    return { ...told, outcome: 'published', published };
  } catch (error) {
    const failure = asFailure(error);
    // It was interrupted, not refused: the next one to come tries at once.
    if (ports.signal.aborted) {
      await noteAttempt(project, group, before);
      return { ...told, outcome: 'not-yet', failure, retryAt: clock.now(), tried: true };
    }
    return { ...told, tried: true, ...(await noteFailure(project, ports, group, attempt, failure)) };
  }
}

/** The remote as a whole could not be used a moment ago. */
async function stopped<Published>(
  project: Project,
  ports: DrainPorts<Published>,
  group: Group,
  before: Attempt | null,
  failure: Failure,
): Promise<Drained<Published>> {
  const { kind, branch, entries } = group;
  const attempt = { ...blank(group), attempts: before?.attempts ?? 0 };
  const noted = await noteFailure(project, ports, group, attempt, failure);
  return { kind, branch, versions: entries.length, tried: false, ...noted };
}

const blank = ({ kind, branch, tip, entries }: Group): Attempt => ({
  kind,
  branch,
  commit: tip,
  seq: Math.max(...entries.map(({ seq }) => seq)),
  state: 'working',
  pid: process.pid,
  attempts: 0,
  nextAttemptAt: null,
  delayMs: 0,
  failure: null,
});

async function noteFailure<Published>(
  project: Project,
  { clock, backoffMs }: DrainPorts<Published>,
  group: Group,
  attempt: Attempt,
  failure: Failure,
): Promise<{ outcome: 'not-yet'; failure: Failure; retryAt: number | null }> {
  const state = stateAfter(failure);
  const delayMs = state === 'halted' ? 0 : Math.ceil(backoffMs(Math.max(1, attempt.attempts), failure));
  const nextAttemptAt = state === 'halted' ? null : clock.now() + delayMs;
  const { row, details } = failure;
  await noteAttempt(project, group, { ...attempt, state, nextAttemptAt, delayMs, failure: { row, details } }).catch(
    // A disk that is full takes no notes either; what failed first is what is told.
    ifDiskFull(undefined),
  );
  return { outcome: 'not-yet', failure, retryAt: nextAttemptAt };
}
