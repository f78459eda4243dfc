import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import * as fs from 'node:fs';
import http from 'node:http';
import https from 'node:https';
import type { AddressInfo } from 'node:net';
import path from 'node:path';
import { pipeline } from 'node:stream';
import { onTestFinished } from 'vitest';
import { type BareOptions, bareRepository, type Remote } from './bare.ts';
import { killTree } from './processes.ts';
import { sandbox } from './sandbox.ts';

export interface HttpOptions extends BareOptions {
  /** Basic authentication; the remote's `env` carries it. */
  auth?: { user: string; password: string };
  /** https with a certificate of its own; the remote's `env` trusts it. */
  tls?: boolean;
  /** Over the environment of the server's git: hooks see it. */
  env?: Record<string, string>;
}

/** What is done to a request instead of serving it well. */
export type Trouble =
  | { status: number; headers?: Record<string, string>; body?: string }
  | 'hang'
  /** The connection is reset when so many bytes of the request's body have come. */
  | { cutRequestAfter: number }
  /** A bit of that byte of the request's body is turned on the way. */
  | { damageAt: number }
  /** The request is carried out whole; the connection is reset after so many bytes of the answer's body. */
  | { cutAnswerAfter: number };

export interface HttpRemote extends Remote {
  port: number;
  /** Every request that came, `POST /song.git/git-receive-pack`, in order. */
  requests: string[];
  /** Asked about each request; may be set at any time. null: it is served. */
  trouble: (request: http.IncomingMessage) => Trouble | null;
}

/** Is it the request that carries a push? Before a large one git sends an empty one (4 bytes), to be asked for its password. */
export const isPush = ({ method, url, headers }: http.IncomingMessage): boolean =>
  method === 'POST' && url?.endsWith('/git-receive-pack') === true && headers['content-length'] !== '4';

