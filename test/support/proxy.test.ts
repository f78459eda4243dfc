import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import net from 'node:net';
import path from 'node:path';
import { expect, it, onTestFinished, vi } from 'vitest';
import { git, tryGit } from '../../src/git/run.ts';
import { proxy } from './proxy.ts';
import { httpRemote, sshRemote } from './remotes.ts';
import { repository, sandbox } from './sandbox.ts';

/** A server that sends back what it gets, and ends when its client ends. */
async function echo(): Promise<{ port: number }> {
  const server = net
    .createServer((socket) => void socket.on('error', () => undefined).pipe(socket))
    .listen(0, '127.0.0.1');
  await once(server, 'listening');
  onTestFinished(() => void server.close());
  return { port: (server.address() as net.AddressInfo).port };
}

/** Sends `data` and gives what came back by the end, or the code of the error it ended with. */
async function send(port: number, data: Buffer): Promise<Buffer | string> {
  const socket = net.connect(port, '127.0.0.1').end(data);
  const chunks: Buffer[] = [];
  return await new Promise((resolve) => {
    socket.on('data', (chunk: Buffer) => chunks.push(chunk));
    socket.on('end', () => resolve(Buffer.concat(chunks)));
    socket.on('error', (error: NodeJS.ErrnoException) => resolve(String(error.code)));
  });
}

async function sent(port: number, data: Buffer): Promise<Buffer> {
  const got = await send(port, data);
  if (typeof got === 'string') throw new Error(got);
  return got;
}

const song = randomBytes(500_000);

it('passes everything on, and counts it', async () => {
  const through = await proxy(await echo());
  expect(song.equals(await sent(through.port, song))).toBe(true);
  expect(through.counts).toEqual({ up: song.length, down: song.length, connections: 1 });
});

it('passes git on, over http and ssh', async () => {
  const dir = await repository(path.join(await sandbox(), 'song'));
  for (const remote of [await httpRemote(), await sshRemote()]) {
    const through = await proxy(remote);
    await git(dir, ['push', through.url(remote.url), 'HEAD:main'], { env: remote.env });
    expect(await git(dir, ['ls-remote', remote.url], { env: remote.env })).toContain('refs/heads/main');
    expect(through.counts.connections).toBeGreaterThan(0);
  }
});

it('keeps the user and the path of an address', async () => {
  const { url, port } = await proxy({ port: 1 });
  expect(url('ssh://ann@127.0.0.1:22/song.git')).toBe(`ssh://ann@127.0.0.1:${port}/song.git`);
  expect(url('https://ann:secret@band.example/a@b/song.git')).toBe(`https://ann:secret@127.0.0.1:${port}/a@b/song.git`);
});

it('refuses, and is back on the same port', async () => {
  const through = await proxy(await echo());
  await through.set('refuse');
  expect(await send(through.port, song)).toBe('ECONNREFUSED');
  await through.set('pass');
  expect(song.equals(await sent(through.port, song))).toBe(true);
});

it('resets a connection after so many bytes', async () => {
  const through = await proxy(await echo());
  await through.set({ cutAfter: 100_000 });
  expect(await send(through.port, song)).toMatch(/ECONNRESET|EPIPE/);
  expect(through.counts.up + through.counts.down).toBe(100_000);
});

it('resets what stands, at once', async () => {
  const through = await proxy(await echo());
  const socket = net.connect(through.port, '127.0.0.1');
  socket.write('x');
  await once(socket, 'data');
  through.cut();
  const [error] = (await once(socket, 'error')) as [NodeJS.ErrnoException];
  expect(error.code).toBe('ECONNRESET');
  expect(song.equals(await sent(through.port, song))).toBe(true);
});

it('stalls without losing anything', async () => {
  const through = await proxy(await echo());
  await through.set('stall');
  const answer = sent(through.port, song);
  await vi.waitFor(() => expect(through.counts.connections).toBe(1));
  expect(through.counts).toMatchObject({ up: 0, down: 0 });
  await through.set('pass');
  expect(song.equals(await answer)).toBe(true);
});

it('stalls a git for as long as it is let', async () => {
  const remote = await httpRemote();
  const through = await proxy(remote);
  await through.set('stall');
  const { killed } = await tryGit(await sandbox(), ['ls-remote', through.url(remote.url)], { timeoutMs: 300 });
  expect(killed).toBe('timeout');
});

it('slows down to a rate, and keeps the order when it delays', async () => {
  const through = await proxy(await echo());
  await through.set({ bytesPerSecond: 1_000_000, latencyMs: 20 });
  const start = performance.now();
  expect(song.equals(await sent(through.port, song))).toBe(true);
  // 500 kB at 1 MB/s, and 20 ms there and 20 ms back.
  expect(performance.now() - start).toBeGreaterThan(450);
});
