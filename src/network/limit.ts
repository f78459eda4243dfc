import { once } from 'node:events';
import net from 'node:net';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { settingsFor } from '../git/remote-settings.ts';
import { tryGit } from '../git/run.ts';
import { pace } from '../system/pace.ts';
import { isSsh, quoted, sshCommand } from './ssh.ts';

/**
 * Git cannot limit how fast it sends, so what it sends goes through something of ours: over ssh and to a folder a program in
 * front of the one that git starts, over http a proxy on this computer, which passes on to the person's own where there is
 * one. What is not known here (git://) is not limited.
 */
export interface Limited {
  /** For the push instead of the person's own. */
  proxy?: string;
  /** Options of `git push`, and its environment. */
  options: string[];
  env: Record<string, string>;
  end: () => void;
}

const free: Limited = { options: [], env: {}, end: () => undefined };

/** `bytesPerSecond` null: no limit. */
export async function limit(root: string, url: string, bytesPerSecond: number | null): Promise<Limited> {
  if (bytesPerSecond === null) return free;
  const program = [process.execPath, script(), String(bytesPerSecond)].map(quoted).join(' ');
  if (/^https?:/i.test(url)) return await throughProxy(root, url, bytesPerSecond);
  if (url.startsWith('file://') || path.isAbsolute(url))
    return { ...free, options: [`--receive-pack=${program} ${settingsFor(url).receivePack ?? 'git receive-pack'}`] };
  if (isSsh(url)) return { ...free, env: { GIT_SSH_COMMAND: `${program} ${await sshCommand(root)}` } };
  return free;
}

/** Beside the bundle that runs, or in `dist` beside the sources. */
function script(): string {
  const here = path.dirname(fileURLToPath(import.meta.url));
  return path.basename(here) === 'dist' ? path.join(here, 'limit.js') : path.resolve(here, '../../dist/limit.js');
}

async function setting(root: string, key: readonly string[]): Promise<string | null> {
  const found = await tryGit(root, ['config', ...(key.length > 1 ? ['--get-urlmatch'] : ['--get']), ...key]);
  return found.exitCode === 0 ? found.stdout.toString('utf8').trim() || null : null;
}

async function throughProxy(root: string, url: string, bytesPerSecond: number): Promise<Limited> {
  const target = new URL(url);
  const set =
    settingsFor(url).proxy ?? (await setting(root, ['http.proxy', target.href])) ?? proxyFor(target, process.env);
  const theirs = set === '' ? null : set;
  const proxy = theirs === null ? null : new URL(/:\/\//.test(theirs) ? theirs : `http://${theirs}`);
  // What is said to such a one is said under its own name.
  if (proxy?.protocol === 'https:') return free;
  const sockets = new Set<net.Socket>();
  const server = net.createServer((client) => {
    sockets.add(client.on('close', () => sockets.delete(client)));
    void carry(client, target, proxy, bytesPerSecond).catch(() => client.destroy());
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const ours = new URL(proxy?.href ?? 'http://127.0.0.1');
  ours.hostname = '127.0.0.1';
  ours.port = String((server.address() as net.AddressInfo).port);
  const end = () => {
    server.close();
    for (const socket of sockets) socket.destroy();
  };
  return { ...free, proxy: ours.href, env: { no_proxy: '', NO_PROXY: '' }, end };
}

/** One connection of git's: to the person's proxy as it is, else to the remote and to nowhere else. */
async function carry(client: net.Socket, target: URL, proxy: URL | null, bytesPerSecond: number): Promise<void> {
  client.on('error', () => undefined);
  let head = Buffer.alloc(0);
  if (proxy === null) {
    while (!head.includes('\r\n\r\n') && head.length < 65_536) {
      const [more] = (await once(client, 'data')) as [Buffer];
      head = Buffer.concat([head, more]);
    }
    client.pause();
    const asked = /^(\S+) (\S+) /.exec(head.toString('latin1'));
    const host = new URL(asked?.[1] === 'CONNECT' ? `https://${asked[2]}` : (asked?.[2] ?? ''));
    if (host.hostname !== target.hostname || portOf(host) !== portOf(target)) throw new Error('another address');
  }
  const to = proxy ?? target;
  const upstream = net.connect({ host: to.hostname.replace(/^\[|\]$/g, ''), port: portOf(to) });
  upstream.on('error', () => client.destroy());
  upstream.on('close', () => client.destroy());
  client.on('close', () => upstream.destroy());
  await once(upstream, 'connect');
  const up = pace(bytesPerSecond);
  up.pipe(upstream);
  if (head.toString('latin1', 0, 8) === 'CONNECT ') client.write('HTTP/1.1 200 Connection established\r\n\r\n');
  else if (head.length > 0) up.write(head);
  client.pipe(up);
  upstream.pipe(client);
}

const defaultPorts: Record<string, number> = { 'http:': 80, 'https:': 443 };
const portOf = ({ port, protocol }: URL): number => Number(port) || (defaultPorts[protocol] ?? 1080);

/** The proxy that the environment names for an address, as curl reads it. Pure. */
export function proxyFor(url: URL, env: Record<string, string | undefined>): string | null {
  const except = (env['no_proxy'] ?? env['NO_PROXY'] ?? '').split(',').map((name) => name.trim().replace(/^\./, ''));
  const { hostname } = url;
  if (except.some((name) => name === '*' || (name !== '' && (hostname === name || hostname.endsWith(`.${name}`)))))
    return null;
  // HTTP_PROXY in capitals is what a web server sets from a request's header.
  const own = url.protocol === 'https:' ? (env['https_proxy'] ?? env['HTTPS_PROXY']) : env['http_proxy'];
  return own || env['all_proxy'] || env['ALL_PROXY'] || null;
}
