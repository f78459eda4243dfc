import { tryGit } from '../git/run.ts';
import { capabilities, type Capabilities } from '../lock/capabilities.ts';
import { lockContext, type LockContext } from '../lock/context.ts';
import { probeRemote } from '../lock/probe.ts';
import { lockStatus } from '../lock/status.ts';
import type { Failure } from '../model/failures.ts';
import { away } from '../network/away.ts';
import type { Project } from '../project/project.ts';
import { whoHas } from '../project/guard.ts';
import { failureOf, readAttempts } from '../queue/attempts.ts';
import { hookStatus } from '../setup/hooks.ts';
import { command } from './command.ts';

interface Check {
  name: string;
  ok: boolean;
  message: string;
  hint: string | null;
}

export const doctor = command({
  words: 'doctor',
  describe: 'Everything that could stop it from working here, each with its cure',
  options: (argv) => argv,
  async run(_, context) {
    const project = await context.project();
    const ctx = await lockContext(project, context.clock, context.signal);
    const checks = [
      await gitCheck(project),
      nodeCheck(),
      ...(await remoteChecks(ctx)),
      await queueCheck(project),
      await hooksCheck(project),
      await watcherCheck(project),
    ];
    const ok = checks.every((check) => check.ok);
    return {
      data: { ok, checks },
      lines: [
        ...checks.flatMap(({ ok: good, name, message, hint }) => [
          `${good ? '✓' : '✗'} ${name}: ${message}`,
          ...(hint === null ? [] : [`    ${hint}`]),
        ]),
        ok ? 'All is well.' : 'See to what is marked ✗.',
      ],
      exitCode: ok ? 0 : 1,
    };
  },
});

const good = (name: string, message: string): Check => ({ name, ok: true, message, hint: null });
const bad = (name: string, message: string, hint: string): Check => ({ name, ok: false, message, hint });
const failed = (name: string, { message, hint }: Failure): Check => bad(name, message, hint);

/** 2.32: `push.negotiate`, `GIT_CONFIG_COUNT`, all that we use of `fetch`. */
async function gitCheck({ root }: Project): Promise<Check> {
  const version = /(\d+)\.(\d+)(\.\d+)?/.exec((await tryGit(root, ['--version'])).stdout.toString('utf8'));
  const [major, minor] = [Number(version?.[1] ?? 0), Number(version?.[2] ?? 0)];
  if (major > 2 || (major === 2 && minor >= 32)) return good('git', `version ${version?.[0] ?? ''}`);
  return bad('git', `version ${version?.[0] ?? 'unknown'} is too old`, 'Install Git 2.32 or newer.');
}

function nodeCheck(): Check {
  const [major = 0, minor = 0] = process.versions.node.split('.').map(Number);
  if (major > 20 || (major === 20 && minor >= 19)) return good('node', `version ${process.versions.node}`);
  return bad('node', `version ${process.versions.node} is too old`, 'Install Node 20.19 or newer.');
}

/** Can it be reached, who has the lock, and what does it allow? Asked anew: somebody may have changed its settings. */
async function remoteChecks(ctx: LockContext): Promise<Check[]> {
  const { status, unreachable } = await lockStatus(ctx);
  if (unreachable !== null) return [failed('remote', await away(unreachable, ctx))];
  const lock =
    status.unreadable === 'damaged'
      ? bad(
          'lock',
          'the record on the remote cannot be read',
          'If nobody on the team holds it: `oxenvcs lock break --force --reason "damaged"`.',
        )
      : status.unreadable === 'newer'
        ? bad('lock', 'it was written by a newer oxenvcs', 'Update oxenvcs on this computer.')
        : good(
            'lock',
            status.mine ? 'yours' : status.held ? `held by ${status.lock?.owner.name ?? 'somebody'}` : 'free',
          );
  const probed = await probeRemote(ctx);
  if (probed.outcome === 'publish-first')
    return [good('remote', 'reachable; publish a version first, then it can be asked what it allows'), lock];
  if ('failure' in probed) return [failed('remote', probed.failure), lock];
  return [good('remote', 'reachable'), lock, ...allowed(await capabilities(ctx), ctx.branch)];
}

function allowed({ namespace, atomic, deletes, branch, said }: Capabilities, name: string): Check[] {
  const why = said ?? 'it did not say why';
  return [
    good('lock refs', `kept below ${namespace}`),
    atomic
      ? good('fencing', 'atomic: a save whose lock no longer stands cannot land')
      : bad(
          'fencing',
          'advisory: the remote cannot move branch and lock in one step',
          'Agree in the team who works; or use a host with atomic pushes (GitHub, GitLab, Gitea, a NAS over ssh).',
        ),
    branch === false
      ? bad(
          'branch',
          `the remote does not let us publish ${name}: ${why}`,
          'Ask whoever runs it to allow pushes to this branch.',
        )
      : good('branch', `${name} may be published`),
    good(
      'deletes',
      deletes === false ? 'not allowed; small refs of ours may stay behind, which does no harm' : 'allowed',
    ),
  ];
}

async function queueCheck(project: Project): Promise<Check> {
  const halted = (await readAttempts(project)).find(({ state }) => state === 'halted');
  const failure = halted && failureOf(halted);
  if (!failure) return good('queue', 'nothing is stuck');
  return bad('queue', `publishing has stopped: ${failure.message}`, 'Mend the cause, then run `oxenvcs queue retry`.');
}

async function hooksCheck(project: Project): Promise<Check> {
  const { hooks, shadowedBy } = await hookStatus(project);
  // They are a convenience: commits made by hand are found and queued without them, too.
  if (hooks.every(({ state }) => state === 'absent' || state === 'foreign')) return good('hooks', 'not installed');
  const missing = hooks.filter(({ state, reached }) => state !== 'installed' || !reached);
  if (missing.length === 0) return good('hooks', 'installed');
  const names = missing.map(({ name, state, reached }) => `${name} is ${reached ? state : 'not reached'}`).join(', ');
  const where = shadowedBy === null ? '' : ` (Git looks in ${shadowedBy})`;
  return bad('hooks', `${names}${where}`, 'Run `oxenvcs init` again: it puts them in place, or names the line to add.');
}

async function watcherCheck(project: Project): Promise<Check> {
  const holder = await whoHas(project, 'watch');
  return holder === null
    ? bad('watcher', 'nobody watches this project', 'Start it with `oxenvcs watch`.')
    : good('watcher', holder.pid === null ? 'watched' : `process ${holder.pid}`);
}
