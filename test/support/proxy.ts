import { EventEmitter, once } from 'node:events';
import net from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { onTestFinished } from 'vitest';

/** How the network is. */
export type Mode =
  | 'pass'
  /** Nothing listens; connections that stand are reset. */
  | 'refuse'
  /** Connections are taken and nothing moves on any, until another mode lets them go on. */
  | 'stall'
  /** Each connection is reset when so many bytes, both ways together, have gone through it. */
  | { cutAfter: number }
  /** Slow: so many bytes a second each way and connection (`shared`: of all connections together), each byte so many ms later. */
  | { bytesPerSecond?: number; latencyMs?: number; shared?: true };

export interface Proxy {
  port: number;
  /** The same address, but through here. */
  url: (forUrl: string) => string;
  set: (mode: Mode) => Promise<void>;
  /** Resets every connection that stands. */
  cut: () => void;
  /** Bytes that were given on from the clients (`up`) and to them (`down`). */
  counts: { up: number; down: number; connections: number };
  /** How many connections stand. */
  open: () => number;
  stop: () => Promise<void>;
}

interface Line {
  client: net.Socket;
  upstream: net.Socket;
  bytes: number;
}

/** A network between a client and `target` on 127.0.0.1 that fails as it is told. Ends with the test. */
export async function proxy(target: { host?: string; port: number }): Promise<Proxy> {
  const { host = '127.0.0.1', port: targetPort } = target;
  let mode: Mode = 'pass';
  const lines = new Set<Line>();
  const changes = new EventEmitter().setMaxListeners(0);
  const counts = { up: 0, down: 0, connections: 0 };
  const all = { up: { due: 0 }, down: { due: 0 } };
  let port = 0;

  const server = net.createServer({ allowHalfOpen: true, noDelay: true }, (client) => {
    counts.connections += 1;
    const upstream = net.connect({ host, port: targetPort, allowHalfOpen: true, noDelay: true });
    const line = { client, upstream, bytes: 0 };
    lines.add(line);
    for (const [one, other] of [
      [client, upstream],
      [upstream, client],
    ] as const) {
      // A line that breaks on one side is reset on the other.
      one.on('error', () => other.resetAndDestroy());
      one.on('close', () => lines.delete(line));
    }
    void carry(line, 'up').catch(() => reset(line));
    void carry(line, 'down').catch(() => reset(line));
  });

  const isStalled = () => mode === 'stall';
  async function moving(): Promise<void> {
    while (isStalled()) await once(changes, 'change');
  }

  async function carry(line: Line, way: 'up' | 'down'): Promise<void> {
    const [from, to] = way === 'up' ? [line.client, line.upstream] : [line.upstream, line.client];
    let delivered: Promise<unknown> = Promise.resolve();
    const own = { due: 0 };
    // Not destroyed at the end: the other direction may still be in use.
    for await (const chunk of from.iterator({ destroyOnReturn: false }) as AsyncIterable<Buffer>) {
      await moving();
      const { bytesPerSecond = Infinity, latencyMs = 0, shared } = slowness(mode);
      const pace = shared ? all[way] : own;
      for (const slice of slices(chunk, bytesPerSecond / 20)) {
        // Timers fire late: up to 50 ms of that are caught up with.
        pace.due = Math.max(pace.due, performance.now() - 50) + (slice.length / bytesPerSecond) * 1000;
        await pause(pace.due - performance.now());
        // Later, but in order, and without holding up what follows.
        delivered = Promise.all([delivered, pause(latencyMs)]).then(async () => await give(line, way, to, slice));
        delivered.catch(() => undefined);
        if (latencyMs === 0) await delivered;
      }
    }
    await delivered;
    to.end();
  }

  async function give(line: Line, way: 'up' | 'down', to: net.Socket, chunk: Buffer): Promise<void> {
    await moving();
    const room = typeof mode === 'object' && 'cutAfter' in mode ? mode.cutAfter - line.bytes : Infinity;
    const part = chunk.subarray(0, Math.max(0, room));
    line.bytes += part.length;
    counts[way] += part.length;
    await new Promise<void>((resolve, reject) => to.write(part, (error) => (error ? reject(error) : resolve())));
    if (room <= chunk.length) reset(line);
  }

  const listen = async (on: number) => {
    server.listen(on, '127.0.0.1');
    await once(server, 'listening');
  };
  const close = async () => {
    if (!server.listening) return;
    server.close();
    cut();
    await once(server, 'close');
  };
  const cut = () => {
    for (const line of lines) reset(line);
  };
  const set = async (to: Mode) => {
    mode = to;
    if (mode === 'refuse') await close();
    else if (!server.listening) await listen(port);
    changes.emit('change');
  };
  await listen(0);
  port = (server.address() as net.AddressInfo).port;
  onTestFinished(close);
  return {
    port,
    url: (forUrl) => forUrl.replace(/^(\w+:\/\/(?:[^/@]*@)?)[^/]*/, `$1127.0.0.1:${port}`),
    set,
    cut,
    counts,
    open: () => lines.size,
    stop: close,
  };
}

function reset({ client, upstream }: Line): void {
  client.resetAndDestroy();
  upstream.resetAndDestroy();
}

const slowness = (mode: Mode): { bytesPerSecond?: number; latencyMs?: number; shared?: true } =>
  typeof mode === 'object' && !('cutAfter' in mode) ? mode : {};

function slices(chunk: Buffer, most: number): Buffer[] {
  const size = Math.max(1, Math.floor(Math.min(most, chunk.length)));
  return Array.from({ length: Math.ceil(chunk.length / size) }, (_, n) => chunk.subarray(n * size, (n + 1) * size));
}

const pause = async (ms: number): Promise<void> => {
  if (ms > 0) await sleep(ms);
};
