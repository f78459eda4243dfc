import * as fs from 'node:fs/promises';
import path from 'node:path';
import { closedNow } from '../background/closed-folders.ts';
import { largeNow } from '../background/large-files.ts';
import { oddNamesNow } from '../background/names.ts';
import { diskProblem } from '../background/room.ts';
import { underWay } from '../commit/busy.ts';
import { isRegistered } from '../control/registry.ts';
import { type LockContext, lockContext } from '../lock/context.ts';
import { type LockStatus, lockStatus } from '../lock/status.ts';
import { lostFailure } from '../lock/view.ts';
import { redact } from '../git/redact.ts';
import { tryGit } from '../git/run.ts';
import { Failure } from '../model/failures.ts';
import { away } from '../network/away.ts';
import { stateOf } from '../network/connectivity.ts';
import { notCheckedOut, type Project, remoteBranchRef, remoteUrl } from '../project/project.ts';
import { readRescue, rescueBranch } from '../project/rescue.ts';
import { transferStatus } from '../push/transfer.ts';
import { type WatcherStatus, watcherStatus } from '../project/watcher.ts';
import { type Attempt, failureOf, readAttempts, showQueue, type ShownEntry, standing } from '../queue/attempts.ts';
import { lookAtQueue } from '../queue/rebuild.ts';
import { findDaw } from '../setup/find-daw.ts';
import { remoteKind } from '../setup/remote.ts';
import { ifMissing } from '../system/disk.ts';
import { conflictsOf } from '../sync/conflicts.ts';
import { command } from './command.ts';
import { conflictFailure } from './conflict.ts';
import { daemonStatus } from './daemon.ts';
import { counted } from './format.ts';
import { describeLock } from './lock.ts';
import { describeTransfer } from './transfer.ts';

interface Problem {
  code: string;
  message: string;
  hint: string;
}

export const status = command({
  words: 'status',
  describe: 'Lock, unpublished work, watcher, last problem – at one glance',
  options: (argv) => argv,
  async run(_, context) {
    const project = await context.project();
    const { root, config } = project;
    const ctx = atOneGlance(await lockContext(project, context.clock, context.signal));
    const [{ status: lock, unreachable: why }, kind, watcher, daw, url, daemon] = await Promise.all([
      lockStatus(ctx),
      remoteKind(project),
      watcherStatus(project),
      findDaw(root, config.daw),
      remoteUrl(project),
      daemonStatus(),
    ]);
    const unreachable = why === null ? null : await away(why, ctx);
    const [found, attempts] = await Promise.all([lookAtQueue(project), readAttempts(project)]);
    const entries = found.entries.filter((entry) => entry.kind !== 'intent');
    const queue = showQueue(entries, attempts, config.branch);
    const unpublished = entries.filter((entry) => entry.kind === 'publish').length + found.dropped.length;
    const transfer = await transferStatus(project);
    const behind = await count(project, [remoteBranchRef(project), '--not', `refs/heads/${config.branch}`]);
    const problems = [...lossOf(ctx, lock), ...(await problemsOf(project, unreachable, standing(attempts, entries)))];
    const reachable = { online: true, offline: false, unknown: null }[unreachable ? stateOf(unreachable) : 'online'];
    const of = (...states: ShownEntry['state'][]) => queue.filter(({ state }) => states.includes(state)).length;
    const data = {
      project: root,
      branch: config.branch,
      remote: { url: url === null ? null : redact(url), reachable },
      daw: daw.name,
      daemon,
      watcher: { state: watcher.state, detail: watcher.detail, pid: watcher.pid },
      lock,
      queue: { pending: of('pending', 'working', 'waiting'), failed: of('failed'), halted: of('halted') },
      unpublished,
      behind,
      remoteKind: kind,
      transfer,
      problems,
    };
    return {
      data,
      lines: [
        `${path.basename(root)} (${daw.title})`,
        describeLock(lock),
        kind === 'vault'
          ? 'Versions are only on this computer; for the band: oxenvcs init --remote ADDRESS'
          : publishedLine(unpublished, behind),
        ...(transfer === null ? [] : [describeTransfer(transfer)]),
        await describeWatcher(root, watcher, daemon),
        ...problems.flatMap(({ message, hint }) => [`⚠ ${message}`, `  ${hint}`]),
      ],
    };
  },
});

