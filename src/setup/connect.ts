import { redact, tryGit } from '../git/run.ts';
import { currentAddress, remoteNames, setRemote, type Sight } from './remote.ts';
import type { Standing } from './standing.ts';
import { isVault } from '../project/vault.ts';
import { exists } from '../system/disk.ts';
import { makeVault } from './vault.ts';

export interface Connected {
  url: string;
  /** What was done, and what the user should know, for people. */
  created: string[];
  warnings: string[];
}

/**
 * Gives the project its remote: the address given, else the one it has, else a vault made for it, which is told at once. One
 * that was deleted is no address any more.
 */
export async function connect(
  here: Standing,
  branch: string,
  given: string | null,
  madeVault: (vault: string) => void,
): Promise<Connected> {
  const { root, config } = here;
  const name = config.remote;
  const current = await currentAddress(root, name);
  if (given !== null) return await move(root, name, current, given);
  const isGone = current !== null && (await isVault(current)) && !(await exists(current));
  if (current !== null && !isGone) return { url: current, created: [], warnings: [] };

  const others = isGone ? [] : await remoteNames(root);
  const [other] = others;
  const address = other === undefined || others.length > 1 ? null : await currentAddress(root, other);
  if (address !== null) {
    // Under the name that the settings have for everybody: what it is called here is this clone's own affair.
    await setRemote(root, name, address);
    return { url: address, created: [`Remote ${name}: ${redact(address)}, as ${other}`], warnings: [] };
  }
  const vault = await makeVault(root, branch);
  madeVault(vault);
  await setRemote(root, name, vault);
  const instead = isGone ? `, instead of ${current}, which is gone` : '';
  const created = [`Vault, until there is a remote: ${vault}${instead}`];
  if (others.length < 2) return { url: vault, created, warnings: [] };
  const warning = `There are several remotes (${others.join(', ')}) and none is called ${name}: choose with \`oxenvcs init --remote URL\`.`;
  return { url: vault, created, warnings: [warning] };
}

async function move(root: string, name: string, current: string | null, given: string): Promise<Connected> {
  if (current === given) return { url: given, created: [], warnings: [] };
  await setRemote(root, name, given);
  const instead =
    current === null
      ? ''
      : (await isVault(current))
        ? `, instead of the vault ${current}, which stays where it is`
        : `, instead of ${redact(current)}`;
  return { url: given, created: [`Remote ${name}: ${redact(given)}${instead}`], warnings: [] };
}

/** What the user should know of a remote that was looked at. */
export async function remoteWarnings(
  root: string,
  url: string,
  sight: Sight | null,
  tip: string | null,
  branch: string,
): Promise<string[]> {
  if (sight === null) return [];
  if (sight.state === 'unreachable')
    return [`${redact(url)} cannot be reached now (${sight.reason}); versions wait here until it can.`];
  if (sight.state === 'refused') return [`${sight.failure.message} ${sight.failure.hint}`];
  if (tip === null || (await tryGit(root, ['cat-file', '-e', `${tip}^{commit}`])).exitCode === 0) return [];
  return [
    `${redact(url)} has versions of ${branch} that this folder does not have: bring them in with \`oxenvcs pull\`.`,
  ];
}
