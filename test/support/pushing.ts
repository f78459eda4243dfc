import { randomBytes } from 'node:crypto';
import path from 'node:path';
import { type GitOptions, type GitResult, git, tryGit } from '../../src/git/run.ts';
import { repository, sandbox, write } from './sandbox.ts';

/** A repository with one commit; with `takeBytes`, a second one with so much noise in it, which does not compress. */
export async function songRepository(takeBytes = 0): Promise<string> {
  const song = await repository(path.join(await sandbox(), 'song'));
  if (takeBytes === 0) return song;
  await write(song, { 'take.wav': randomBytes(takeBytes) });
  await git(song, ['add', '--all']);
  await git(song, ['commit', '--quiet', '-m', 'a take']);
  return song;
}

/** A push as the program makes it. */
export async function push(song: string, args: string[], options: GitOptions = {}): Promise<GitResult> {
  return await tryGit(song, ['push', '--porcelain', '--atomic', '--no-verify', ...args], options);
}
