import * as fs from 'node:fs/promises';
import path from 'node:path';
import { git } from '../git/run.ts';
import { capabilities, capabilitiesFile, learn } from '../lock/capabilities.ts';
import { Failure } from '../model/failures.ts';
import { type Project, remoteUrl } from '../project/project.ts';
import { notPublished } from '../project/rescue.ts';
import { ifMissing } from '../system/disk.ts';

/**
 * The largest file that the remote takes. One that is larger and already committed would block every later save, so
 * the limit applies when a version is made: known for some hosts, learned from the first refusal elsewhere.
 */

/** Hosts whose limit is known; bytes. GitHub: "blocks files larger than 100 MiB". */
const hosts: Record<string, number> = { 'github.com': 100 * 2 ** 20, 'ssh.github.com': 100 * 2 ** 20 };

/** By the address alone (`https://host/path`, `user@host:path`); null where nothing is known. Pure. */
export function knownLimit(url: string): number | null {
  const [, host] =
    /^[a-z][a-z0-9+.-]*:\/\/(?:[^/@]*@)?([^/:]+)/i.exec(url) ?? /^(?:[^/@:]+@)?([^/:]+):/.exec(url) ?? [];
  return hosts[host?.toLowerCase() ?? ''] ?? null;
}

/** The limit in force, bytes; null: none is known. A number in the settings decides. */
export async function fileLimit(project: Project): Promise<number | null> {
  const { maxBlobBytes } = project.config.push;
  if (maxBlobBytes !== 'auto') return maxBlobBytes;
  const where = await remoteOf(project);
  return where === null ? null : ((await capabilities(where)).maxBlobBytes ?? knownLimit(where.remote.url));
}

/**
 * The same for who asks at every look: git is asked for the remote's address again when its settings here, or what is known of
 * the remote, were written since.
 */
export function keptFileLimit(project: Project): () => Promise<number | null> {
  const files = [path.join(project.gitDir, 'config'), capabilitiesFile(project)];
  let kept: { written: string; limit: number | null } | null = null;
  return async () => {
    const [config, known] = await Promise.all(files.map(lastWritten));
    const written = `${config} ${known}`;
    // In a linked worktree the settings lie elsewhere.
    if (kept?.written === written && config !== '') return kept.limit;
    const limit = await fileLimit(project);
    kept = { written, limit };
    return limit;
  };
}

/** Changes with every write of the file; empty where there is none. */
async function lastWritten(file: string): Promise<string> {
  const stat = await fs.stat(file, { bigint: true }).catch(ifMissing(null));
  return stat === null ? '' : `${stat.ino}:${stat.mtimeNs}:${stat.size}`;
}

/**
 * Takes over what a refusal (`file-too-large`) says of the limit. Where it names none, or one that nothing waiting
 * exceeds, the largest file that waits was too large: each further refusal lowers it. Null: nothing waits that could be left out.
 */
export async function learnLimit(project: Project, tip: string, refused: Failure): Promise<number | null> {
  const where = await remoteOf(project);
  const largest = await largestWaiting(project, tip);
  if (where === null || largest === 0) return null;
  const named = Number(refused.details['limitBytes'] ?? Infinity);
  const limit = named < largest ? named : largest - 1;
  await learn(where, { maxBlobBytes: limit });
  return limit;
}

async function remoteOf(project: Project): Promise<Parameters<typeof capabilities>[0] | null> {
  const { root, config } = project;
  const url = await remoteUrl(project);
  return url === null ? null : { root, remote: { name: config.remote, url } };
}

/** Bytes of the largest blob that is not published yet; 0 where there is none. */
async function largestWaiting(project: Project, tip: string): Promise<number> {
  const listed = ['rev-list', '--objects', '--no-object-names', '--exclude-promisor-objects', tip];
  const ids = await git(project.root, [...listed, ...(await notPublished(project)), '--']);
  const sizes = await git(project.root, ['cat-file', '--batch-check=%(objecttype) %(objectsize)'], { input: ids });
  let most = 0;
  for (const [, size] of sizes.matchAll(/^blob (\d+)$/gm)) most = Math.max(most, Number(size));
  return most;
}

/** The row of the table for one file; sizes in bytes. */
export const leftOut = (file: string, size: number, limit: number): Failure =>
  new Failure('left-out', { file, size: megabytes(size), limit: megabytes(limit) });

const megabytes = (bytes: number): string =>
  bytes < 2 ** 20 ? `${Math.ceil(bytes / 1024)} KB` : `${(bytes / 2 ** 20).toFixed(bytes < 10 * 2 ** 20 ? 1 : 0)} MB`;
