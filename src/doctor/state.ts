import * as fs from 'node:fs/promises';
import path from 'node:path';
import { whyNotNow } from '../commit/busy.ts';
import { notCheckedOut, type Project } from '../project/project.ts';
import { readRescue, rescueBranch } from '../project/rescue.ts';
import { failureOf, readAttempts } from '../queue/attempts.ts';
import { rebuildQueue } from '../queue/rebuild.ts';
import type { Clock } from '../system/clock.ts';
import { ifMissing } from '../system/disk.ts';
import { type Check, good, problem, remark } from './check.ts';

/** What oxenvcs and Git have left on this computer: damage, work that is stuck, work that was begun and not ended. */
export async function stateChecks(project: Project, clock: Clock): Promise<Check[]> {
  return [
    await damageCheck(project),
    await queueCheck(project, clock),
    await gitWorkCheck(project, clock),
    ...(await rescueCheck(project)),
  ];
}

async function damageCheck({ root }: Project): Promise<Check> {
  const folder = path.join(root, '.oxenvcs', 'damaged');
  const files = await fs.readdir(folder).catch(ifMissing([] as string[]));
  if (files.length === 0) return good('state', 'whole');
  return remark(
    'state',
    `${files.length} of oxenvcs’ own files were damaged and set aside under .oxenvcs/damaged/`,
    'What they stood for was rebuilt from Git. If it happens again, check the disk; delete them when you have looked.',
  );
}

async function queueCheck(project: Project, clock: Clock): Promise<Check> {
  const { entries } = await rebuildQueue(project, clock.now());
  const halted = (await readAttempts(project)).find(({ state }) => state === 'halted');
  const failure = halted && failureOf(halted);
  if (failure)
    return problem(
      'queue',
      `publishing has stopped: ${failure.message}`,
      'Mend the cause, then run `oxenvcs queue retry`.',
    );
  const waiting = entries.filter(({ kind }) => kind === 'publish').length;
  return good('queue', waiting === 0 ? 'everything is published' : `${waiting} waiting, nothing is stuck`);
}

/** So old is no lock of a Git that still works, ms. */
const staleMs = 10 * 60_000;

/** In the middle of the user's own Git work no version is made. */
async function gitWorkCheck(project: Project, clock: Clock): Promise<Check> {
  const lock = path.join(project.gitDir, 'index.lock');
  const stat = await fs.stat(lock).catch(ifMissing(null));
  if (stat !== null && clock.now() - stat.mtimeMs > staleMs)
    return problem(
      'git work',
      `a Git that died has left ${lock}: no version can be made`,
      'Make sure that no Git runs in this project, then delete that file.',
    );
  const reason = await whyNotNow(project);
  if (reason !== null)
    return remark('git work', `${reason}: no versions are made meanwhile`, 'Finish or abort that in Git.');
  const elsewhere = await notCheckedOut(project);
  return elsewhere === null
    ? good('git work', 'none under way')
    : remark('git work', elsewhere.message, elsewhere.hint);
}

async function rescueCheck(project: Project): Promise<Check[]> {
  const rescue = await readRescue(project);
  if (rescue === null || rescue.waits === true) return [];
  const branch = rescueBranch(rescue);
  return [
    remark(
      'rescue',
      `the team went on without your versions: they are on the remote as ${branch}`,
      'See `oxenvcs status`: the two are to be joined.',
    ),
  ];
}
