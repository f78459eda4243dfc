import os from 'node:os';
import path from 'node:path';
import { tryGit } from '../git/run.ts';
import { run } from '../system/process.ts';

/** What git starts to reach a remote over ssh, and how that is set up. */

/** Git's own rule: `host:path`, or a scheme with ssh in it. Pure. */
export const isSsh = (url: string): boolean =>
  /^(ssh|git\+ssh|ssh\+git):\/\//.test(url) || /^[^/]{2,}:(?!\/\/)/.test(url);

/** The program with its arguments, for the shell that git starts it with, as git chooses it. */
export async function sshCommand(root: string): Promise<string> {
  const { GIT_SSH_COMMAND: command, GIT_SSH: program } = process.env;
  if (command) return command;
  const set = await tryGit(root, ['config', '--get', 'core.sshCommand']);
  return set.stdout.toString('utf8').trim() || (program ? quoted(program) : 'ssh');
}

/** For the shell that git starts programs with; on Windows it takes forward slashes. */
export const quoted = (word: string): string =>
  `'${(process.platform === 'win32' ? word.replaceAll('\\', '/') : word).replaceAll("'", "'\\''")}'`;

/**
 * How OpenSSH is set up for that address, from all its files and options (`ssh -G`): values by their names in lower case.
 * Null: it is another program, or does not tell.
 */
export async function sshSettings(root: string, url: string): Promise<Map<string, string> | null> {
  const command = await sshCommand(root);
  const host = hostOf(url);
  if (!isOpenSsh(command) || host === null) return null;
  // The command is the user's own, and git runs it in the same way; the address is no part of it.
  const call = { cwd: os.tmpdir(), env: process.env, timeoutMs: 5000 };
  const told = await run('sh', ['-c', `${command} -G "$1"`, 'sh', host], call).catch(() => null);
  if (told?.exitCode !== 0) return null;
  const lines = told.stdout.toString('utf8').split(/\r?\n/);
  return new Map(lines.map((line) => [line.split(' ', 1)[0] ?? '', line.slice(line.indexOf(' ') + 1)]));
}

/** By the name of its program, as git tells it. Pure. */
export function isOpenSsh(command: string): boolean {
  const word = /^\s*('[^']*'|"[^"]*"|\S+)/.exec(command)?.[1]?.replaceAll(/^['"]|['"]$/g, '') ?? '';
  return /^ssh(\.exe)?$/i.test(path.posix.basename(word.replaceAll('\\', '/')));
}

/** `[user@]host` of an address. Null where there is none that can be given to ssh. Pure. */
export function hostOf(url: string): string | null {
  const match = /^[a-z+]+:\/\/([^/]*?)(?::\d+)?(?:\/|$)/.exec(url) ?? /^((?:[^@/]*@)?(?:\[[^\]]*\]|[^:/]+)):/.exec(url);
  const host = match?.[1]?.replace(/^([^@]*@)?\[(.*)\]$/, '$1$2') ?? '';
  return host === '' || host.startsWith('-') ? null : host;
}
