import { randomBytes } from 'node:crypto';
import path from 'node:path';
import { sortFailure, sortPush } from '../../src/git/failures.ts';
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

/** What became of a push, in two words. */
export function sorted(result: GitResult): string {
  if (result.exitCode === 0) return 'done';
  const { kind, row } = sortPush(result);
  return `${kind} ${row}`;
}

/** What becomes of a look at what is there. */
export async function read(url: string, options: GitOptions = {}): Promise<string> {
  const result = await tryGit(await sandbox(), ['ls-remote', url], options);
  if (result.exitCode === 0) return 'done';
  const { kind, row } = sortFailure(result);
  return `${kind} ${row}`;
}
