import { lockContext } from '../lock/context.ts';
import { acquireLock, releaseLock } from '../lock/lease.ts';
import { type LockStatus, lockStatus, shownLock } from '../lock/status.ts';
import { Failure } from '../model/failures.ts';
import { command } from './command.ts';
import { duration, localTime } from './format.ts';
import type { Answer } from './output.ts';
import { withRetries } from './retries.ts';

const acquire = command({
  words: 'acquire',
  describe: 'Take the lock',
  options: (argv) =>
    argv
      .option('timeout', { type: 'number', describe: 'How long the lease lasts, in hours', requiresArg: true })
      .option('wait', { type: 'string', describe: 'Wait for it: 90s, 10m, 4h', requiresArg: true })
      .option('message', { type: 'string', describe: 'What for: shown to the others', requiresArg: true }),
  async run({ timeout, wait, message }, context) {
    if (timeout !== undefined && !(timeout > 0))
      throw new Failure('usage', { detail: '--timeout takes a number of hours above 0', command: 'lock acquire' });
    const waitMs = wait === undefined ? 0 : duration(wait, 'lock acquire');
    const project = await context.project();
    const ctx = await lockContext(project, context.clock, context.signal);
    const wanted = {
      how: 'hand' as const,
      ...(timeout === undefined ? {} : { leaseMs: timeout * 3_600_000 }),
      ...(message === undefined ? {} : { message }),
    };
    const end = context.clock.monotonic() + waitMs;
    let told = '';
    for (;;) {
      const { attempts, value } = await withRetries(project, context, async () => {
        const result = await acquireLock(ctx, wanted);
        if (result.outcome === 'unreachable' || result.outcome === 'refused') throw result.failure;
        return result;
      });
      if (!('failure' in value)) {
        const { outcome, held } = value;
        const how = outcome === 'already-mine' ? 'You have the lock already' : 'Lock acquired';
        return {
          data: { lock: shownLock(held.record, context.clock.now()), attempts, outcome },
          lines: [
            `✓ ${how}${attempts > 1 ? ` after ${attempts} attempts` : ''}; it lasts until ${localTime(held.record.expiresAt)}.`,
          ],
        };
      }
      const left = end - context.clock.monotonic();
      if (value.outcome === 'stale-base' || left <= 0) throw value.failure;
      if (value.failure.message !== told)
        context.output.tell(`Waiting: ${value.failure.message}`, { event: 'waiting', ...value.failure.details });
      told = value.failure.message;
      await context.clock.sleep(Math.min(left, project.config.pull.pollSeconds * 1000, 5000), context.signal);
    }
  },
});

const release = command({
  words: 'release',
  describe: 'Give the lock back',
  options: (argv) => argv,
  async run(_, context) {
    const project = await context.project();
    const ctx = await lockContext(project, context.clock, context.signal);
    const { attempts } = await withRetries(project, context, async () => {
      const result = await releaseLock(ctx);
      if (result.outcome !== 'done') throw result.failure;
      return result;
    });
    return { data: { lock: null, attempts, outcome: 'released' }, lines: ['✓ Lock released.'] };
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
    if (unreachable !== null && unreachable.code !== 'OFFLINE') throw unreachable;
    if (unreachable !== null) context.output.warn(unreachable.message);
    return { data: found, lines: [describeLock(found)] };
  },
});

export const lock = { words: 'lock', describe: 'The lock: who may publish', commands: [acquire, release, status] };

/** One line: who has the lock, where and since when. */
export function describeLock({ held, mine, lock: shown, source, checkedAt }: LockStatus): string {
  const age =
    source === 'cache'
      ? ` (as of ${checkedAt === null ? 'never: the remote was not asked yet' : localTime(checkedAt)})`
      : '';
  if (!held) return `Nobody has the lock${age}.`;
  if (shown === null) return `The lock is held, by a record that this oxenvcs cannot read${age}.`;
  if (mine) return `You have the lock until ${localTime(shown.expiresAt)}${age}.`;
  const message = shown.message === '' ? '' : `: ${shown.message}`;
  return `${shown.owner.name} has the lock, on ${shown.owner.host} since ${localTime(shown.acquiredAt)}${shown.expired ? ', but it has run out' : ''}${message}${age}.`;
}
