import { checkRemote, type Connectivity } from '../network/connectivity.ts';
import { type Health, healthOf } from '../network/health.ts';
import { noteTry, readTries } from '../network/tries.ts';
import { redact } from '../git/redact.ts';
import { remoteOf } from '../project/project.ts';
import { readAttempts } from '../queue/attempts.ts';
import { isoTime } from '../system/clock.ts';
import { command } from './command.ts';
import { counted, localTime } from './format.ts';

const check = command({
  words: 'check',
  describe: 'Can the project’s own remote be reached now?',
  options: (argv) => argv,
  async run(_, context) {
    const of = await remoteOf(await context.project());
    const { clock } = context;
    const started = clock.monotonic();
    const { connectivity, failure } = await checkRemote(of, clock);
    const tried = { op: 'check', at: clock.now(), ms: clock.monotonic() - started, failure, retryMs: null };
    if (of.remote.url !== null) await noteTry(of.root, of.remote.url, tried);
    return {
      data: connectivity,
      lines: [describe(connectivity), ...(failure === null ? [] : [failure.hint])],
      exitCode: connectivity.state === 'online' ? 0 : 4,
    };
  },
});

function describe({ state, remote, latencyMs, reason }: Connectivity): string {
  const because = reason === null ? '' : `: ${reason}`;
  const where = remote ?? 'There is no remote';
  if (state === 'online') return `✓ Online: ${where} answered in ${latencyMs} ms${because}.`;
  return state === 'offline' ? `⚠ Offline: ${where}${because}.` : `⚠ Not known: ${where}${because}.`;
}

const stats = command({
  words: 'stats',
  describe: 'How well the remote can be reached; what was tried again and why',
  options: (argv) => argv,
  async run(_, context) {
    const project = await context.project();
    const { root, remote } = await remoteOf(project);
    const health = healthOf(remote.url === null ? [] : await readTries(root, remote.url));
    const due = (await readAttempts(project)).flatMap(({ nextAttemptAt }) => nextAttemptAt ?? []);
    const nextAttemptAt = due.length === 0 ? null : isoTime(Math.min(...due));
    return {
      data: { remote: remote.url === null ? null : redact(remote.url), ...health, nextAttemptAt },
      lines: table(health, nextAttemptAt),
    };
  },
});

function table({ since, tries, successRate, operations, retried }: Health, nextAttemptAt: string | null): string[] {
  if (since === null) return ['Nothing was tried with this remote yet.'];
  const answered = `${Math.round((successRate ?? 0) * 100)} % answered`;
  return [
    `Since ${localTime(since)}: ${tries === 1 ? '1 try' : `${tries} tries`}, ${answered}.`,
    ...operations.map(({ name, tries, failed, medianMs, p95Ms }) => {
      const time = medianMs === null ? '' : `, usually in ${medianMs} ms, at the worst in ${p95Ms} ms`;
      return `  ${name}  ${tries - failed} of ${tries} answered${time}`;
    }),
    ...(retried.length === 0 ? [] : ['Tried again:']),
    ...retried.map(({ operation, reason, count, lastAt }) => {
      return `  ${operation}  ${counted(count, 'time')}, last ${localTime(lastAt)}: ${reason}`;
    }),
    ...(nextAttemptAt === null ? [] : [`Next try by itself: ${localTime(nextAttemptAt)}, or when the remote is back.`]),
  ];
}

export const net = {
  words: 'net',
  describe: 'The way to the remote',
  commands: [check, stats],
};
