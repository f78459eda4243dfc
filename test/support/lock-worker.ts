import { appendFileSync } from 'node:fs';
import { breakLock } from '../../src/lock/break.ts';
import { lockContext } from '../../src/lock/context.ts';
import { acquireLock, releaseLock, renewLock } from '../../src/lock/lease.ts';
import { openProject } from '../../src/project/project.ts';
import { gitLine } from '../../src/git/run.ts';
import { publish } from '../../src/push/publish.ts';

/** One operation of the lock as a process of its own, which may be killed: `ROOT OPERATION LOG`. Its outcome goes to LOG. */
const [root = '', operation = '', log = ''] = process.argv.slice(2);
const ctx = await lockContext(await openProject(root));
const tip = async () => await gitLine(root, ['rev-parse', 'HEAD']);
const operations: Record<string, () => Promise<{ outcome: string }>> = {
  acquire: async () => await acquireLock(ctx, { how: 'hand' }),
  renew: async () => await renewLock(ctx),
  release: async () => await releaseLock(ctx),
  break: async () => await breakLock(ctx, { reason: 'chaos' }),
  publish: async () => await publish(ctx, { tip: await tip() }),
};
const { outcome } = (await operations[operation]?.()) ?? { outcome: 'no such operation' };
appendFileSync(log, `${operation} ${outcome}\n`);
