import { randomUUID } from 'node:crypto';
import { watch } from 'node:fs';
import * as fs from 'node:fs/promises';
import path from 'node:path';
import { askDaemon, reachDaemon } from '../control/client.ts';
import { checkMs } from '../control/protocol.ts';
import { registered } from '../control/registry.ts';
import { whoHas } from '../project/guard.ts';
import { type Project, statePath } from '../project/project.ts';
import { readText } from '../system/disk.ts';
import { type Check, good, problem, remark } from './check.ts';

/** Is somebody watching, and would they hear of a save? */
export async function watchChecks(project: Project): Promise<Check[]> {
  return [
    await watcherCheck(project),
    ...(await backgroundChecks(project)),
    await eventCheck(project),
    ...(await limitCheck(project)),
  ];
}

/** What the background process says that it cannot do: the system gives it other rights and keys than a terminal. */
async function backgroundChecks({ root }: Project): Promise<Check[]> {
  // One that does not answer, or of another version, was told already.
  const asked = await askDaemon({ do: 'check', root }, checkMs).catch(() => null);
  return (asked?.findings ?? []).map(({ name, ok, message, hint }) =>
    ok ? good(name, message) : problem(name, message, hint ?? 'See `oxenvcs daemon logs`.'),
  );
}

async function watcherCheck(project: Project): Promise<Check> {
  const daemon = await reachDaemon();
  if (daemon.outcome === 'connected') daemon.connection.close();
  if (daemon.outcome === 'hangs')
    return problem(
      'watcher',
      `the background process (${daemon.pid}) does not answer`,
      'Run `oxenvcs daemon restart`.',
    );
  const holder = await whoHas(project, 'watch');
  if (holder?.elsewhere) return good('watcher', `on the computer ${holder.elsewhere.host}`);
  if (holder !== null) return good('watcher', holder.pid === null ? 'watched' : `process ${holder.pid}`);
  if (daemon.outcome === 'connected' && !(await registered()).roots.includes(project.root))
    return remark('watcher', 'the background process does not know this project', 'Run `oxenvcs init` here again.');
  return remark('watcher', 'nobody watches this project', 'Start it with `oxenvcs daemon start`.');
}

/** A system that tells of changes does so at once; so long it is given, ms. */
const patienceMs = 2000;

/** Does the system tell when a file is written here? Network drives and some containers do not. */
async function eventCheck(project: Project): Promise<Check> {
  const file = statePath(project, `heard-${randomUUID()}.tmp`);
  await fs.mkdir(path.dirname(file), { recursive: true });
  const heard = await hears(file).catch((error: Error) => error);
  if (heard === true) return good('file events', 'arrive');
  const why = heard === false ? 'the system does not tell when a file is written here' : heard.message;
  return remark(
    'file events',
    `${why}; the folder is looked at from time to time instead`,
    'Saves are found all the same, a little later. A disk of this computer would tell at once.',
  );
}

async function hears(file: string): Promise<boolean> {
  const over = new AbortController();
  try {
    return await new Promise<boolean>((resolve, reject) => {
      const watcher = watch(path.dirname(file), { signal: over.signal }, (_, name) => {
        if (name === path.basename(file)) resolve(true);
      });
      watcher.on('error', reject);
      fs.writeFile(file, '').catch(reject);
      setTimeout(resolve, patienceMs, false).unref();
    });
  } finally {
    over.abort();
    await fs.rm(file, { force: true });
  }
}

/** Only Linux counts watches. */
async function limitCheck({ root }: Project): Promise<Check[]> {
  const text = await readText('/proc/sys/fs/inotify/max_user_watches').catch(() => null);
  if (text === null) return [];
  const limit = Number(text);
  const needed = await foldersBelow(root);
  const check = watchLimit(needed, limit);
  return [check];
}

/** Half of what a user may have is for all other programs. Pure. */
export function watchLimit(needed: number, limit: number): Check {
  if (needed <= limit / 2) return good('watches', `${needed} of ${limit} needed`);
  const wanted = 2 ** Math.ceil(Math.log2(needed * 4));
  return problem(
    'watches',
    `the project has ${needed} folders, and the system tells of ${limit} for all programs together`,
    `Raise it: \`echo fs.inotify.max_user_watches=${wanted} | sudo tee /etc/sysctl.d/60-oxenvcs.conf && sudo sysctl --system\`.`,
  );
}

async function foldersBelow(root: string): Promise<number> {
  let count = 1;
  const folders = [root];
  for (let folder = folders.pop(); folder !== undefined; folder = folders.pop())
    // What cannot be read cannot be watched either.
    for (const entry of await fs.readdir(folder, { withFileTypes: true }).catch(() => []))
      if (entry.isDirectory() && entry.name !== '.git' && entry.name !== '.oxenvcs') {
        count += 1;
        folders.push(path.join(folder, entry.name));
      }
  return count;
}
