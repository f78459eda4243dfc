import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import * as fs from 'node:fs';
import net from 'node:net';
import os from 'node:os';
import path from 'node:path';
import { onTestFinished } from 'vitest';
import { type BareOptions, bareRepository, type Remote } from './bare.ts';
import { killTree } from './processes.ts';
import { sandbox } from './sandbox.ts';

export interface SshOptions extends BareOptions {
  /** Lets GIT_PROTOCOL in, so that protocol v2 is spoken. Debian's default does not. */
  acceptGitProtocol?: boolean;
  /** Over the environment of the server's git: hooks see it. */
  env?: Record<string, string>;
}

export interface SshRemote extends Remote {
  port: number;
  /** `GIT_SSH_COMMAND` with more options, or other ones: `command('-i', otherKey)`. */
  command: (...options: string[]) => string;
  /** The client's file of known host keys, and the server's key: for keys that change. */
  knownHosts: string;
  hostKey: string;
}

/** A private sshd on 127.0.0.1 with keys of its own, set up as Debian sets it up. Needs no root. */
export async function sshRemote(options: SshOptions = {}): Promise<SshRemote> {
  const dir = await bareRepository(options);
  const folder = await sandbox();
  const file = (name: string) => path.join(folder, name);
  const hostKey = file('host_key');
  const knownHosts = file('known_hosts');
  makeKey(hostKey);
  makeKey(file('user_key'));
  fs.copyFileSync(file('user_key.pub'), file('authorized_keys'));
  // As root, sshd locks its workers into this folder, which its service would have made.
  if (process.getuid?.() === 0) fs.mkdirSync('/run/sshd', { recursive: true, mode: 0o755 });

  const { port, sshd } = await startOnFreePort((port) => {
    fs.writeFileSync(file('sshd_config'), sshdConfig(folder, port, options));
    return file('sshd_config');
  });
  fs.writeFileSync(knownHosts, `song-server ${fs.readFileSync(`${hostKey}.pub`, 'utf8')}`);

  const client = {
    // The key is known by this name, so that it also holds on the way through a proxy.
    HostKeyAlias: 'song-server',
    UserKnownHostsFile: knownHosts,
    GlobalKnownHostsFile: '/dev/null',
    StrictHostKeyChecking: 'yes',
    IdentitiesOnly: 'yes',
    BatchMode: 'yes',
    ConnectTimeout: '10',
    SendEnv: 'LANG,LC_*',
  };
  // ssh takes the first value it is given, so what a test adds stands in front.
  const command = (...more: string[]) =>
    [
      'ssh -F /dev/null',
      ...more,
      `-i '${file('user_key')}'`,
      ...Object.entries(client).flatMap(([key, value]) => value.split(',').map((one) => `-o '${key}=${one}'`)),
    ].join(' ');
  const stop = async () => {
    if (sshd.exitCode !== null || sshd.signalCode !== null || sshd.pid === undefined) return;
    const ended = new Promise((resolve) => sshd.once('exit', resolve));
    killTree(sshd.pid);
    await ended;
  };
  onTestFinished(stop);
  return {
    url: `ssh://${os.userInfo().username}@127.0.0.1:${port}${dir}`,
    dir,
    env: { GIT_SSH_COMMAND: command() },
    port,
    command,
    knownHosts,
    hostKey,
    stop,
  };
}

/** A new key pair, without a passphrase. */
export function makeKey(file: string): void {
  execFileSync('ssh-keygen', ['-q', '-t', 'ed25519', '-N', '', '-C', 'oxenvcs test', '-f', file]);
}

function sshdConfig(folder: string, port: number, options: SshOptions): string {
  // A login gets the account's own home, and with it the person's settings: give it the test's.
  const env = { HOME: process.env['HOME'] ?? folder, GIT_CONFIG_NOSYSTEM: '1', ...options.env };
  return [
    'ListenAddress 127.0.0.1',
    `Port ${port}`,
    `HostKey ${folder}/host_key`,
    `AuthorizedKeysFile ${folder}/authorized_keys`,
    'PidFile none',
    'StrictModes no',
    'UsePAM no',
    'PasswordAuthentication no',
    'KbdInteractiveAuthentication no',
    'PermitRootLogin prohibit-password',
    // Many clients at once are the test, not an attack.
    'MaxStartups 1000',
    `AcceptEnv LANG LC_*${options.acceptGitProtocol ? ' GIT_PROTOCOL' : ''}`,
    `SetEnv ${Object.entries(env)
      .map((variable) => `"${variable.join('=').replaceAll(/["\\]/g, '\\$&')}"`)
      .join(' ')}`,
    '',
  ].join('\n');
}

/** Between finding a port and sshd taking it, somebody else may: then another one is tried. */
async function startOnFreePort(configFor: (port: number) => string): Promise<{ port: number; sshd: ChildProcess }> {
  for (let attempt = 1; ; attempt += 1) {
    const port = await freePort();
    const sshd = spawn(sshdPath(), ['-D', '-e', '-f', configFor(port)], { stdio: ['ignore', 'ignore', 'pipe'] });
    const said = await untilListening(sshd);
    if (said === null) return { port, sshd };
    if (attempt === 5 || !said.includes('Address already in use')) throw new Error(`sshd did not start: ${said}`);
  }
}

/** null once it listens; what it said if it ended instead. */
function untilListening(sshd: ChildProcess): Promise<string | null> {
  return new Promise((resolve, reject) => {
    let said = '';
    sshd.stderr?.setEncoding('utf8').on('data', (text: string) => {
      said += text;
      if (/^Server listening on /m.test(said)) resolve(null);
    });
    sshd.on('error', reject);
    sshd.on('exit', () => resolve(said));
  });
}

/** sshd insists on being started by its absolute path. */
function sshdPath(): string {
  const found = ['/usr/sbin/sshd', '/usr/local/sbin/sshd', '/usr/bin/sshd'].find((file) => fs.existsSync(file));
  if (!found) throw new Error('There is no sshd here: run `sh test/support/system.sh`.');
  return found;
}

/** A TCP port on 127.0.0.1 that nobody listens on right now. */
export async function freePort(): Promise<number> {
  const server = net.createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as net.AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}
