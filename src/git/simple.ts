import { GitError, GitPluginError, type SimpleGit, simpleGit } from 'simple-git';
import { gitFailure } from './failures.ts';
import { redact } from './redact.ts';

/**
 * simple-git, for reading: config, log, status. What must be killable, binary or exact goes through run.ts.
 * simple-git takes a git that was killed, or that failed without a word, for a success: the errors plugin mends that.
 */
export function simple(cwd: string): SimpleGit {
  return simpleGit({
    baseDir: cwd,
    errors: (error, { exitCode, stdErr }) => {
      if (error instanceof GitPluginError) return error;
      if (exitCode === 0) return undefined;
      const stderr = redact(Buffer.concat(stdErr).toString('utf8'));
      const failure = gitFailure({ exitCode, signal: null, stderr, killed: null }, ['(simple-git)']);
      return Object.assign(new GitError(undefined, failure.message), { cause: failure });
    },
  });
}
