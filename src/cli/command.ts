import path from 'node:path';
import type { Argv } from 'yargs';
import { followTo } from '../setup/moved.ts';
import type { Program } from '../control/start.ts';
import { Failure } from '../model/failures.ts';
import { findProject, type Project } from '../project/project.ts';
import { type Clock, systemClock } from '../system/clock.ts';
import type { Answer, Output } from './output.ts';

/** What `main.ts` hands in: the faces know nothing of each other. */
export interface Main {
  program: Program;
  runDaemon: (ports: {
    program: Program;
    clock: Clock;
    signal: AbortSignal;
    say: (line: string) => void;
  }) => Promise<{ outcome: 'ended' | 'crashed' } | { outcome: 'already-running'; pid: number | null }>;
}

/** What every command can use. */
export interface Context extends Main {
  cwd: string;
  output: Output;
  clock: Clock;
  /** Aborted by Ctrl-C and SIGTERM. */
  signal: AbortSignal;
  /** `--no-retry`. */
  retry: boolean;
  /**
   * The folder that was named, absolute; else `--project DIR`, else where the user is. Throws `no-command` for an empty name:
   * that is a variable which nobody has set, and would become the current folder.
   */
  folder(dir?: string): string;
  /** The project around `folder(dir)`. Throws `not-a-project`. */
  project(dir?: string): Promise<Project>;
}

export interface GlobalOptions {
  project?: string | undefined;
  json: boolean;
  jsonStream: boolean;
  verbose: boolean;
  quiet: boolean;
  retry: boolean;
}

/** One command: its words, its options, and what it does. */
export interface Command<Options = object> {
  /** As in yargs: `init [dir]`. */
  words: string;
  describe: string;
  options: (argv: Argv<object>) => Argv<Options>;
  run: (options: Options, context: Context) => Promise<Answer>;
}

/** Keeps the type of the options between `options` and `run`. */
export const command = <Options>(definition: Command<Options>): Command<Options> => definition;

export function makeContext(
  main: Main,
  options: GlobalOptions,
  cwd: string,
  output: Output,
  signal: AbortSignal,
): Context {
  const folder = (dir = options.project ?? cwd): string => {
    if (dir === '') throw new Failure('no-command', { detail: 'The name of the folder is empty' });
    return path.resolve(cwd, dir);
  };
  return {
    ...main,
    folder,
    cwd,
    output,
    clock: systemClock,
    signal,
    retry: options.retry,
    project: async (dir) => {
      const project = await findProject(folder(dir));
      await followTo(project).catch(() => undefined); // it only helps the background process, and is tried each time
      return project;
    },
  };
}
