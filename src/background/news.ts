import { authorsOf } from '../conflict/parted.ts';
import type { DawProfile } from '../daw/profile.ts';
import { placeOf } from '../git/place.ts';
import { refsMark, refTips } from '../git/refs.ts';
import { git, gitLine } from '../git/run.ts';
import { loadView } from '../lock/cache.ts';
import { capabilities } from '../lock/capabilities.ts';
import type { LockContext } from '../lock/context.ts';
import type { Verdict } from '../lock/judge.ts';
import { readRef } from '../lock/look.ts';
import { lockRef, mirrorRef } from '../lock/names.ts';
import { failureOf, takeIn, verdictOn } from '../lock/view.ts';
import { asFailure, type Failure } from '../model/failures.ts';
import { isAway } from '../network/comeback.ts';
import { makePeek } from '../network/peek.ts';
import { askedMs } from '../network/retry.ts';
import { branchTip, type Project } from '../project/project.ts';
import { conflictsOf } from '../sync/conflicts.ts';
import { bringIn } from '../sync/pull.ts';
import { askTeam, contains, knownTeam } from '../sync/team.ts';
import type { Clock } from '../system/clock.ts';
import { makeBell } from '../watch/bell.ts';
import { contextOf } from './context.ts';
import { isHere, lookThere } from './there.ts';

export type NewsEvent =
  /** The others have published versions that are not here; `authors` made them, at most three are named. */
  | { event: 'team-published'; commit: string; versions: number; authors: string[] }
  /** They are here now. */
  | { event: 'brought-in'; commit: string; versions: number }
  /** Why they cannot be brought in yet: it is tried again by itself. */
  | { event: 'not-brought-in'; failure: Failure }
  /** Somebody's work could not go onto the team's branch and lies on this one: a person has to decide. */
  | { event: 'rescued-elsewhere'; branch: string; author: string; id: string }
  /** Somebody else has taken the lock: who, and since when. */
  | { event: 'lock-elsewhere'; failure: Failure }
  /** Nobody has it any more. */
  | { event: 'lock-free' }
  | { event: 'trouble'; failure: Failure }
  /** It answers again, after it had turned us down. */
  | { event: 'let-in' };

export interface News {
  /** Somebody works here: the remote is looked at often again. */
  active(): void;
  /** The computer woke up: the remote is looked at now. */
  look(): void;
  /** Is nothing being written or made into a version? Only then is anything brought in. */
  calm(is: boolean): void;
  /** What is being recorded is left in peace. */
  recording(is: boolean): void;
  stop(): Promise<void>;
}

/** So long after the last sign of work, here or from the others, the remote is asked often (ms); a guess. */
const workMs = 600_000;
/** When all is quiet it is asked ever less, up to this, ms. */
const longestMs = 900_000;
/** How often it is tried to bring in what could not be, ms: a list of the processes, no network. */
const retryMs = 30_000;

/**
 * Looks at the remote by itself (one small request each `pull.pollSeconds` while somebody works), tells what the others have
 * done, and brings it in when that is safe (`pull.auto`). `quietMs`: for how long nobody had worked before. While the remote
 * is away nothing is said, for the publisher says it.
 */
