import { randomBytes } from 'node:crypto';
import * as fs from 'node:fs/promises';
import path from 'node:path';
import { git, gitLine } from '../git/run.ts';
import { vaults } from '../project/vault.ts';

/** The embedded default remote: a bare repository on this machine, for a project that has no team's remote (yet). */

const settings: [key: string, value: string][] = [
  ['oxenvcs.vault', 'true'],
  // Packs are kept as they come: taken apart and compressed again, 480 MB of takes took 204 s instead of 5 s.
  ['receive.unpackLimit', '1'],
  ['core.compression', '0'],
  // Nothing tidies by itself, in the middle of a recording.
  ['receive.autoGC', 'false'],
  ['gc.auto', '0'],
  ['maintenance.auto', 'false'],
  // What is published is on the disk.
  ['core.fsync', 'committed,loose-object'],
  ['core.fsyncMethod', 'batch'],
  // Versions and lock records only ever go forward. Deleting stays allowed: the parts of a finished push are removed.
  ['receive.denyNonFastForwards', 'true'],
];

/** Makes an empty vault for the project at `root`, of the same object format, and gives its folder. */
export async function makeVault(root: string, branch: string): Promise<string> {
  const name = `${fileName(path.basename(root))}-${randomBytes(4).toString('hex')}`;
  const format = await gitLine(root, ['rev-parse', '--show-object-format']);
  await fs.mkdir(vaults(), { recursive: true });
  // It gets its name when it is complete: a vault half made is never used.
  const unfinished = path.join(vaults(), `.${name}.tmp`);
  const finished = path.join(vaults(), `${name}.git`);
  try {
    await git(vaults(), ['init', '--quiet', '--bare', `--object-format=${format}`, '-b', branch, unfinished]);
    // By its name: git may be told to use no bare repository that it only comes across (safe.bareRepository).
    for (const [key, value] of settings) await git(vaults(), [`--git-dir=${unfinished}`, 'config', key, value]);
    await fs.rename(unfinished, finished);
  } catch (error) {
    await fs.rm(unfinished, { recursive: true, force: true });
    throw error;
  }
  return finished;
}

/** A folder's name as the name of one of ours: letters, digits, dots and dashes, at most 40 of them. */
export function fileName(text: string): string {
  const kept = text
    .normalize('NFC')
    .replace(/[^\p{L}\p{M}\p{N}._]+/gu, '-')
    .replace(/^[-.]+|[-.]+$/g, '');
  return /^.{1,40}/su.exec(kept)?.[0] ?? 'project';
}
