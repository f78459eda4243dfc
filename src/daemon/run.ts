import * as fs from 'node:fs/promises';
import path from 'node:path';
import { describeEvent } from '../background/events.ts';
import { type Finder, startFinder } from '../setup/moved.ts';
import { logFile } from '../control/place.ts';
import { type ProjectState, protocol } from '../control/protocol.ts';
import { registryFolder } from '../control/registry.ts';
import type { Program } from '../control/start.ts';
import { redact } from '../git/redact.ts';
import { keepWatched } from '../pipeline.ts';
import type { Failure } from '../model/failures.ts';
import { brokenSettings, openProject } from '../project/project.ts';
import { findDaw } from '../setup/find-daw.ts';
import { type Clock, endsWithin, isoTime } from '../system/clock.ts';
import { openLog } from '../system/log.ts';
import { inParallel } from '../system/parallel.ts';
import { notify } from '../system/notify.ts';
import { takePriority } from '../system/priority.ts';
import { catchCrashes } from './crashes.ts';
import { followList } from './list.ts';
import { makeNotices } from './notices.ts';
import { selfCheck } from './self-check.ts';
import { makeServe } from './serve.ts';
import { asOnlyDaemon } from './singleton.ts';
import { supervise, type Supervisor } from './supervisor.ts';
import type { TendEvent, WatchProject } from './tend.ts';

export interface DaemonPorts {
  program: Program;
  clock: Clock;
  /** Aborted: it ends, within 5 s. */
  signal: AbortSignal;
  /** A line for whoever started it in a terminal. */
  say: (line: string) => void;
}

/** `crashed`: too much went wrong; the system starts a new one. */
export type DaemonEnd = { outcome: 'ended' | 'crashed' } | { outcome: 'already-running'; pid: number | null };

/** For everything that is still on its way when it is told to end, ms. */
const endMs = 5000;

/** The background process: watches all registered projects of this user until it is told to end. */
export async function runDaemon({ program, clock, signal, say }: DaemonPorts): Promise<DaemonEnd> {
  const { version, file } = program;
  const log = openLog(logFile());
  const tell = (line: string): void => {
    log.write(redact(line));
    say(redact(line));
  };
  const told = new AbortController();
  const broken = new AbortController();
  const notices = makeNotices(clock, (notice) => void notify({ ...notice, body: redact(notice.body) }));
  const finder = startFinder(async () => await list.now());
  const supervisor = supervise({
    clock,
    watchProject: watchOne(clock, finder),
    seek: async (root) => {
      const to = await finder.seek(root);
      if (to !== null) await list.look();
      return to;
    },
    tell: (root, event) => {
      if (event.event !== 'absent' && event.event !== 'failing' && event.event !== 'moved') notices.take(root, event);
      const line = describe(event);
      if (line !== null) tell(`${path.basename(root)}: ${line}`);
    },
  });
  const list = followList({
    clock,
    wanted: () => supervisor.wanted(),
    take: (roots) => supervisor.tendTo(roots),
    tell,
  });
  const builtAt = (await fs.stat(file)).mtimeMs;
  const startedAt = isoTime(clock.now());
  const serve = (token: string) =>
    makeServe(
      { oxenvcs: protocol, pid: process.pid, token, version, program: file, builtAt, startedAt },
      {
        status: async () => ({ projects: await inParallel(supervisor.states(), withSettings) }),
        stop: async () => {
          told.abort(new Error('it was told to end'));
          return {};
        },
        look: async () => {
          await list.look();
          return { projects: supervisor.states() };
        },
        forget: async ({ root }) => {
          await list.leave(root);
          await supervisor.forget(root);
          return {};
        },
        borrow: async ({ root }, ended) => {
          await supervisor.lend(root, ended);
          return {};
        },
        check: async ({ root }) => ({ findings: await selfCheck(root) }),
      },
    );
  // Before it answers: whoever starts it is told why it cannot go on.
  await fs.mkdir(registryFolder(), { recursive: true });
  await fs.readdir(registryFolder());
  const guarded = await asOnlyDaemon(clock, serve, async (_ear, lost) => {
    const stopCatching = catchCrashes({
      now: () => clock.monotonic(),
      crashed: (root, error) => {
        const stack = error instanceof Error ? (error.stack ?? error.message) : String(error);
        tell(`⚠ ${root === null ? '' : `${path.basename(root)}: `}Nobody has caught this: ${stack}`);
        if (root !== null) supervisor.crashed(root, error);
      },
      giveUp: () => broken.abort(new Error('too much went wrong')),
    });
    const isUsual = process.env['OXENVCS_PRIORITY'] === 'usual';
    if (!isUsual) await takePriority('lowest');
    tell(`oxenvcs ${version} begins (process ${process.pid}).`);
    const ended = AbortSignal.any([signal, told.signal, lost, broken.signal]);
    try {
      await list.follow();
      await once(ended);
    } finally {
      list.stop();
      notices.stop();
      if (!isUsual) void takePriority('usual');
      await endWithin(supervisor, clock, tell);
      stopCatching();
    }
  });
  await log.written();
  if (guarded.outcome === 'taken') return { outcome: 'already-running', pid: guarded.pid };
  return { outcome: broken.signal.aborted ? 'crashed' : 'ended' };
}

/** What is wrong with the settings of a project that goes on with its former ones. */
async function withSettings(one: ProjectState): Promise<ProjectState> {
  const broken = one.state === 'watched' || one.state === 'paused' ? await brokenSettings(one.project) : [];
  if (broken.length === 0) return one;
  const said = ['The settings do not hold, and the former ones stay in force.', ...broken.map(toldWithHint)];
  return { ...one, detail: [...(one.detail === '' ? [] : [one.detail]), ...said].join(' ') };
}

const toldWithHint = ({ message, hint }: Failure): string => `${message} ${hint}`;

const watchOne =
  (clock: Clock, finder: Finder): WatchProject =>
  async (root, { signal, tell }) => {
    const open = async () => {
      const project = await openProject(root);
      // Its watch needs none of that: it is noted at the next start.
      await finder.note(project).catch(() => undefined);
      return { project, profile: await findDaw(root, project.config.daw) };
    };
    await keepWatched(open, { clock, signal, tell });
  };

function describe(event: TendEvent): string | null {
  if (event.event === 'absent') return 'The folder is not there; it is watched again when it is back.';
  if (event.event === 'moved') return `It lies elsewhere now and is watched there: ${event.to}`;
  if (event.event === 'failing')
    return `⚠ ${event.failure.message} It is begun anew in ${Math.ceil(event.retryMs / 1000)} s.`;
  return describeEvent(event);
}

async function endWithin(supervisor: Supervisor, clock: Clock, tell: (line: string) => void): Promise<void> {
  tell('It ends.');
  if (!(await endsWithin(supervisor.stop(), endMs, clock)))
    tell('⚠ Not everything came to its end in time; it is caught up at the next start.');
}

async function once(signal: AbortSignal): Promise<void> {
  if (!signal.aborted) await new Promise((resolve) => signal.addEventListener('abort', resolve, { once: true }));
}