export function startNews(
  project: Project,
  profile: DawProfile,
  clock: Clock,
  tell: (event: NewsEvent) => void,
  quietMs = 0,
): News {
  const { pull } = project.config;
  const pollMs = pull.pollSeconds * 1000;
  const stopped = new AbortController();
  const bell = makeBell(clock);
  const state = { calm: true, recording: false, workedAt: clock.monotonic() - quietMs, behind: false };
  // Where nobody has worked for long it is not asked often at first; many projects that begin at once do not go on at once.
  const firstMs = quietMs < workMs ? pollMs : Math.max(pollMs, (longestMs / 4) * (1 + Math.random()));
  const asks = { at: clock.monotonic(), afterMs: firstMs };
  const told = new Set<string>();
  /** What the remote turned us down with, at the last question. */
  let turnedDown: string | null = null;
  let toldUpTo: string | null = null;
  let seen = '';
  /** How the refs lay, here and at the remote, when they were last looked at; null: that cannot be told so. */
  const marks: { here: string | null; there: string | null } = { here: null, there: null };
  let before: Verdict | null = null;
  const context = contextOf(project, clock, stopped.signal);
  const peek = makePeek();

  const once = (key: string, event: NewsEvent): void => {
    if (!told.has(key) && !stopped.signal.aborted) tell(event);
    told.add(key);
  };
  const trouble = (error: unknown): void => {
    const failure = asFailure(error);
    if (failure.code !== 'OFFLINE') once(`trouble ${failure.message}`, { event: 'trouble', failure });
  };

  /** Why the remote does not answer as it should: told once, and it is not asked again before it wants to be. */
  const unanswered = (error: unknown): void => {
    const failure = asFailure(error);
    asks.at = Math.max(asks.at, clock.monotonic() + (askedMs(failure) ?? 0));
    if (failure.code === 'OFFLINE' || failure.message === turnedDown || stopped.signal.aborted) return;
    turnedDown = failure.message;
    tell({ event: 'trouble', failure });
  };
  const answered = (): void => {
    if (turnedDown !== null && !stopped.signal.aborted) tell({ event: 'let-in' });
    turnedDown = null;
  };

  const ask = async (): Promise<void> => {
    const now = clock.monotonic();
    // Twice as long each time, once nobody has worked for a while.
    asks.afterMs = now - state.workedAt < workMs ? pollMs : Math.min(asks.afterMs * 2, Math.max(longestMs, pollMs));
    asks.at = now + asks.afterMs;
    const ctx = await context();
    // While the publisher waits for the remote to come back, it asks for all of us.
    if (isAway(ctx.remote.url)) return;
    const { namespace } = await capabilities(ctx);
    const there = await lookThere(ctx, namespace, peek);
    const view = await loadView(ctx);
    // A note of the lock that somebody has swept away is made anew.
    const isSame = there !== null && there.mark === marks.there && view.checkedAt !== null;
    const tips = view.checkedAt === null ? null : (there?.tips ?? null);
    if (!isSame && (tips === null || !(await isHere(project, ctx, namespace, { tips, view })))) {
      marks.there = null;
      const also = [`+${namespace}*:refs/oxenvcs/mirror/*`];
      await askTeam(project, stopped.signal, { also, url: ctx.remote.url });
    }
    // Where nothing has changed there, only a lock that somebody holds may have run out.
    if (!isSame || before === null || before.is === 'held')
      await lookAtHolder(ctx, tips?.get(lockRef(ctx.branch, namespace)));
    marks.there = there?.mark ?? null;
    answered();
  };

  /**
   * Who has the lock now? What was seen before, perhaps by a process before this one, is no news. `there`: what the remote has
   * just listed for it.
   */
  const lookAtHolder = async (ctx: LockContext, there?: string): Promise<void> => {
    const view = await loadView(ctx);
    before ??= verdictOn(ctx, view);
    const ref = mirrorRef(ctx.branch);
    const [fetched = null] = await refTips(ctx.root, [ref]);
    const isKnown = view.checkedAt !== null && (there ?? fetched) === view.onRemote;
    // We have moved it ourselves meanwhile.
    if (!isKnown && there !== undefined && there !== fetched) return;
    const now = verdictOn(ctx, isKnown ? view : await takeIn(ctx, await readRef(ctx, ref)));
    if (now.is === 'held' && (before.is !== 'held' || before.held.record.lockId !== now.held.record.lockId))
      tell({ event: 'lock-elsewhere', failure: failureOf(ctx, now) });
    if ((now.is === 'free' || now.is === 'takeable') && before.is === 'held') tell({ event: 'lock-free' });
    before = now;
  };

  /** What is known of the others, compared with what is here; nothing is sent. */
  const look = async (): Promise<void> => {
    const { root, config } = project;
    const refs = ['refs/heads', `refs/remotes/${config.remote}`];
    const mark = await refsMark((await placeOf(root)).common, refs);
    if (mark !== null && mark === marks.here) return;
    const now = await git(root, ['for-each-ref', '--format=%(refname) %(objectname)', ...refs]);
    marks.here = mark;
    if (now === seen) return;
    marks.here = null;
    const [{ tip }, ours] = [await knownTeam(project), await branchTip(project)];
    state.behind = tip !== null && (ours === null || !(await contains(root, ours, tip)));
    if (tip !== null && state.behind) await tellVersions(tip, ours);
    for (const { id, isOurs, rescue, theirs } of await conflictsOf(project))
      if (!isOurs) once(`conflict ${id}`, { event: 'rescued-elsewhere', branch: rescue, author: theirs.author, id });
    seen = now;
    marks.here = mark;
  };

  const tellVersions = async (tip: string, ours: string | null): Promise<void> => {
    const known = [ours, toldUpTo].filter((commit) => commit !== null);
    const args = ['rev-list', '--count', '--no-merges', tip, ...known.map((commit) => `^${commit}`), '--'];
    const versions = Number(await gitLine(project.root, args));
    toldUpTo = tip;
    if (versions === 0) return; // a join, or a decision, of what was told before
    state.workedAt = clock.monotonic();
    const authors = await authorsOf(project.root, tip, known);
    once(`team ${tip}`, { event: 'team-published', commit: tip, versions, authors });
  };

  const bring = async (): Promise<void> => {
    const { tip } = await knownTeam(project);
    try {
      const { pulled, commit } = await bringIn(project, profile, tip, { byItself: true });
      state.behind = false;
      if (pulled > 0 && commit !== null) tell({ event: 'brought-in', versions: pulled, commit });
    } catch (error) {
      const failure = asFailure(error);
      // Our own versions are published first: they are joined with the team's then, or a person decides.
      if (failure.row === 'diverged' || stopped.signal.aborted) return;
      once(`not ${tip ?? ''} ${failure.row}`, { event: 'not-brought-in', failure });
    }
  };

  const loop = (async () => {
    while (!stopped.signal.aborted) {
      if (!state.recording) {
        if (clock.monotonic() >= asks.at) await ask().catch(unanswered);
        await look().catch(trouble);
        if (state.behind && state.calm && pull.auto && !stopped.signal.aborted) await bring();
      }
      const untilAsk = asks.at - clock.monotonic();
      const untilTry = state.behind && pull.auto ? Math.min(retryMs, pollMs) : Number.POSITIVE_INFINITY;
      if (!stopped.signal.aborted) await bell.wait(state.recording ? retryMs : Math.min(untilAsk, untilTry));
    }
  })();

  return {
    active() {
      state.workedAt = clock.monotonic();
      if (asks.afterMs <= pollMs) return;
      // It was seldom asked for a while: from now on it is often again.
      Object.assign(asks, { afterMs: pollMs, at: Math.min(asks.at, clock.monotonic() + pollMs) });
      bell.ring();
    },
    look() {
      asks.at = clock.monotonic();
      bell.ring();
    },
    calm(is) {
      const begins = is && !state.calm;
      state.calm = is;
      if (begins) bell.ring();
    },
    recording(is) {
      state.recording = is;
    },
    async stop() {
      stopped.abort(new Error('the watcher ends'));
      bell.ring();
      await loop;
      await peek.end();
    },
  };
}