/** What the watcher does, for somebody who makes music: the words of `--json` are for scripts. */
async function describeWatcher(
  root: string,
  { state, detail, host }: WatcherStatus & { host: string | null },
  { running }: { running: boolean },
): Promise<string> {
  const watched = host === null ? 'Watched' : `Watched on the computer ${host}`;
  switch (state) {
    case 'off': {
      // It may have only just begun.
      const how = running ? '`oxenvcs daemon status` says what becomes of it' : 'oxenvcs daemon start';
      return `Nobody watches it: ${(await isRegistered(root)) ? how : 'oxenvcs init'}`;
    }
    case 'paused':
      return `Paused ${detail}.`;
    case 'clean':
      return `${watched}: every save is a version.`;
    case 'dirty':
      return `${watched}: something has changed.`;
    case 'held':
      return `${watched}, waiting: ${detail}.`;
    case 'settling':
    case 'committing':
      return `${watched}: ${detail}.`;
  }
}

/** A remote that says nothing is not waited for longer than this, ms. */
const answerMs = 5000;

function atOneGlance(ctx: LockContext): LockContext {
  const { network } = ctx.settings;
  const quick = { ...network, timeoutMs: Math.min(network.timeoutMs, answerMs) };
  return { ...ctx, settings: { ...ctx.settings, network: quick } };
}

function publishedLine(unpublished: number, behind: number): string {
  const here = unpublished === 0 ? 'Everything is published.' : `${counted(unpublished, 'version')} not published yet.`;
  return behind === 0
    ? here
    : `${here} The team has ${counted(behind, 'version')} that ${behind === 1 ? 'is' : 'are'} not here.`;
}

/** Until it is ours again. That the person's own other machine took it, idle, is no problem. */
function lossOf(ctx: LockContext, { lost }: LockStatus): Problem[] {
  if (lost === null || lost.how === 'handed-over') return [];
  const { code, message, hint } = lostFailure(ctx, { lost });
  return [{ code, message, hint }];
}

const problem = ({ code, message, hint }: Problem): Problem => ({ code, message, hint });

async function problemsOf(
  project: Project,
  unreachable: Failure | null,
  attempts: readonly Attempt[],
): Promise<Problem[]> {
  const problems: Problem[] = (await largeNow(project)).map(problem);
  for (const one of [...(await oddNamesNow(project)), ...(await closedNow(project))]) problems.push(problem(one));
  // In the middle of a rebase nothing is checked out, nor could it be; what the watcher waits for is told.
  const elsewhere = (await underWay(project)) === null ? await notCheckedOut(project) : null;
  if (elsewhere !== null) problems.push(problem(elsewhere));
  const disk = await diskProblem(project);
  if (disk !== null) problems.push(problem(disk));
  if (unreachable !== null && !(disk !== null && unreachable.row === 'disk-full')) problems.push(problem(unreachable));
  const conflicts = await conflictsOf(project);
  problems.push(...conflicts.map((one) => problem(conflictFailure(one))));
  const rescue = await readRescue(project);
  if (rescue !== null && rescue.waits !== true && !conflicts.some(({ isOurs }) => isOurs)) {
    const branch = rescueBranch(rescue);
    problems.push(problem(new Failure('rescued', { branch: rescue.branch, rescue: branch })));
  }
  for (const attempt of attempts) {
    const failure = failureOf(attempt);
    const isHalted = attempt.state === 'halted';
    if (failure === null || !(isHalted || (attempt.state === 'failed' && unreachable === null))) continue;
    // What the remote says now is what it said then.
    if (failure.message === unreachable?.message) continue;
    const { code, message, hint } = failure;
    const after = isHalted && !hint.includes('oxenvcs push') ? ' Then send it with `oxenvcs queue retry`.' : '';
    problems.push({ code, message, hint: `${hint}${after}` });
  }
  const damaged = await fs.readdir(path.join(project.root, '.oxenvcs', 'damaged')).catch(ifMissing([] as string[]));
  if (damaged.length > 0)
    problems.push({
      code: 'DAMAGED',
      message: `${counted(damaged.length, 'damaged file')} of oxenvcs’ own ${damaged.length === 1 ? 'was' : 'were'} set aside under .oxenvcs/damaged/.`,
      hint: 'What they stood for was rebuilt from Git; delete them when you have looked.',
    });
  return problems;
}

/** How many commits; 0 where a ref is not there yet. */
async function count({ root }: Project, args: string[]): Promise<number> {
  const result = await tryGit(root, ['rev-list', '--count', ...args, '--']);
  return result.exitCode === 0 ? Number(result.stdout.toString('utf8')) : 0;
}
