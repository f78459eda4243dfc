import os from 'node:os';
import { gitEnvironment, tryGit } from '../git/run.ts';
import { run } from '../system/process.ts';
import type { Way } from './peek.ts';
import { standingConnection } from './share.ts';

/** Git's own parts of an address: where, at which port, and what there. Nothing that it would read in another way. */
const plain = [
  /^ssh:\/\/(?<to>(\w[\w.+-]*@)?[a-z\d][a-z\d.-]*)(:(?<port>\d+))?(?<path>\/[^~%'!\\\p{Cc}][^%'!\\\p{Cc}]*)$/iu,
  /^(?<to>(\w[\w.+-]*@)?[a-z\d][a-z\d.-]+):(?<path>(?!-|\/\/)[^'!\\\p{Cc}]+)$/iu,
];

/** What has git speak otherwise, or go elsewhere. */
const otherWays = ['GIT_PROTOCOL', 'GIT_SSH_VARIANT', 'GIT_ALLOW_PROTOCOL'];
const settings = String.raw`^url\..*\.insteadof$|^protocol\.|^ssh\.variant$|^remote\..*\.uploadpack$`;

/** A new connection to a slow server takes seconds. What takes longer is left to git, ms. */
const answerMs = 10_000;

/** Asks through one connection that all projects of the host share. Null: git would go there in another way, or it cannot be shared. */
export async function wayOverSsh(root: string, url: string): Promise<Way | null> {
  const { to, port, path } = plain.map((form) => form.exec(url)).find((match) => match !== null)?.groups ?? {};
  if (to === undefined || path === undefined || otherWays.some((name) => name in process.env)) return null;
  const told = await tryGit(root, ['config', '--null', '--name-only', '--get-regexp', settings]);
  if (told.exitCode !== 1) return null;
  const connection = await standingConnection(root, to, port);
  if (connection === null) return null;
  return {
    async ask(question, signal) {
      const used = await connection.use();
      if (used === null) return null;
      const { command, broken } = used;
      // The command is the user's own, and git runs it in the same way; the address is no part of it.
      const there = ['-o', 'SendEnv=GIT_PROTOCOL', '-o', 'BatchMode=yes', to, `git-upload-pack '${path}'`];
      const result = await run('sh', ['-c', `exec ${command} "$@"`, 'sh', ...there], {
        // Not in the project: the connection would keep its disk from being taken out.
        cwd: os.tmpdir(),
        env: gitEnvironment({ GIT_PROTOCOL: 'version=2' }),
        // A last flush says that no more is asked.
        input: `${question}0000`,
        timeoutMs: answerMs,
        ...(signal ? { signal } : {}),
      }).catch(() => null);
      // Nobody is there now, or nothing: git finds out, and says, what it is.
      if (result === null || result.exitCode === null || result.exitCode === 255) await broken();
      else if (result.stdout.length > 0) return withoutGreeting(result.stdout);
      return null;
    },
    end: connection.leave,
  };
}

/** What comes after the server has said what it can. */
function withoutGreeting(said: Buffer): Buffer | 'other' {
  const text = said.toString('latin1');
  if (!text.startsWith('000eversion 2\n')) return 'other';
  for (let at = 0; ; ) {
    const length = text.slice(at, at + 4);
    if (length === '0000') return said.subarray(at + 4);
    if (!/^[\da-f]{4}$/.test(length) || Number.parseInt(length, 16) < 4) return 'other';
    at += Number.parseInt(length, 16);
  }
}
