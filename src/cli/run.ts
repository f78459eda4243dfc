import { closest, distance } from 'fastest-levenshtein';
import yargs, { type Argv } from 'yargs';
import { asFailure, Failure } from '../model/failures.ts';
import { type Command, type GlobalOptions, type Main, makeContext } from './command.ts';
import { clone } from './clone.ts';
import { conflict } from './conflict.ts';
import { daemon } from './daemon.ts';
import { demo } from './demo.ts';
import { doctor } from './doctor.ts';
import { hooks } from './hooks.ts';
import { init } from './init.ts';
import { lock } from './lock.ts';
import { log } from './log.ts';
import { net } from './net.ts';
import { makeOutput } from './output.ts';
import { pause, resume } from './pause.ts';
import { pull } from './pull.ts';
import { push } from './push.ts';
import { queue } from './queue.ts';
import { remove } from './remove.ts';
import { status } from './status.ts';
import { sync } from './sync.ts';
import { watch } from './watch.ts';

interface Group {
  words: string;
  describe: string;
  commands: readonly Command<never>[];
}

const commands = [
  init,
  clone,
  watch,
  pause,
  resume,
  daemon,
  status,
  lock,
  queue,
  push,
  pull,
  sync,
  conflict,
  log,
  hooks,
  net,
  doctor,
  remove,
  demo,
] as unknown as readonly (Command<never> | Group)[];

const completion = 'completion';

/** The shell that a completion script is asked for, by default the one in use; null: something else is asked for. Throws `usage`. */
function completionFor([first, shell = '']: readonly string[]): string | null {
  if (first !== completion || shell.startsWith('-')) return null;
  if (shell === '') return process.env['SHELL'] ?? '';
  if (['bash', 'zsh', 'fish'].includes(shell)) return shell;
  throw new Failure('no-command', { detail: `There is no completion for "${shell}"; it takes bash, zsh or fish` });
}

/** Runs one command line. Returns the exit code; never throws, never prints a stack trace. */
export async function runCli(args: readonly string[], cwd: string, main: Main): Promise<number> {
  const abort = new AbortController();
  let exitCode = 0;
  const atEnd = (code: number) => (abort.signal.aborted ? 130 : code);
  // A terminal that closes, or a session that ends; under `nohup`, which has none, it is ignored.
  const hangsUp = process.stdout.isTTY || args[0] === 'daemon';
  const ends: NodeJS.Signals[] = ['SIGINT', 'SIGTERM', ...(hangsUp ? (['SIGHUP'] as const) : [])];
  const interrupt = () => abort.abort(new Error('interrupted'));
  for (const end of ends) process.on(end, interrupt);
  try {
    const shell = completionFor(args);
    if (shell !== null) process.env['SHELL'] = shell; // yargs looks there, once
    const program = globals(yargs(withPaths(args)))
      .scriptName('oxenvcs')
      .usage('$0 <command>\n\nVersion control that a music producer never has to think about.')
      .version(main.program.version)
      .completion(completion, 'Shell completion: `completion bash`, `zsh` or `fish` prints the script for it')
      .strict()
      .demandCommand(1, 'Name a command')
      .exitProcess(false)
      .fail((message, error) => {
        // Yargs throws a slip of the user as an error of its own, too.
        if (error && error.name !== 'YError') throw error;
        throw wrongUsage(message || error.message, args);
      });
    const run = async <Options>(definition: Command<Options>, options: Options & GlobalOptions): Promise<void> => {
      const output = makeOutput(options);
      const answer = await definition.run(options, makeContext(main, options, cwd, output, abort.signal));
      output.finish(answer);
      exitCode = answer.exitCode ?? atEnd(0);
    };
    for (const one of commands) add(program, one, run);
    if (shell !== null) program.showCompletionScript();
    else await program.parseAsync();
  } catch (error) {
    const isInterrupted = abort.signal.aborted && !(error instanceof Failure);
    const failure = isInterrupted ? new Failure('interrupted', {}, error) : asFailure(error);
    const flags = flagsIn(args);
    // A person knows what they did; a program that reads waits for its document.
    if (!isInterrupted || flags.json || flags.jsonStream) makeOutput(flags).fail(failure);
    exitCode = atEnd(failure.exitCode);
  } finally {
    for (const end of ends) process.off(end, interrupt);
  }
  return exitCode;
}

