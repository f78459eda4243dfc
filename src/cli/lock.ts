import { breakLock } from '../lock/break.ts';
import { adoptFormer } from '../lock/clone.ts';
import { lockContext } from '../lock/context.ts';
import { type Acquired, acquireLock, releaseLock, renewLock } from '../lock/lease.ts';
import { lockHistory, shownLock, type LockStatus, lockStatus } from '../lock/status.ts';
import { lookAtLock } from '../lock/view.ts';
import { acquireWaiting } from '../lock/wait.ts';
import { maxHours } from '../model/config.ts';
import { asFailure, Failure } from '../model/failures.ts';
import { away } from '../network/away.ts';
import type { Project } from '../project/project.ts';
import { findDaw } from '../setup/find-daw.ts';
import { pull } from '../sync/pull.ts';
import { command, type Context } from './command.ts';
import { counted, duration, howMany, localTime, span } from './format.ts';
import type { Answer } from './output.ts';
import { withRetries } from './retries.ts';

const acquire = command({
  words: 'acquire',
  describe: 'Take the lock',
  options: (argv) =>
    argv
      .option('timeout', { type: 'number', describe: 'How long the lease lasts, in hours', requiresArg: true })
      .option('wait', { type: 'string', describe: 'Wait for it: 90s, 10m, 4h', requiresArg: true })
      .option('message', { type: 'string', describe: 'What for: shown to the others', requiresArg: true })
      .option('moved', {
        type: 'boolean',
        default: false,
        describe: 'This folder was moved here, and the old one is gone',
      }),
  async run({ timeout, wait, message, moved }, context) {
    if (timeout !== undefined && !(timeout > 0 && timeout <= maxHours))
      throw new Failure('usage', {
        detail: `--timeout takes a number of hours above 0, at most ${maxHours}`,
        command: 'lock acquire',
      });
    const waitMs = wait === undefined ? 0 : duration(wait, 'lock acquire');
    const project = await context.project();
    if (moved) await adoptFormer(project);
    const ctx = await lockContext(project, context.clock, context.signal);
    const lease = timeout === undefined ? {} : { leaseMs: Math.round(timeout * 3_600_000) };
    const wanted = { how: 'hand' as const, ...lease, ...(message === undefined ? {} : { message }) };
    const { attempts, value } = await withRetries(project, context, 'lock', async () => {
      const got = await acquireWaiting(ctx, wanted, {
        waitMs,
        onHeld: ({ failure }) => {
          if (waitMs > 0) context.output.tell(`Waiting: ${failure.message}`, { event: 'waiting', ...failure.details });
        },
      });
      if (got.outcome === 'stale-base')
        return await onNewest(project, context, got.failure, async () => await acquireLock(ctx, wanted));
      if ('failure' in got) throw await away(got.failure, ctx);
      return got;
    });
    const how = value.outcome === 'already-mine' ? 'You have the lock already' : 'Lock acquired';
    const until = localTime(value.held.record.expiresAt);
    return {
      data: { lock: shownLock(value.held.record, context.clock.now()), attempts, outcome: value.outcome },
      lines: [`✓ ${how}${attempts > 1 ? ` after ${attempts} attempts` : ''}; it lasts until ${until}.`],
    };
  },
});

/** Somebody published since: brings that in where it is safe, then asks again. Throws `stale` where it is not. */
async function onNewest(
  project: Project,
  context: Context,
  stale: Failure,
  again: () => Promise<Acquired>,
): Promise<Exclude<Acquired, { failure: Failure }>> {
  const daw = await findDaw(project.root, project.config.daw);
  const { pulled } = await pull(project, daw, context.signal).catch((cause: unknown) => {
    const why = asFailure(cause);
    throw why.code === 'OFFLINE' ? why : new Failure('stale-base', { ...stale.details, why: why.message }, why);
  });
  context.output.tell(`${counted(pulled, 'version')} of the team brought in.`, { event: 'pulled', pulled });
  const got = await again();
  if ('failure' in got) throw got.failure;
  return got;
}

const release = command({
  words: 'release',
  describe: 'Give the lock back',
  options: (argv) => argv,
  async run(_, context) {
    const project = await context.project();
    const ctx = await lockContext(project, context.clock, context.signal);
    const { attempts } = await withRetries(project, context, 'lock', async () => {
      const result = await releaseLock(ctx);
      if (result.outcome !== 'done') throw await away(result.failure, ctx);
      return result;
    });
    return { data: { lock: null, attempts, outcome: 'released' }, lines: ['✓ Lock released.'] };
  },
});

const renew = command({
  words: 'renew',
  describe: 'Begin the lease anew',
  options: (argv) => argv,
  async run(_, context) {
    const project = await context.project();
    const ctx = await lockContext(project, context.clock, context.signal);
    const { attempts, value } = await withRetries(project, context, 'lock', async () => {
      const result = await renewLock(ctx);
      if (result.outcome !== 'done') throw await away(result.failure, ctx);
      return result;
    });
    const { record } = value.held;
    return {
      data: { lock: shownLock(record, context.clock.now()), attempts, outcome: 'renewed' },
      lines: [`✓ Lock renewed; it lasts until ${localTime(record.expiresAt)}.`],
    };
  },
});