/** A smart HTTP server on 127.0.0.1 (git http-backend), which can be told to misbehave. */
export async function httpRemote(options: HttpOptions = {}): Promise<HttpRemote> {
  const dir = await bareRepository(options);
  const { env, server } = options.tls ? await secure() : { env: {}, server: http.createServer() };
  if (options.auth) Object.assign(env, await askpass(options.auth));
  const backends = new Set<ChildProcess>();

  server.on('request', (request: http.IncomingMessage, response: http.ServerResponse) => {
    remote.requests.push(`${request.method} ${request.url}`);
    const trouble = remote.trouble(request);
    if (trouble === 'hang') return void request.resume();
    if (trouble && 'status' in trouble) return refuse(request, response, trouble.status, trouble.headers, trouble.body);
    if (options.auth && request.headers.authorization !== basic(options.auth))
      return refuse(request, response, 401, { 'WWW-Authenticate': 'Basic realm="oxenvcs test"' });
    const backend = startBackend(request, dir, options);
    backends.add(backend);
    backend.on('exit', () => backends.delete(backend));
    feed(request, backend, trouble);
    answer(response, backend, trouble && 'cutAnswerAfter' in trouble ? trouble.cutAnswerAfter : null);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;

  const remote: HttpRemote = {
    url: `${options.tls ? 'https' : 'http'}://127.0.0.1:${port}/song.git`,
    dir,
    env,
    port,
    requests: [],
    trouble: () => null,
    stop: async () => {
      const ended = [...backends].map((child) => new Promise((resolve) => child.on('exit', resolve)));
      for (const { pid } of backends) if (pid !== undefined) killTree(pid);
      server.closeAllConnections();
      if (server.listening) await new Promise((resolve) => server.close(resolve));
      await Promise.all(ended);
    },
  };
  onTestFinished(() => remote.stop());
  return remote;
}

/** The request as CGI (RFC 3875) puts it. A body that is compressed goes on as it is; the backend unpacks it. */
function startBackend(request: http.IncomingMessage, dir: string, options: HttpOptions): ChildProcess {
  const url = new URL(request.url ?? '/', 'http://127.0.0.1');
  const header = (name: string) => request.headers[name]?.toString() ?? '';
  const cgi: Record<string, string> = {
    GIT_PROJECT_ROOT: path.dirname(dir),
    GIT_HTTP_EXPORT_ALL: '1',
    GIT_PROTOCOL: header('git-protocol'),
    REQUEST_METHOD: request.method ?? 'GET',
    PATH_INFO: decodeURIComponent(url.pathname),
    QUERY_STRING: url.search.slice(1),
    CONTENT_TYPE: header('content-type'),
    HTTP_CONTENT_ENCODING: header('content-encoding'),
    REMOTE_ADDR: '127.0.0.1',
    REMOTE_USER: options.auth?.user ?? '',
  };
  // A chunked body has no length: the backend then reads to the end.
  if (request.headers['content-length']) cgi['CONTENT_LENGTH'] = request.headers['content-length'];
  return spawn('git', ['http-backend'], {
    env: { ...process.env, ...cgi, ...options.env },
    stdio: ['pipe', 'pipe', 'ignore'],
  });
}

function feed(request: http.IncomingMessage, backend: ChildProcess, trouble: Trouble | null): void {
  const is = typeof trouble === 'object' ? trouble : null;
  let bytes = 0;
  request.on('data', (chunk: Buffer) => {
    const at = is && 'damageAt' in is ? is.damageAt - bytes : -1;
    if (at >= 0 && at < chunk.length) chunk[at] = (chunk[at] ?? 0) ^ 1;
    bytes += chunk.length;
    if (is && 'cutRequestAfter' in is && bytes >= is.cutRequestAfter) request.socket.resetAndDestroy();
  });
  // A client that has gone away ends the backend's input; what came before may still be carried out.
  if (backend.stdin) pipeline(request, backend.stdin, () => undefined);
}

/** Gives the backend's answer on as it comes; or, to cut it, when the backend is through: all of the work, part of the answer. */
function answer(response: http.ServerResponse, backend: ChildProcess, cutAfter: number | null): void {
  const { stdout } = backend;
  if (stdout === null) return;
  const chunks: Buffer[] = [];
  const onData = (chunk: Buffer) => {
    chunks.push(chunk);
    // A client that has gone away does not stop the backend.
    if (cutAfter !== null || response.destroyed) return;
    const body = writeHead(response, Buffer.concat(chunks));
    if (body === null) return;
    stdout.off('data', onData);
    response.write(body);
    stdout.pipe(response);
    response.once('close', () => stdout.resume());
  };
  stdout.on('data', onData);
  backend.on('close', () => {
    if (cutAfter === null) {
      if (!response.headersSent) response.writeHead(500).end();
      return;
    }
    response.write(writeHead(response, Buffer.concat(chunks))?.subarray(0, cutAfter) ?? '');
    // What was written leaves first.
    setImmediate(() => response.socket?.resetAndDestroy());
  });
}

/** Takes over the CGI headers and gives what follows them; null as long as they are not all there. */
function writeHead(response: http.ServerResponse, text: Buffer): Buffer | null {
  const end = text.indexOf('\r\n\r\n');
  if (end < 0) return null;
  for (const line of text.toString('latin1', 0, end).split('\r\n')) {
    const [name = '', value = ''] = line.split(/:\s*/, 2);
    if (name === 'Status') response.statusCode = Number.parseInt(value, 10);
    else response.setHeader(name, value);
  }
  return text.subarray(end + 4);
}

function refuse(
  request: http.IncomingMessage,
  response: http.ServerResponse,
  status: number,
  headers: Record<string, string> = {},
  body = '',
): void {
  request.resume();
  response.writeHead(status, headers).end(body);
}

const basic = ({ user, password }: { user: string; password: string }) =>
  `Basic ${Buffer.from(`${user}:${password}`).toString('base64')}`;

/** Git asks this program for the user and the password. */
async function askpass({ user, password }: { user: string; password: string }): Promise<Record<string, string>> {
  const file = path.join(await sandbox(), 'askpass');
  fs.writeFileSync(file, `#!/bin/sh\ncase "$1" in User*) echo '${user}' ;; *) echo '${password}' ;; esac\n`, {
    mode: 0o755,
  });
  return { GIT_ASKPASS: file };
}

async function secure(): Promise<{ env: Record<string, string>; server: https.Server }> {
  const dir = await sandbox();
  const [key, cert] = [path.join(dir, 'key.pem'), path.join(dir, 'cert.pem')];
  const request = ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-days', '2'];
  const names = ['-subj', '/CN=127.0.0.1', '-addext', 'subjectAltName=IP:127.0.0.1,DNS:localhost'];
  execFileSync('openssl', [...request, ...names, '-keyout', key, '-out', cert], { stdio: 'ignore' });
  const server = https.createServer({ key: fs.readFileSync(key), cert: fs.readFileSync(cert) });
  return { env: { GIT_SSL_CAINFO: cert }, server };
}
