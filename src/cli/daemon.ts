import { reachDaemon } from '../control/client.ts';
import { removeService } from '../control/install.ts';
import { logFile } from '../control/place.ts';
import type { ProjectState } from '../control/protocol.ts';
import { registered } from '../control/registry.ts';
import { runningProgram, startDaemon, stopDaemon } from '../control/start.ts';
import { followLog, lastLines } from '../system/log.ts';
import { command, type Context } from './command.ts';
import { counted, howMany, localTime } from './format.ts';
import type { Answer } from './output.ts';

const start = command({
  words: 'start',
  describe: 'Watch all projects in the background, from now on and after each login',
  options: (argv) => argv,
  async run(_, context) {
    const { remark, ...started } = await startDaemon(context.program, context.clock);
    const { outcome, pid, service } = started;
    const lines = {
      started: `The background process runs (process ${pid}).`,
      restarted: `A new background process runs in place of the former one (process ${pid}).`,
      'already-running': `The background process runs already (process ${pid}).`,
    };
    if (remark !== null) context.output.warn(remark);
    return {
      data: { running: true, ...started },
      lines: [lines[outcome], ...(service === null ? [] : [`It starts with your session (${service}).`])],
    };
  },
});

const stop = command({
  words: 'stop',
  describe: 'End the background process; what has settled becomes a version first',
  options: (argv) =>
    argv
      .option('disable', {
        type: 'boolean',
        default: false,
        describe: 'Nor does it start with the session any more, until `daemon start`',
      })
      .option('own', {
        type: 'boolean',
        default: false,
        describe: 'Leave that of another installation as it is (for uninstalling)',
      }),
  async run({ disable, own }, context) {
    const { file } = context.program;
    const other = own ? await runningProgram() : null;
    // Before it ends: some systems end it themselves when they forget it.
    const service = disable ? await removeService(file, own) : 'absent';
    const disabled = service === 'removed';
    if (other !== null && other !== file)
      return {
        data: { running: true, pid: null, outcome: 'left', disabled, program: other },
        lines: [`The background process goes on, for it is another installation's: ${other}`],
      };
    const stopped = await stopDaemon(context.clock);
    return {
      data: { running: false, pid: null, outcome: stopped === null ? 'not-running' : 'stopped', disabled },
      lines: [
        stopped === null ? 'No background process was running.' : 'The background process has ended.',
        service === 'other'
          ? 'What starts with your session stays, for it is of another installation.'
          : disable
            ? 'It does not start with your session any more.'
            : 'With your next session it starts again, if it did so before (`--disable` ends that).',
      ],
    };
  },
});

const restart = command({
  words: 'restart',
  describe: 'End the background process and start a new one',
  options: (argv) => argv,
  async run(_, context) {
    await stopDaemon(context.clock);
    const { pid } = await startDaemon(context.program, context.clock);
    return {
      data: { running: true, pid, outcome: 'restarted' },
      lines: [`A new background process runs (process ${pid}).`],
    };
  },
});

const status = command({
  words: 'status',
  describe: 'Does the background process run, and what becomes of each project',
  options: (argv) => argv,
  async run(): Promise<Answer> {
    const reached = await reachDaemon();
    const nothing = { running: false, pid: null, projects: [] as ProjectState[], log: logFile() };
    if (reached.outcome === 'not-running')
      return { data: nothing, lines: ['The background process does not run: oxenvcs daemon start'] };
    if (reached.outcome === 'hangs')
      return {
        data: { ...nothing, running: true, pid: reached.pid, answers: false },
        lines: [`The background process (process ${reached.pid}) does not answer: oxenvcs daemon restart`],
        exitCode: 1,
      };
    const { connection } = reached;
    const { projects } = await connection.ask({ do: 'status' }).finally(() => connection.close());
    const { pid, version, startedAt } = connection.greeting;
    // It answers before it has read the list.
    const toCome = projects.length === 0 ? (await registered()).roots.length : 0;
    return {
      data: { running: true, pid, answers: true, version, startedAt, projects, log: logFile() },
      lines: [
        `The background process runs since ${localTime(startedAt)} (process ${pid}, version ${version}).`,
        whatIsWatched(projects.length, toCome),
        ...projects.map(({ project, state, detail }) => `  ${state}  ${project}${detail === '' ? '' : `: ${detail}`}`),
      ],
    };
  },
});

function whatIsWatched(watched: number, toCome: number): string {
  if (watched > 0) return `${counted(watched, 'project')}:`;
  if (toCome > 0) return `It has only just begun, and is about to watch ${counted(toCome, 'project')}.`;
  return 'No project is registered: oxenvcs init "/path/to/My Song"';
}

const logs = command({
  words: 'logs',
  describe: 'What the background process has told',
  options: (argv) =>
    argv
      .option('lines', { type: 'number', default: 50, describe: 'So many of the last lines' })
      .option('follow', { type: 'boolean', default: false, describe: 'Go on with what comes, until Ctrl-C' }),
  async run({ lines: count, follow }, context) {
    const lines = await lastLines(logFile(), howMany(count, 'lines', 'daemon logs'));
    const data = { log: logFile(), lines };
    if (!follow) return { data, lines };
    const tell = (line: string) => context.output.tell(line, { event: 'line', line });
    for (const line of lines) tell(line);
    await followLog(logFile(), tell, async () => await pause(context), context.signal);
    return { data, lines: [] };
  },
});

const pause = async ({ clock, signal }: Context): Promise<void> =>
  await clock.sleep(300, signal).catch((error: unknown) => {
    if (!signal.aborted) throw error;
  });

const run = command({
  words: 'run',
  describe: 'The background process itself, in the foreground (what the system starts)',
  options: (argv) => argv,
  async run(_, { program, clock, signal, output, runDaemon }) {
    const say = (line: string) => output.tell(line, { event: 'line', line });
    const end = await runDaemon({ program, clock, signal, say });
    return {
      data: end,
      lines: end.outcome === 'already-running' ? [`It runs already (process ${end.pid ?? '?'}).`] : [],
      // A signal is how it is told to end: systems start one anew that ended otherwise.
      exitCode: end.outcome === 'crashed' ? 1 : 0,
    };
  },
});

/** For `status`: is there one? One that does not answer counts, and is no reason to fail. */
export async function daemonStatus(): Promise<{ running: boolean; pid: number | null }> {
  const reached = await reachDaemon(1000);
  if (reached.outcome === 'not-running') return { running: false, pid: null };
  if (reached.outcome === 'hangs') return { running: true, pid: reached.pid };
  reached.connection.close();
  return { running: true, pid: reached.connection.greeting.pid };
}

export const daemon = {
  words: 'daemon',
  describe: 'The one background process that watches all projects',
  commands: [start, stop, restart, status, logs, run],
};
