import { randomUUID } from 'node:crypto';
import * as fs from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { gitFailure } from '../git/failures.ts';
import { git, redact, tryGit } from '../git/run.ts';
import { readConfig } from '../model/config.ts';
import { Failure } from '../model/failures.ts';
import { configPath } from '../project/project.ts';
import { exists, ifMissing } from '../system/disk.ts';
import { outsideFolder } from './repository.ts';
import { settingsFor } from './settings.ts';
import { syncService } from './synced.ts';

export interface ClonePorts {
  signal: AbortSignal;
  /** What git says of its progress: `Receiving objects:  40% (4/10), 1.20 GiB | 20 MiB/s`. */
  onProgress?: (line: string) => void;
  /** It is given up when nothing has been heard for so many ms. */
  idleMs: number;
}

/**
 * Clones a team's repository into `root`, which is not there yet, or empty. It appears there when it is complete: one that
 * is cut off leaves nothing. Throws `folder-taken`, and what a fetch can throw.
 */
export async function clone(url: string, root: string, { signal, onProgress, idleMs }: ClonePorts): Promise<void> {
  const there = await fs.readdir(root).catch(ifMissing(null));
  if (there !== null && there.length > 0) throw new Failure('folder-taken', { dir: root, url: redact(url) });
  const parent = path.dirname(root);
  await fs.mkdir(parent, { recursive: true });
  // Not after the folder's own name: that may be as long as a name can be.
  const unfinished = path.join(parent, `.oxenvcs-${randomUUID()}.tmp`);
  // What a service would damage lies elsewhere, as for a project that is made here.
  const outside = (await syncService(parent, os.homedir())) === null ? null : await newOutside(root);
  const settings = settingsFor(process.platform).map(({ key, value }) => `--config=${key}=${value}`);
  const where = outside === null ? [] : ['--separate-git-dir', outside];
  const args = ['-c', 'protocol.version=2', 'clone', '--progress', ...settings, ...where, '--', url, unfinished];
  try {
    const result = await tryGit(parent, args, { signal, idleMs, ...(onProgress ? { onStderr: onProgress } : {}) });
    if (result.exitCode !== 0) throw gitFailure(result, args, redact(url), parent);
    await checkOutPublished(unfinished);
    if (there !== null) await fs.rmdir(root);
    await fs.rename(unfinished, root);
  } catch (error) {
    await fs.rm(unfinished, { recursive: true, force: true });
    if (outside !== null) await fs.rm(outside, { recursive: true, force: true });
    throw error;
  }
}

/** A former project of that folder may have left its history there. */
async function newOutside(root: string): Promise<string> {
  const folder = await outsideFolder(root);
  return (await exists(folder)) ? folder.replace(/\.git$/, `-${randomUUID().slice(0, 8)}.git`) : folder;
}

/** The server's default branch may be another than the one that the team publishes, or not be there at all. */
async function checkOutPublished(root: string): Promise<void> {
  const prefix = 'refs/remotes/origin/';
  const listed = await git(root, ['for-each-ref', '--format=%(refname)', prefix]);
  const branches = listed
    .split('\n')
    .flatMap((ref) => (ref === '' || ref === `${prefix}HEAD` ? [] : [ref.slice(prefix.length)]));
  const now = (await tryGit(root, ['symbolic-ref', '--quiet', '--short', 'HEAD'])).stdout.toString('utf8').trim();
  const own = branches.filter((name) => !name.startsWith('oxenvcs/'));
  // The default branch's settings first; without it, those of any branch.
  for (const name of own.includes(now) ? [now] : own) {
    const settings = await tryGit(root, ['cat-file', 'blob', `${prefix}${name}:${configPath}`]);
    if (settings.exitCode !== 0) continue;
    const { branch } = readConfig([{ from: configPath, text: settings.stdout.toString('utf8') }]);
    if (own.includes(branch)) return await checkOut(root, now, branch);
  }
  const [only] = own;
  if (only !== undefined && own.length === 1) await checkOut(root, now, only);
}

async function checkOut(root: string, now: string, branch: string): Promise<void> {
  if (now === branch) return;
  const args = ['checkout', '--quiet', branch, '--'];
  const result = await tryGit(root, args);
  if (result.exitCode !== 0) throw gitFailure(result, args, undefined, root);
}

/** The folder that a clone goes into when nobody names one: the last part of the address, without `.git`. Pure. Throws `usage`. */
export function nameFrom(url: string): string {
  const name = /([^/\\:]+?)(?:\.git)?$/.exec(url.replace(/(?:[/\\]\.git)?[/\\]*$/, ''))?.[1] ?? '';
  if (name !== '' && name !== '.' && name !== '..') return name;
  throw new Failure('usage', {
    detail: `${JSON.stringify(redact(url))} does not tell a name: name the folder, too`,
    command: 'clone',
  });
}
