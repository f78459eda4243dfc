import * as fs from 'node:fs/promises';
import path from 'node:path';
import { git } from '../../src/git/run.ts';
import { sandbox } from './sandbox.ts';

/** The team's repository, as one test sees it. Everything ends with the test. */
export interface Remote {
  url: string;
  /** The bare repository behind it. */
  dir: string;
  /** What a git client needs to get in: `tryGit(dir, args, { env: remote.env })`, or over the child's environment. */
  env: Record<string, string>;
  /** Makes it unreachable for the rest of the test. May be called twice. */
  stop: () => Promise<void>;
}

export interface BareOptions {
  /** Settings of the bare repository. */
  config?: Record<string, string>;
  /** The folder that it is put into: a small disk, a name with spaces. */
  parent?: string;
}

/** A bare repository such as a server has: keeps packs as they come, does no housekeeping of its own. */
export async function bareRepository({ config, parent }: BareOptions = {}): Promise<string> {
  const dir = path.join(parent ?? (await sandbox()), 'song.git');
  const settings = { 'http.receivepack': 'true', 'receive.unpackLimit': '1', 'gc.auto': '0', ...config };
  await git(path.dirname(dir), ['init', '--quiet', '--bare', '-b', 'main', dir]);
  for (const [name, value] of Object.entries(settings)) await git(dir, ['config', name, value]);
  return dir;
}

/** Installs a hook on the server's side: `body` is sh. */
export async function serverHook(remote: Pick<Remote, 'dir'>, name: string, body: string): Promise<void> {
  await fs.writeFile(path.join(remote.dir, 'hooks', name), `#!/bin/sh\n${body}\n`, { mode: 0o755 });
}
