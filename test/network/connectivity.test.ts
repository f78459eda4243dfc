import * as fs from 'node:fs/promises';
import path from 'node:path';
import { expect, test } from 'vitest';
import { git, redact } from '../../src/git/run.ts';
import type { RemoteOf } from '../../src/network/away.ts';
import { checkRemote, type Connectivity } from '../../src/network/connectivity.ts';
import { proxy } from '../support/proxy.ts';
import { relay } from '../support/relay.ts';
import { songRepository } from '../support/pushing.ts';
import { fileRemote, httpRemote, type Remote, sshRemote } from '../support/remotes.ts';

/** A project whose settings lead to the remote, as a person would have them. */
async function projectAt(
  url: string,
  { env }: Pick<Remote, 'env'>,
  settings: Record<string, string> = {},
): Promise<RemoteOf> {
  const root = await songRepository();
  const { GIT_SSH_COMMAND: ssh, GIT_SSL_CAINFO: ca } = env;
  const all = { ...(ssh ? { 'core.sshCommand': ssh } : {}), ...(ca ? { 'http.sslCAInfo': ca } : {}), ...settings };
  for (const [name, value] of Object.entries(all)) await git(root, ['config', name, value]);
  return { root, branch: 'main', remote: { url } };
}

const check = async (project: RemoteOf): Promise<Connectivity> => (await checkRemote(project)).connectivity;

test('over http, https and ssh: it answers; it refuses; it says nothing, which is not waited for', async () => {
  const remotes = [await httpRemote(), await httpRemote({ tls: true }), await sshRemote()];
  // Side by side: the last question of each takes four seconds.
  await Promise.all(
    remotes.map(async (remote) => {
      const through = await proxy(remote);
      const url = through.url(remote.url);
      const project = await projectAt(url, remote);
      const online = await check(project);
      expect(online).toMatchObject({ state: 'online', remote: redact(url), reason: null });
      expect(online.latencyMs).toBeGreaterThan(0);
      await through.set('refuse');
      expect(await check(project)).toMatchObject({ state: 'offline', latencyMs: null, reason: /connect/i });
      await through.set('stall');
      expect(await check(project)).toMatchObject({ state: 'offline', reason: 'no answer in time' });
    }),
  );
});

test('what answers but is not the remote is not "online"; a refusal of the remote itself is', async () => {
  const remote = await httpRemote();
  const project = await projectAt(remote.url, remote);
  const html = { 'Content-Type': 'text/html' };
  const page = { status: 200, headers: html, body: '<html>\nRoom number and name, please\n</html>\n' };
  const states: [string, typeof remote.trouble, Connectivity['state'], RegExp][] = [
    ['a captive portal', () => page, 'unknown', /Git repository/],
    // To git alone these are empty repositories.
    ['one whose page is one line', () => ({ ...page, body: '<html>' }), 'unknown', /Git repository/],
    ['one that says nothing', () => ({ status: 200 }), 'unknown', /Git repository/],
    [
      'one that sends us on',
      ({ url }) => (url?.startsWith('/song') ? { status: 302, headers: { Location: '/login' } } : page),
      'unknown',
      /sends us on to http:.*\/login/,
    ],
    ['no repository', () => ({ status: 404 }), 'unknown', /no Git repository/],
    ['a refusal of the credentials', () => ({ status: 401 }), 'online', /credentials/],
    ['no right', () => ({ status: 403 }), 'online', /credentials/],
    ['a server that is being mended', () => ({ status: 503 }), 'offline', /503/],
    ['too many requests', () => ({ status: 429 }), 'offline', /too often/],
  ];
  for (const [what, trouble, state, reason] of states) {
    remote.trouble = trouble;
    expect({ what, ...(await check(project)) }).toMatchObject({ what, state, reason });
  }
  expect(await check({ ...project, remote: { url: null } })).toMatchObject({ state: 'unknown', remote: null });
});

test('it goes the way of the user’s settings: http.proxy, ssh’s ProxyCommand', async () => {
  const web = await httpRemote();
  const { url: proxyUrl, asked } = await relay(web.port);
  const byProxy = await projectAt('http://ann:secret@band.invalid/song.git', web, { 'http.proxy': proxyUrl });
  expect(await check(byProxy)).toMatchObject({ state: 'online', remote: 'http://band.invalid/song.git' });
  expect(asked[0]).toContain('http://band.invalid/song.git/info/refs');

  const shell = await sshRemote();
  const script = path.join(byProxy.root, 'relay.mjs');
  await fs.writeFile(
    script,
    `import net from 'node:net'; const to = net.connect(${shell.port}, '127.0.0.1');\nprocess.stdin.pipe(to).pipe(process.stdout);\n`,
  );
  const ssh = shell.command(`-o 'ProxyCommand=${process.execPath} ${script}'`);
  const jumping = await projectAt(`ssh://band.invalid${shell.dir}`, { env: { GIT_SSH_COMMAND: ssh } });
  const user = /\/\/([^@]*)@/.exec(shell.url)?.[1] ?? '';
  jumping.remote.url = `ssh://${user}@band.invalid${shell.dir}`;
  expect(await check(jumping)).toMatchObject({ state: 'online' });
});

test('a folder remote is offline while its disk is unplugged, and unknown while no repository is in it', async () => {
  const remote = await fileRemote();
  const project = await projectAt(remote.url, remote);
  expect(await check(project)).toMatchObject({ state: 'online' });
  await fs.rename(remote.dir, `${remote.dir}.away`);
  expect(await check(project)).toMatchObject({ state: 'offline', reason: /not plugged in/ });
  await fs.mkdir(remote.dir);
  expect(await check(project)).toMatchObject({ state: 'unknown' });
});

test('those who ask at the same moment share one connection', async () => {
  const remote = await httpRemote();
  const project = await projectAt(remote.url, remote);
  const answers = await Promise.all([check(project), check(project), check(project)]);
  expect(new Set(answers).size).toBe(1);
  expect(remote.requests).toHaveLength(2); // git's two: the capabilities, the refs
  await check(project);
  expect(remote.requests).toHaveLength(4);
});
