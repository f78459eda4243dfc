import type { Socket } from 'node:net';
import * as v from 'valibot';

/**
 * What is spoken at the socket: one JSON document a line. The background process greets (as if asked with the id 0), then
 * answers each request by its `id`. The greeting and `stop` stay as they are for ever: a newer program tells an older one to go.
 */

/** How long is waited until a project is let go, ms: what has settled becomes a version first, within 5 s. */
export const letGoMs = 10_000;

/** Raised when a request or an answer changes its meaning. */
export const protocol = 1;

export const Greeting = v.object({
  oxenvcs: v.number(),
  pid: v.number(),
  token: v.string(),
  /** Of the program: from its package. */
  version: v.string(),
  /** The file that was started, and when it was written (ms since 1970), as of the start. */
  program: v.string(),
  builtAt: v.number(),
  startedAt: v.string(),
});
export type Greeting = v.InferOutput<typeof Greeting>;

const root = v.string();

export const Request = v.variant('do', [
  /** Which projects there are and what becomes of them. */
  v.object({ do: v.literal('status') }),
  /** Ends, when what has settled is a version. */
  v.object({ do: v.literal('stop') }),
  /** The list of projects has changed. Answers when it was taken in. */
  v.object({ do: v.literal('look') }),
  /** Lets go of a project. Answers when nothing of it is in use any more. */
  v.object({ do: v.literal('forget'), root }),
  /** Lets go of a project for as long as this connection stands. */
  v.object({ do: v.literal('borrow'), root }),
  /** What of a project it can and cannot do itself. */
  v.object({ do: v.literal('check'), root }),
]);
export type Request = v.InferOutput<typeof Request>;

export const ProjectState = v.object({
  project: v.string(),
  /**
   * `absent`: the folder is not there (an unplugged disk); `failing`: it is tried again by itself; `lent`: another process
   * watches it in the foreground.
   */
  state: v.picklist(['watched', 'paused', 'absent', 'failing', 'lent']),
  detail: v.string(),
});
export type ProjectState = v.InferOutput<typeof ProjectState>;

export const Status = v.object({ projects: v.array(ProjectState) });

export const Finding = v.object({
  name: v.string(),
  ok: v.boolean(),
  message: v.string(),
  hint: v.nullable(v.string()),
});
export type Finding = v.InferOutput<typeof Finding>;

/** How long a check may take, ms: it asks the remote. */
export const checkMs = 20_000;

/** What each request is answered with. */
export const answers = {
  status: Status,
  stop: v.object({}),
  look: Status,
  forget: v.object({}),
  borrow: v.object({}),
  check: v.object({ findings: v.array(Finding) }),
};

export type Answer<Do extends Request['do']> = v.InferOutput<(typeof answers)[Do]>;

export const Envelope = v.object({ id: v.number(), request: v.unknown() });
export const Reply = v.union([
  v.object({ id: v.number(), result: v.unknown() }),
  v.object({
    id: v.number(),
    error: v.object({ row: v.string(), details: v.record(v.string(), v.any()), message: v.string() }),
  }),
]);

/** Nobody of ours says more in one line, bytes. */
const longest = 1_048_576;

export const send = (socket: Socket, value: object): void => void socket.write(`${JSON.stringify(value)}\n`);

/** Calls `onLine` for each line; one that has no end in sight ends the connection. */
export function onLines(socket: Socket, onLine: (line: string) => void): void {
  let rest = '';
  socket.setEncoding('utf8').on('data', (text: string) => {
    const lines = (rest + text).split('\n');
    rest = lines.pop() ?? '';
    for (const line of lines) onLine(line);
    if (rest.length > longest) socket.destroy();
  });
}
