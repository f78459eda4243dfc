import { createConnection } from 'node:net';
import * as v from 'valibot';
import { Failure, isFailureName } from '../model/failures.ts';
import { isAlive } from '../system/process.ts';
import { readDaemonRecord } from './place.ts';
import { type Answer, answers, Greeting, onLines, protocol, Reply, type Request, send } from './protocol.ts';

/** Speaks with the background process, if there is one. */

export interface Connection {
  greeting: Greeting;
  /** Throws the failure that it answers with, `daemon-hangs`, or `daemon-other` where it is of another protocol. */
  ask<Do extends Request['do']>(request: Extract<Request, { do: Do }>, timeoutMs?: number): Promise<Answer<Do>>;
  /** Resolves when the other side, or we, have ended it. */
  closed: Promise<void>;
  close(): void;
}

export type Reached =
  | { outcome: 'connected'; connection: Connection }
  | { outcome: 'not-running' }
  /** There is such a process, but it does not answer. */
  | { outcome: 'hangs'; pid: number };

/** It answers in a few ms; one that has a thousand things to do may take longer. */
const patienceMs = 2000;

/** Connects to the background process of this user. `hangs` after `timeoutMs`. */
export async function reachDaemon(timeoutMs = patienceMs): Promise<Reached> {
  const record = await readDaemonRecord();
  if (record === null || !isAlive(record.pid)) return { outcome: 'not-running' };
  const line = openLine(record.socket);
  const greeting = await line.answer(0, timeoutMs);
  const parsed = v.safeParse(v.object({ result: Greeting }), greeting);
  if (parsed.success && parsed.output.result.token === record.token)
    return { outcome: 'connected', connection: connectionOver(line, parsed.output.result) };
  line.close();
  // Nobody listens: the process of that number is another one, or it is just beginning or ending.
  return greeting === 'silent' ? { outcome: 'hangs', pid: record.pid } : { outcome: 'not-running' };
}

function connectionOver(line: Line, greeting: Greeting): Connection {
  let lastId = 0;
  return {
    greeting,
    closed: line.closed,
    close: () => line.close(),
    async ask(request, timeoutMs = patienceMs) {
      if (greeting.oxenvcs !== protocol && request.do !== 'stop')
        throw new Failure('daemon-other', { version: greeting.version });
      lastId += 1;
      const answer = line.answer(lastId, timeoutMs);
      line.say({ id: lastId, request });
      const reply = v.safeParse(Reply, await answer);
      if (!reply.success) throw new Failure('daemon-hangs', { pid: greeting.pid });
      if ('error' in reply.output) throw failureFrom(reply.output.error);
      return v.parse(answers[request.do], reply.output.result) as never;
    },
  };
}

/** One request to the background process; null where there is none. Throws what `ask` throws. */
export async function askDaemon<Do extends Request['do']>(
  request: Extract<Request, { do: Do }>,
  timeoutMs = patienceMs,
): Promise<Answer<Do> | null> {
  const reached = await reachDaemon(timeoutMs);
  if (reached.outcome === 'not-running') return null;
  if (reached.outcome === 'hangs') throw new Failure('daemon-hangs', { pid: reached.pid });
  try {
    return await reached.connection.ask(request, timeoutMs);
  } finally {
    reached.connection.close();
  }
}

interface Line {
  say: (value: object) => void;
  /** The line with that `id`; `silent` when it does not come in time, `gone` when the connection ends before. */
  answer: (id: number, timeoutMs: number) => Promise<unknown>;
  closed: Promise<void>;
  close: () => void;
}

function openLine(address: string): Line {
  const socket = createConnection(address);
  const waiting = new Map<number, (value: unknown) => void>();
  onLines(socket, (text) => {
    const value = jsonOf(text);
    const id = v.safeParse(v.object({ id: v.number() }), value);
    if (id.success) waiting.get(id.output.id)?.(value);
  });
  const closed = new Promise<void>((resolve) => socket.once('close', () => resolve()));
  // 'close' follows, and tells the same.
  socket.on('error', () => undefined);
  return {
    say: (value) => send(socket, value),
    answer: async (id, timeoutMs) => {
      const answered = new Promise((resolve) => waiting.set(id, resolve));
      let timer: NodeJS.Timeout | undefined;
      const silent = new Promise((resolve) => {
        timer = setTimeout(resolve, timeoutMs, 'silent');
      });
      try {
        return await Promise.race([answered, silent, closed.then(() => 'gone')]);
      } finally {
        clearTimeout(timer);
        waiting.delete(id);
      }
    },
    closed,
    close: () => socket.destroy(),
  };
}

function failureFrom({ row, details, message }: { row: string; details: object; message: string }): Failure {
  // A newer one knows failures that we do not.
  return isFailureName(row) ? new Failure(row, { ...details }) : new Failure('internal', { detail: message });
}

function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return null; // no schema takes it
  }
}
