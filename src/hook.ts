import { text } from 'node:stream/consumers';
import { suggestMessage } from './hook/message.ts';
import { takeLock } from './hook/lock.ts';
import { stageForPush } from './hook/stage.ts';
import { followTo } from './setup/moved.ts';
import { restoreTimes } from './commit/media-times.ts';
import { bringUpForCommit } from './commit/user-index.ts';
import { asFailure } from './model/failures.ts';
import { openProject, type Project } from './project/project.ts';
import { rebuildQueue } from './queue/rebuild.ts';

/**
 * What the Git hooks (hooks/) cannot do in plain sh; they call it with one word, at the top of the work tree. It never
 * keeps git waiting for long, and only says what a person should know. Exit code 1: it could not be done.
 */

interface Job {
  /** It is given up after so many ms. */
  within: number;
  run: (project: Project, args: string[], signal: AbortSignal) => Promise<string | null>;
}

const silently = async (work: Promise<unknown>): Promise<null> => {
  await work;
  return null;
};

const jobs: Record<string, Job> = {
  // Long enough for one connection; a person waits for it at each commit as long as the lock is not ours.
  lock: { within: 2000, run: async (project, _, signal) => await takeLock(project, signal) },
  // A version made a moment ago is not to be undone by what they commit.
  index: {
    within: 10_000,
    run: async (project, _, signal) =>
      await silently(bringUpForCommit(project, process.env['GIT_INDEX_FILE'] ?? '', signal)),
  },
  message: {
    within: 2000,
    run: async (project, [file = '']) => await silently(suggestMessage(project, file, process.env['GIT_INDEX_FILE'])),
  },
  // Git has just written these files; they are read once more.
  times: { within: 60_000, run: async (project) => await silently(restoreTimes(project)) },
  // It takes as long as the push itself would.
  stage: {
    within: 86_400_000,
    run: async (project, _, signal) => await stageForPush(project, await text(process.stdin), signal),
  },
  rewritten: { within: 10_000, run: async (project) => await silently(rebuildQueue(project, Date.now())) },
};

/** Was it given up because its time was over, or by a person? */
const isOver = (error: unknown): boolean =>
  error instanceof Error && (error.name === 'TimeoutError' || error.name === 'AbortError');

/** Connections are given up so much earlier, ms, that what they started is ended too. */
const spare = 200;

const [word = '', ...args] = process.argv.slice(2);
try {
  const job = jobs[word];
  if (job === undefined) throw new Error(`there is no job ${word}`);
  // Node itself took its time to start.
  const left = Math.max(1, Math.round(job.within - performance.now()));
  setTimeout(() => process.exit(1), left).unref();
  // Ctrl-C ends what was started, too: it runs in process groups of its own.
  const stop = new AbortController();
  for (const end of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(end, () => stop.abort());
  const signal = AbortSignal.any([stop.signal, AbortSignal.timeout(Math.max(1, left - spare))]);
  const project = await openProject(process.cwd());
  await followTo(project).catch(() => undefined); // it only helps the background process, and is tried each time
  const remark = await job.run(project, args, signal);
  if (remark !== null) process.stderr.write(`oxenvcs: ${remark}\n`);
} catch (error) {
  // Git's own work goes on. What a user can meet is told by `oxenvcs status`; a slip of ours is told here.
  const { row, message } = asFailure(error);
  if (row === 'internal' && !isOver(error)) process.stderr.write(`oxenvcs: ${message}\n`);
  process.exitCode = 1;
}
process.exit();