const breakIt = command({
  words: 'break',
  describe: 'Free somebody else’s lock, by force',
  options: (argv) =>
    argv.option('force', { type: 'boolean', default: false, describe: 'Yes, by force' }).option('reason', {
      type: 'string',
      describe: 'Why: the holder is told, and it stays in the history',
      requiresArg: true,
    }),
  async run({ force, reason }, context) {
    if (!force || reason === undefined || reason.trim() === '')
      throw new Failure('usage', {
        detail: 'Breaking a lock takes --force and --reason "TEXT"; speak with the holder first',
        command: 'lock break',
      });
    const project = await context.project();
    const ctx = await lockContext(project, context.clock, context.signal);
    const { attempts, value } = await withRetries(project, context, 'lock', async () => {
      const result = await breakLock(ctx, { reason });
      if ('failure' in result) throw await away(result.failure, ctx);
      return result;
    });
    if (value.outcome === 'not-held')
      return {
        data: { lock: null, attempts, outcome: 'broken' },
        lines: ['Nobody has the lock; there was nothing to break.'],
      };
    const whose = value.from === null ? 'a record that nobody can read' : `${value.from.record.owner.name}’s lock`;
    return {
      data: { lock: null, attempts, outcome: 'broken' },
      lines: [`✓ Broke ${whose}: it is free now. It stays in the history that you did it, and why.`],
    };
  },
});

const history = command({
  words: 'history',
  describe: 'Who held the lock, how long, who broke it and why',
  options: (argv) =>
    argv.option('limit', { type: 'number', default: 50, describe: 'How many at the most', requiresArg: true }),
  async run({ limit }, context) {
    const most = howMany(limit, 'limit', 'lock history');
    const project = await context.project();
    const ctx = await lockContext(project, context.clock, context.signal);
    const looked = await lookAtLock(ctx);
    if (looked.outcome !== 'read') {
      const failure = await away(looked.failure, ctx);
      if (failure.code !== 'OFFLINE') throw failure;
      context.output.warn(`${failure.message} This is what was last seen.`);
    }
    const entries = await lockHistory(ctx, { limit: most });
    return {
      data: { history: entries },
      lines:
        entries.length === 0
          ? ['Nobody has had the lock yet.']
          : entries.map(({ state, at, until, by, owner, event, reason, message }) => {
              const whose = by.name === owner.name && by.host === owner.host ? '' : ` (${owner.name}’s)`;
              const long = state === 'held' ? `, for ${span(Date.parse(until) - Date.parse(at))}` : '';
              return `${localTime(at)}  ${by.name} on ${by.host}  ${event}${whose}${long}${reason === null ? '' : `: ${reason}`}${message === '' ? '' : `  “${message}”`}`;
            }),
    };
  },
});

const status = command({
  words: 'status',
  describe: 'Who has the lock',
  options: (argv) => argv,
  async run(_, context): Promise<Answer> {
    const project = await context.project();
    const ctx = await lockContext(project, context.clock, context.signal);
    const { status: found, unreachable } = await lockStatus(ctx);
    const failure = unreachable === null ? null : await away(unreachable, ctx);
    if (failure !== null && failure.code !== 'OFFLINE' && failure.row !== 'disk-full') throw failure;
    if (failure !== null) context.output.warn(failure.message);
    return { data: found, lines: [describeLock(found)] };
  },
});

export const lock = {
  words: 'lock',
  describe: 'The lock: who may publish',
  commands: [acquire, release, renew, status, breakIt, history],
};

/** One line: who has the lock, where and since when. */
export function describeLock(status: LockStatus): string {
  // It is what the promise of the lock is worth there.
  const advisory = ' The remote cannot enforce it (advisory).';
  return `${whoHolds(status)}${status.fencing === 'advisory' ? advisory : ''}`;
}

function whoHolds({ held, mine, lock: shown, source, checkedAt }: LockStatus): string {
  if (checkedAt === null) return 'Who has the lock is not known: the remote could not be asked yet.';
  const age = source === 'cache' ? ` (as of ${localTime(checkedAt)})` : '';
  if (!held) return `Nobody has the lock${age}.`;
  if (shown === null) return `The lock is held, by a record that this oxenvcs cannot read${age}.`;
  if (mine) return `You have the lock until ${localTime(shown.expiresAt)}${age}.`;
  const message = shown.message === '' ? '' : `: ${shown.message}`;
  return `${shown.owner.name} has the lock, on ${shown.owner.host} since ${localTime(shown.acquiredAt)}${shown.expired ? ', but it has run out' : ''}${message}${age}.`;
}
