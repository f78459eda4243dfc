import { registered } from '../control/registry.ts';
import { cachedStatus } from '../lock/status.ts';
import { lockContext } from '../lock/context.ts';
import { type Pause, pause as pauseProject, resume as resumeProject } from '../project/pause.ts';
import type { Project } from '../project/project.ts';
import { exists } from '../system/disk.ts';
import { command, type Context } from './command.ts';
import { duration, localTime } from './format.ts';

/**
 * What watches a project hears it from the file that is written (project/by-hand.ts), in the background or in the
 * foreground; without one it holds for the next that begins.
 */

const all = { type: 'boolean', default: false, describe: 'All projects of this user' } as const;

export const pause = command({
  words: 'pause [duration]',
  describe: 'No versions and nothing sent by itself, for a while (`30m`, `4h`) or until `resume`',
  options: (argv) =>
    argv
      .positional('duration', { type: 'string', describe: 'For so long (default: until `resume`)' })
      .option('all', all),
  async run({ duration: text, all: everywhere }, context) {
    const ms = text === undefined ? null : duration(text, 'pause');
    const now = context.clock.now();
    const project = everywhere ? null : await context.project();
    const roots = project === null ? (await registered()).roots : [project.root];
    const paused: ({ project: string } & Pause)[] = [];
    for (const root of roots) {
      // One on a disk that is not plugged in rests anyway.
      if (project === null && !(await exists(root))) continue;
      paused.push({ project: root, ...(await pauseProject({ root }, ms, now)) });
    }
    const until = ms === null ? 'until `oxenvcs resume`' : `until ${localTime(paused[0]?.until ?? '')}`;
    const lock = project === null ? null : await heldUntil(project, context);
    return {
      data: { paused },
      lines: [
        `Paused ${until}: saves stay in your files, and become versions afterwards.`,
        ...(lock === null
          ? []
          : [`You have the lock; it is not renewed meanwhile, and stands until ${localTime(lock)}.`]),
      ],
    };
  },
});

export const resume = command({
  words: 'resume',
  describe: 'Go on after a pause: what was saved meanwhile becomes a version',
  options: (argv) => argv.option('all', all),
  async run({ all: everywhere }, context) {
    const roots = everywhere ? (await registered()).roots : [(await context.project()).root];
    const resumed: string[] = [];
    for (const root of roots) if (await resumeProject({ root }, context.clock.now())) resumed.push(root);
    return { data: { resumed }, lines: [resumed.length === 0 ? 'It was not paused.' : 'It goes on.'] };
  },
});

/** When our lock runs out if nobody renews it; null: we have none. */
async function heldUntil(project: Project, { clock }: Context): Promise<string | null> {
  // Without a remote there is no lock.
  const ctx = await lockContext(project, clock).catch(() => null);
  if (ctx === null) return null;
  const { mine, lock } = await cachedStatus(ctx);
  return mine ? (lock?.expiresAt ?? null) : null;
}
