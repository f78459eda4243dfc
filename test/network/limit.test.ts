import http from 'node:http';
import net, { type AddressInfo } from 'node:net';
import { expect, onTestFinished, test } from 'vitest';
import { git } from '../../src/git/run.ts';
import { proxyFor } from '../../src/network/limit.ts';
import { fileRemote, httpRemote, sshRemote } from '../support/remotes.ts';
import { annWithTakes, assertWhole, pushTip, record } from '../support/takes.ts';

const limit = 400_000;
const remotes = {
  file: fileRemote,
  http: httpRemote,
  https: async () => await httpRemote({ tls: true, auth: { user: 'ann', password: 'secret' } }),
  ssh: sshRemote,
};

// A push that is slowed down by a busy machine as well takes longer still: only too fast is wrong.
test.each(['file', 'http', 'https', 'ssh'] as const)('what is sent stays below the limit (%s)', async (kind) => {
  const remote = await remotes[kind]();
  const ann = await annWithTakes(remote, { maxBytesPerSecond: limit });
  const tip = await record(ann, 20, 40_000);
  const start = performance.now();
  const pushed = await pushTip(ann, tip);
  const seconds = (performance.now() - start) / 1000;
  expect(pushed.moved).toMatchObject({ outcome: 'published' });
  expect(pushed.bytesSent / seconds).toBeLessThan(limit * 1.1);
  await assertWhole(remote.dir, tip);
});

test('the person’s own proxy is used all the same, below the limit', async () => {
  const asked: string[] = [];
  const theirs = http.createServer().on('connect', (request, client: net.Socket) => {
    const who = request.headers['proxy-authorization'];
    if (who === undefined)
      return void client.end(
        'HTTP/1.1 407 Who?\r\nProxy-Authenticate: Basic realm="band"\r\nConnection: close\r\nContent-Length: 0\r\n\r\n',
      );
    asked.push(`${request.url} ${who}`);
    const [host, port] = (request.url ?? '').split(':');
    const upstream = net.connect(Number(port), host, () => client.write('HTTP/1.1 200 OK\r\n\r\n'));
    upstream.pipe(client).pipe(upstream);
    for (const one of [client, upstream]) one.on('error', () => undefined);
  });
  await new Promise<void>((resolve) => theirs.listen(0, '127.0.0.1', resolve));
  onTestFinished(() => void theirs.close());
  const remote = await httpRemote({ tls: true });
  const ann = await annWithTakes(remote, { maxBytesPerSecond: limit });
  const { port } = theirs.address() as AddressInfo;
  await git(ann.project.root, ['config', 'http.proxy', `http://ann:pass@127.0.0.1:${port}`]);
  const start = performance.now();
  const pushed = await pushTip(ann, await record(ann, 10, 40_000));
  expect((pushed.bytesSent / (performance.now() - start)) * 1000).toBeLessThan(limit * 1.1);
  expect(new Set(asked)).toEqual(new Set([`127.0.0.1:${remote.port} Basic ${btoa('ann:pass')}`]));
});

test.each([
  ['https://band.example/x', { https_proxy: 'http://p:1', http_proxy: 'http://q:2' }, 'http://p:1'],
  ['http://band.example/x', { https_proxy: 'http://p:1', http_proxy: 'q:2' }, 'q:2'],
  ['http://band.example/x', { HTTP_PROXY: 'http://from-a-header:1' }, null],
  ['https://band.example/x', { ALL_PROXY: 'socks5://p:1' }, 'socks5://p:1'],
  ['https://git.band.example/x', { HTTPS_PROXY: 'http://p:1', no_proxy: 'other, .band.example' }, null],
  ['https://band.example/x', { HTTPS_PROXY: 'http://p:1', no_proxy: '*' }, null],
  ['https://aband.example/x', { HTTPS_PROXY: 'http://p:1', NO_PROXY: 'band.example' }, 'http://p:1'],
])('the proxy for %s in an environment, as curl finds it', (url, env, proxy) => {
  expect(proxyFor(new URL(url), env)).toBe(proxy);
});