type Run = <Options>(definition: Command<Options>, options: Options & GlobalOptions) => Promise<void>;

function add(program: Argv<GlobalOptions>, one: Command<never> | Group, run: Run): void {
  if ('commands' in one) {
    program.command(one.words, one.describe, (group) => {
      for (const inner of one.commands) add(group, inner, run);
      return group.demandCommand(
        1,
        `Name what to do: ${one.commands.map(({ words }) => words.split(' ')[0]).join(', ')}`,
      );
    });
    return;
  }
  program.command(
    one.words,
    one.describe,
    (argv) => one.options(argv),
    async (options) => await run(one, options),
  );
}

function globals(argv: Argv<object>): Argv<GlobalOptions> {
  const described = argv
    .option('project', {
      type: 'string',
      describe: 'The project (default: searched upwards from here)',
      requiresArg: true,
    })
    .option('json', { type: 'boolean', default: false, describe: 'Print one JSON document' })
    .option('json-stream', { type: 'boolean', default: false, describe: 'Print one JSON event a line' })
    .option('verbose', { type: 'boolean', default: false, describe: 'Say the cause of a failure too' })
    .option('quiet', { type: 'boolean', default: false, describe: 'Say nothing but failures' })
    .option('retry', { type: 'boolean', default: true, describe: 'Try again what may succeed (--no-retry: try once)' });
  // yargs gives `jsonStream` beside `json-stream`, but its types do not know.
  return described as unknown as Argv<GlobalOptions>;
}

/** The flags that shape the output, for a command line that could not be parsed. */
function flagsIn(args: readonly string[]): Pick<GlobalOptions, 'json' | 'jsonStream' | 'quiet' | 'verbose'> {
  const has = (flag: string) => args.includes(flag);
  return { json: has('--json'), jsonStream: has('--json-stream'), quiet: has('--quiet'), verbose: has('--verbose') };
}

/** "Invalid values:" says only on the next line which. */
function firstLine(text: string): string {
  const [first = '', second = ''] = text.split('\n');
  return first.endsWith(':') ? `${first} ${second.trim()}` : first.replace(/[.?]$/, '');
}

/** What was wrong with a command line. A hint only ever names a command that there is. */
function wrongUsage(message: string, args: readonly string[]): Failure {
  const words = args.filter((arg, i) => !arg.startsWith('-') && args[i - 1] !== '--project');
  const [first, second] = words;
  if (first === undefined) return new Failure('no-command', { detail: firstLine(message) });
  const one = commands.find((known) => nameOf(known) === first);
  if (one === undefined)
    return new Failure('no-command', { detail: unknown(first, [...commands.map(nameOf), completion]) });
  if (!('commands' in one)) return new Failure('usage', { detail: firstLine(message), command: first });
  const names = one.commands.map(nameOf);
  if (second === undefined || names.includes(second))
    return new Failure('usage', {
      detail: firstLine(message),
      command: second === undefined ? first : `${first} ${second}`,
    });
  return new Failure('usage', { detail: unknown(second, names, `${first} `), command: first });
}

function unknown(word: string, names: readonly string[], before = ''): string {
  const meant = closest(word, names);
  const near = distance(word, meant) <= 2 ? `; did you mean "${before}${meant}"?` : '';
  return `There is no command "${before}${word}"${near}`;
}

const nameOf = ({ words }: { words: string }): string => words.split(' ', 1)[0] ?? '';

/** Words after `--` as paths: yargs leaves them out, and would take one that begins with a dash for options. */
function withPaths(args: readonly string[]): string[] {
  const end = args.indexOf('--');
  if (end < 0) return [...args];
  return [...args.slice(0, end), ...args.slice(end + 1).map((arg) => (arg.startsWith('-') ? `./${arg}` : arg))];
}
