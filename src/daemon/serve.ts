import type { Socket } from 'node:net';
import * as v from 'valibot';
import { type Answer, Envelope, type Greeting, onLines, Request, send } from '../control/protocol.ts';
import { asFailure, Failure } from '../model/failures.ts';

/** Answers one connection. */
export type Serve = (socket: Socket) => void;

/** What is done for each request. `ended` is aborted when the connection that asked is over. */
export type Handlers = {
  [Do in Request['do']]: (request: Extract<Request, { do: Do }>, ended: AbortSignal) => Promise<Answer<Do>>;
};

/** Greets whoever connects, and answers what they ask, side by side. A request that is none gets a failure, not silence. */
export function makeServe(greeting: Greeting, handlers: Handlers): Serve {
  return (socket) => {
    const ended = new AbortController();
    socket.once('close', () => ended.abort());
    send(socket, { id: 0, result: greeting });
    const answer = async (line: string): Promise<void> => {
      let id = -1;
      try {
        const envelope = v.parse(Envelope, JSON.parse(line));
        ({ id } = envelope);
        const request = v.safeParse(Request, envelope.request);
        if (!request.success)
          throw new Failure('usage', { detail: 'the background process knows no such request', command: 'daemon' });
        const handle = handlers[request.output.do] as (one: Request, signal: AbortSignal) => Promise<object>;
        send(socket, { id, result: await handle(request.output, ended.signal) });
      } catch (error) {
        const { row, details, message } = asFailure(error);
        send(socket, { id, error: { row, details, message } });
      }
    };
    onLines(socket, (line) => void answer(line));
  };
}
