import path from 'node:path';
import { tryGit } from '../git/run.ts';
import { dataFolder } from '../system/places.ts';

/** Where the vaults of this computer lie (setup/vault.ts makes them). */
export const vaults = (): string => path.join(dataFolder(), 'vaults');

/** Is this address one of our vaults? One whose folder is gone is known by its place. */
export async function isVault(url: string): Promise<boolean> {
  if (!path.isAbsolute(url)) return false;
  const args = ['--git-dir', url, 'config', '--local', '--type=bool', '--get', 'oxenvcs.vault'];
  const result = await tryGit(path.parse(url).root, args);
  if (result.exitCode === 0) return result.stdout.toString('utf8').trim() === 'true';
  return path.dirname(url) === vaults();
}
