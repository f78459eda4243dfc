import { randomUUID } from 'node:crypto';
import http from 'node:http';
import type { AddressInfo } from 'node:net';
import { onTestFinished } from 'vitest';

/** The locking half of a git-lfs server (https://github.com/git-lfs/git-lfs/blob/main/docs/api/locking.md), in memory. */
export async function lfsLockServer(): Promise<string> {
  const locks = new Map<string, { id: string; path: string; locked_at: string; owner: { name: string } }>();
  const server = http.createServer((request, response) => {
    let body = '';
    request.setEncoding('utf8').on('data', (text: string) => {
      body += text;
    });
    request.on('end', () => {
      const [, unlock] = /^\/locks\/([^/]+)\/unlock/.exec(request.url ?? '') ?? [];
      const send = (status: number, value: unknown) =>
        response.writeHead(status, { 'Content-Type': 'application/vnd.git-lfs+json' }).end(JSON.stringify(value));
      if (unlock !== undefined) {
        const lock = locks.get(unlock);
        locks.delete(unlock);
        return send(200, { lock });
      }
      if (request.method === 'POST' && request.url === '/locks') {
        const { path } = JSON.parse(body) as { path: string };
        const lock = { id: randomUUID(), path, locked_at: new Date().toISOString(), owner: { name: 'Ann' } };
        locks.set(lock.id, lock);
        return send(201, { lock });
      }
      return send(200, { locks: [...locks.values()], ours: [...locks.values()], theirs: [] });
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  onTestFinished(() => void server.close());
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}
