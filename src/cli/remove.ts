import * as fs from 'node:fs/promises';
import path from 'node:path';
import { commitSave } from '../commit/commit.ts';
import { pendingSaves } from '../commit/pending.ts';
import { askDaemon } from '../control/client.ts';
import { letGoMs } from '../control/protocol.ts';
import { register, registered, unregister } from '../control/registry.ts';
import { lockContext } from '../lock/context.ts';
import { releaseLock } from '../lock/lease.ts';
import { cachedStatus } from '../lock/status.ts';
import { asFailure, Failure } from '../model/failures.ts';
import { alreadyWatched, whoHas } from '../project/guard.ts';
import { type Project, remoteUrl } from '../project/project.ts';
import { assertAlone, deleteHistory, exportRest, takeOut } from '../setup/leave.ts';
import { remoteKind } from '../setup/remote.ts';
import { exists, ifMissing } from '../system/disk.ts';
import { command, type Context } from './command.ts';
import { localTime } from './format.ts';
import type { Answer } from './output.ts';
import { pushNow } from './push.ts';

export const remove = command({
  words: 'remove [dir]',
  describe: 'Leave a project: what is left is published or exported, then hooks, settings and notes are taken out',
  options: (argv) =>
    argv
      .positional('dir', { type: 'string', describe: 'The project (default: searched upwards from here)' })
      .option('delete-history', {
        type: 'boolean',
        default: false,
        describe: 'Delete the versions in this folder, too; what is nowhere else is exported first',
      }),
  async run({ dir, 'delete-history': deletes }, context) {
    const folder = context.folder(dir);
    const gone = await goneProject(folder);
    if (gone !== null) return await forget(gone);
    const project = await context.project(dir);
    const { root } = project;
    if (deletes) await assertAlone(project);
    await stopWatching(project);
    await commitPending(project);
    const said: string[] = [];
    const unpublished = await publish(project, context);
    const lock = await release(project, context);
    if (lock !== null) said.push(lock);
    const exported = await exportRest(project, { all: deletes });
    if (exported !== null) said.push(`What is nowhere else: ${exported} (git clone gets it back)`);
    const vault = (await remoteKind(project)) === 'vault' ? await remoteUrl(project) : null;
    const hooks = await takeOut(project);
    for (const warning of [...(unpublished === null ? [] : [unpublished]), ...hooks.warnings])
      context.output.warn(warning);
    if (deletes) await deleteHistory(project);
    if (vault !== null) said.push(`The vault with the versions stays: ${vault}`);
    return {
      data: { project: root, exported, vault, historyDeleted: deletes, published: unpublished === null },
      lines: [
        `${root} is no project any more.`,
        ...said.map((line) => `  ${line}`),
        deletes
          ? 'Your files are as they were.'
          : 'Your files and all versions are as they were: an ordinary Git repository.',
      ],
    };
  },
});

/** The watched project that lay in this folder, and is not there any more: deleted, or on a disk that is not plugged in. */
async function goneProject(folder: string): Promise<string | null> {
  const parent = await fs.realpath(path.dirname(folder)).catch(ifMissing(path.dirname(folder)));
  const root = path.join(parent, path.basename(folder));
  const isKnown = (await registered()).roots.includes(root);
  return isKnown && !(await exists(path.join(root, '.git'))) ? root : null;
}

async function forget(root: string): Promise<Answer> {
  await unregister(root);
  await askDaemon({ do: 'forget', root }, letGoMs);
  return {
    data: { project: root, exported: null, vault: null, historyDeleted: false, published: null },
    lines: [
      `${root} is not there, and is not watched any more.`,
      '  Should it come back, on a disk that was away: oxenvcs init in it has it watched again.',
    ],
  };
}

/** Nobody may begin a version while the project is taken apart. Throws `already-watched`, `watched-elsewhere`, `daemon-hangs`. */
async function stopWatching(project: Project): Promise<void> {
  const { root } = project;
  await unregister(root);
  try {
    await askDaemon({ do: 'forget', root }, letGoMs);
    if ((await whoHas(project, 'watch')) !== null) throw await alreadyWatched(project);
  } catch (error) {
    await register(root);
    throw error;
  }
}

/** What a watcher that was killed had captured, and the DAW has perhaps saved over since, becomes versions. Throws `busy`. */
async function commitPending(project: Project): Promise<void> {
  const pending = pendingSaves(project);
  for (const { captured, deleted } of await pending.read()) {
    const save = { captured: captured.map(({ file }) => file), settled: [], deleted, incomplete: [], toFollow: [] };
    const made = await commitSave(project, save);
    if (made.outcome === 'later') throw new Failure('busy', { detail: made.reason });
  }
  await pending.note([]);
}

/** Null: all is published. Else why not; it stays here, or is exported. */
async function publish(project: Project, context: Context): Promise<string | null> {
  try {
    await pushNow(project, context);
    return null;
  } catch (error) {
    const { message } = asFailure(error);
    return `Not all versions could be published: ${message}`;
  }
}

/** What to tell about the lock, if there is anything. */
async function release(project: Project, context: Context): Promise<string | null> {
  const ctx = await lockContext(project, context.clock, context.signal).catch(() => null);
  if (ctx === null) return null; // without a remote there is no lock
  const { mine, lock } = await cachedStatus(ctx);
  if (!mine) return null;
  const released = await releaseLock(ctx);
  if (released.outcome === 'done') return 'The lock was given back.';
  return `The lock could not be given back; it runs out by itself${lock === null ? '' : ` at ${localTime(lock.expiresAt)}`}.`;
}
