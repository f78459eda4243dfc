import os from 'node:os';
import { git, tryGit } from '../git/run.ts';
import { run } from '../system/process.ts';

/** What the system knows of the person at the computer. */
export interface Account {
  username: string;
  /** As the system has it: `Ann Lee,,,` in a passwd file; empty where it knows none. */
  fullName: string;
  hostname: string;
}

export interface Identity {
  name: string;
  email: string;
}

/** A name and an address that Git takes, whatever the account looks like. Pure. */
export function identityFrom({ username, fullName, hostname }: Account): Identity {
  // In a passwd file the name ends at the first comma, and & stands for the user's name.
  const [first = ''] = fullName.split(',');
  const expanded = first.replaceAll('&', username.charAt(0).toUpperCase() + username.slice(1));
  const name = [expanded, username].map(clean).find((one) => one !== '') ?? 'Musician';
  const user = hostPart(username) || 'musician';
  const host = hostPart(hostname) || 'localhost';
  return { name, email: `${user}@${host.includes('.') ? host : `${host}.local`}` };
}

/**
 * A musician without a Git identity gets one for this project. What Git has been told – by any configuration or by the
 * environment – stays; Git's own guess from the host's name does not count. Gives what was set, or null.
 */
export async function ensureIdentity(root: string): Promise<Identity | null> {
  if ((await knows(root, 'GIT_COMMITTER_IDENT')) && (await knows(root, 'GIT_AUTHOR_IDENT'))) return null;
  const identity = identityFrom(await systemAccount());
  const given = { name: await setting(root, 'user.name'), email: await setting(root, 'user.email') };
  if (given.name === '') await git(root, ['config', '--local', 'user.name', identity.name]);
  if (given.email === '') await git(root, ['config', '--local', 'user.email', identity.email]);
  return { name: given.name || identity.name, email: given.email || identity.email };
}

async function knows(root: string, ident: string): Promise<boolean> {
  return (await tryGit(root, ['-c', 'user.useConfigOnly=true', 'var', ident])).exitCode === 0;
}

async function setting(root: string, key: string): Promise<string> {
  const result = await tryGit(root, ['config', '--get', key]);
  return result.exitCode === 0 ? result.stdout.toString('utf8').trim() : '';
}

async function systemAccount(): Promise<Account> {
  // A container may run as a user that no list knows.
  let username = process.env['USER'] ?? process.env['USERNAME'] ?? '';
  try {
    ({ username } = os.userInfo());
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT' && (error as Error).name !== 'SystemError') throw error;
  }
  return { username, fullName: await fullName(username), hostname: os.hostname() };
}

async function fullName(username: string): Promise<string> {
  const [program, ...args] = process.platform === 'darwin' ? ['id', '-F', username] : ['getent', 'passwd', username];
  if (process.platform === 'win32' || program === undefined || username === '') return '';
  const result = await run(program, args, { cwd: '/', env: process.env, timeoutMs: 5000 }).catch(() => null);
  if (result?.exitCode !== 0) return ''; // it is only a nicer name
  const line = result.stdout.toString('utf8').trim();
  return process.platform === 'darwin' ? line : (line.split(':')[4] ?? '');
}

/** Git cuts these from the ends of a name, and refuses one that is made of nothing else. */
function clean(name: string): string {
  return name
    .replace(/[<>\p{Cc}]+/gu, ' ')
    .replace(/\s+/g, ' ')
    .replace(/^[\s.,:;"'\\]+|[\s.,:;"'\\]+$/g, '');
}

function hostPart(text: string): string {
  return text
    .normalize('NFKD')
    .replace(/\p{M}/gu, '')
    .replace(/[^A-Za-z0-9._-]+/g, '-')
    .replace(/^[-.]+|[-.]+$/g, '');
}
