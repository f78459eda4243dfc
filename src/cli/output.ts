import { styleText } from 'node:util';
import type { Failure } from '../model/failures.ts';

/** What a command has to say in the end: for scripts, and for people. */
export interface Answer {
  data: object;
  lines: string[];
  /** Unless said: 0, or 130 when it was interrupted. */
  exitCode?: number;
}

export interface OutputOptions {
  json: boolean;
  jsonStream: boolean;
  quiet: boolean;
  verbose: boolean;
}

/** Standard output and error as the contract wants them: one JSON document, one event a line, or lines for people. */
export interface Output {
  /** Are events wanted that say nothing to people? */
  streams: boolean;
  /** On the way: a line for people, an event for `--json-stream`. */
  tell(line: string, event: { event: string; [key: string]: unknown }): void;
  /** How far something is that takes a while: a live line in a terminal, a line now and then in a pipe, events as they come. */
  progress(line: string, event: { event: string; [key: string]: unknown }): void;
  /** A remark for people, on standard error. */
  warn(line: string): void;
  finish(answer: Answer): void;
  fail(failure: Failure): void;
}

export function makeOutput(options: OutputOptions, terminal: Terminal = process): Output {
  const { json, jsonStream, quiet, verbose } = options;
  const live = terminal.stdout.isTTY === true && (process.env['NO_COLOR'] ?? '') === '';
  let shown = '';
  let shownAt = -Infinity;
  /** Takes the live line away: it was only for now. */
  const clear = () => {
    if (shown !== '') terminal.stdout.write('\r\x1b[K');
    shown = '';
  };
  const out = (line: string) => {
    clear();
    terminal.stdout.write(`${line}\n`);
  };
  const err = (line: string) => {
    clear();
    terminal.stderr.write(`${line}\n`);
  };
  return {
    streams: jsonStream,
    tell(line, event) {
      if (jsonStream) out(JSON.stringify(event));
      else if (!json && !quiet) out(line);
    },
    progress(line, event) {
      if (jsonStream) return out(JSON.stringify(event));
      if (json || quiet) return;
      if (live) {
        // One that wraps could not be taken away again.
        shown = line.slice(0, (terminal.stdout.columns || 80) - 1);
        terminal.stdout.write(`\r\x1b[K${shown}`);
      } else if (performance.now() - shownAt >= everyMs) {
        shownAt = performance.now();
        out(line);
      }
    },
    warn(line) {
      if (!json && !jsonStream) err(paint(terminal, 'yellow', line));
    },
    finish({ data, lines }) {
      if (jsonStream) out(JSON.stringify({ event: 'result', ...data }));
      else if (json) out(JSON.stringify(data));
      else if (!quiet) for (const line of lines) out(line);
    },
    fail(failure) {
      const { details, ...rest } = failure.toJSON();
      const document = { error: { ...(details as object), ...rest } };
      if (jsonStream) out(JSON.stringify({ event: 'result', ...document }));
      else if (json) out(JSON.stringify(document));
      // Nothing is wrong here, and it may be over in a moment.
      const isAway = failure.code === 'OFFLINE';
      err(isAway ? paint(terminal, 'yellow', `⚠ ${failure.message}`) : paint(terminal, 'red', failure.message));
      err(failure.hint);
      if (verbose) for (const cause of causes(failure)) err(`  because: ${cause}`);
    },
  };
}

/** Between two lines of progress in a pipe or a log, ms. */
const everyMs = 10_000;

interface Terminal {
  stdout: { write(text: string): unknown; isTTY?: boolean; columns?: number };
  stderr: { write(text: string): unknown; isTTY?: boolean };
}

function paint(terminal: Terminal, colour: 'red' | 'yellow', text: string): string {
  const plain = !terminal.stderr.isTTY || (process.env['NO_COLOR'] ?? '') !== '';
  return plain ? text : styleText(colour, text, { validateStream: false });
}

function causes(error: Error): string[] {
  const found: string[] = [];
  for (
    let cause = error.cause;
    cause !== undefined && found.length < 10;
    cause = cause instanceof Error ? cause.cause : undefined
  )
    found.push(cause instanceof Error ? cause.message : JSON.stringify(cause));
  return found;
}
