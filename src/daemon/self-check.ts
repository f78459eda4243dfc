import { randomUUID } from 'node:crypto';
import * as fs from 'node:fs/promises';
import { createConnection } from 'node:net';
import os from 'node:os';
import path from 'node:path';
import type { Finding } from '../control/protocol.ts';
import { gitFailure } from '../git/failures.ts';
import { redact } from '../git/redact.ts';
import { tryGit } from '../git/run.ts';
import { asFailure, Failure } from '../model/failures.ts';
import { isSsh } from '../network/ssh.ts';
import { openProject, type Project, remoteUrl, statePath } from '../project/project.ts';
import { makeFolder } from '../project/state.ts';
import { run } from '../system/process.ts';

/**
 * What the background process itself can and cannot do: started by the system it has other rights, another PATH and other
 * keys than a terminal. Asked for by `doctor`.
 */
export async function selfCheck(root: string): Promise<Finding[]> {
  try {
    const project = await openProject(root);
    return [await folderCheck(project), await remoteCheck(project)];
  } catch (error) {
    // Without git or the folder nothing else can be asked.
    return [folderFinding(asFailure(error))];
  }
}

const good = (name: string, message: string): Finding => ({ name, ok: true, message, hint: null });
const names = { folder: 'background: folder', remote: 'background: remote' };

async function folderCheck(project: Project): Promise<Finding> {
  const file = statePath(project, `written-${randomUUID()}.tmp`);
  try {
    await fs.readdir(project.root);
    // `git clean -fdx` takes it away.
    await makeFolder(path.dirname(file));
    await fs.writeFile(file, '');
    await fs.rm(file);
    return good(names.folder, 'may be read and written by the background process');
  } catch (error) {
    return folderFinding(asFailure(error));
  }
}

/** Pure. A Mac asks the person before a program may see Documents, the desktop or an external disk; a service cannot ask. */
export function folderFinding(failure: Failure, platform: NodeJS.Platform = process.platform): Finding {
  const cures: Partial<Record<Failure['row'], string>> = {
    'no-rights':
      platform === 'darwin'
        ? `Allow it in System Settings → Privacy & Security → Full Disk Access, for ${process.execPath}; then run \`oxenvcs daemon restart\`.`
        : 'Give the folder back its rights, or move it to one of your own.',
    'no-git': 'Run `oxenvcs daemon restart` in a terminal where `git --version` works: it takes the PATH along.',
  };
  return { name: names.folder, ok: false, message: failure.message, hint: cures[failure.row] ?? failure.hint };
}

/** A server that does not answer is told elsewhere; longer than this nobody wants to wait for a check, ms. */
const askMs = 15_000;

async function remoteCheck(project: Project): Promise<Finding> {
  const url = await remoteUrl(project);
  if (url === null) return good(names.remote, 'none');
  const args = ['ls-remote', '--quiet', '--', url, 'HEAD'];
  const result = await tryGit(project.root, args, { timeoutMs: askMs });
  if (result.exitCode === 0) return good(names.remote, 'lets the background process in');
  const failure = gitFailure(result, args, redact(url), project.root);
  return remoteFinding(failure, { url, agent: await agentState(), keychain: await keychainState() });
}

export interface Keys {
  url: string;
  /** The SSH agent, as it is seen from the background process. */
  agent: 'there' | 'gone' | 'none';
  /** Of a Mac. */
  keychain: 'open' | 'locked';
}

/** Pure. What cannot be reached from anywhere is no matter of the background process. */
export function remoteFinding(
  failure: Failure,
  { url, agent, keychain }: Keys,
  platform: NodeJS.Platform = process.platform,
): Finding {
  if (failure.code === 'OFFLINE') return good(names.remote, 'could not be asked now');
  const bad = (message: string, hint: string): Finding => ({ name: names.remote, ok: false, message, hint });
  if (failure.row !== 'auth') return bad(failure.message, failure.hint);
  if (isSsh(url) && agent !== 'there') {
    const cure =
      platform === 'darwin'
        ? 'Put the key into the keychain: `ssh-add --apple-use-keychain ~/.ssh/id_ed25519`'
        : platform === 'linux'
          ? 'Hand the agent to your session: `systemctl --user import-environment SSH_AUTH_SOCK`'
          : 'Start the service “OpenSSH Authentication Agent”, and add the key with `ssh-add`';
    const what = agent === 'none' ? 'no SSH agent' : 'an SSH agent that is gone';
    return bad(
      `${failure.message} The background process has ${what}.`,
      `${cure}; then run \`oxenvcs daemon restart\`.`,
    );
  }
  if (!isSsh(url) && keychain === 'locked')
    return bad(
      `${failure.message} The keychain is locked.`,
      'Unlock it: `security unlock-keychain`; it goes on by itself.',
    );
  return bad(failure.message, failure.hint);
}

async function agentState(): Promise<Keys['agent']> {
  const address = process.env['SSH_AUTH_SOCK'];
  if (!address) return 'none';
  return await new Promise((resolve) => {
    const socket = createConnection(address);
    const done = (state: Keys['agent']) => {
      socket.destroy();
      resolve(state);
    };
    socket.once('connect', () => done('there')).once('error', () => done('gone'));
  });
}

async function keychainState(): Promise<Keys['keychain']> {
  if (process.platform !== 'darwin') return 'open';
  const call = { cwd: os.tmpdir(), env: process.env, timeoutMs: 5000 };
  const shown = await run('security', ['show-keychain-info'], call).catch(() => null);
  return shown === null || shown.exitCode === 0 ? 'open' : 'locked';
}
