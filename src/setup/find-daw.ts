import * as fs from 'node:fs/promises';
import path from 'node:path';
import { detectDaw, profileNamed } from '../daw/match.ts';
import type { DawProfile } from '../daw/profile.ts';
import { profiles } from '../daw/profiles.ts';
import { Failure } from '../model/failures.ts';

/** The DAW that a folder is of: the one that was named, else (`auto`) the one whose files lie there. Throws `usage`. */
export async function findDaw(root: string, name: string): Promise<DawProfile> {
  if (name === 'auto') return detectDaw(await filesBelow(root));
  const profile = profileNamed(name);
  if (profile !== undefined) return profile;
  const known = ['auto', ...profiles.map((one) => one.name)].join(', ');
  throw new Failure('usage', {
    detail: `There is no DAW called ${JSON.stringify(name)}; the names are ${known}`,
    command: 'init',
  });
}

/** All files below a folder, relative, with `/`. Repositories are not looked into, links not followed. */
async function filesBelow(root: string): Promise<string[]> {
  const found: string[] = [];
  const folders = [''];
  for (let folder = folders.pop(); folder !== undefined; folder = folders.pop()) {
    // What cannot be read cannot tell anything.
    const entries = await fs.readdir(path.join(root, folder), { withFileTypes: true }).catch(() => []);
    for (const entry of entries) {
      if (entry.name === '.git' || entry.name === '.oxenvcs') continue;
      (entry.isDirectory() ? folders : found).push(folder === '' ? entry.name : `${folder}/${entry.name}`);
    }
  }
  return found;
}
