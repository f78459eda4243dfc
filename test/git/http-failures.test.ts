import { expect, it } from 'vitest';
import { sortPush } from '../../src/git/failures.ts';
import { push, read, songRepository, sorted } from '../support/pushing.ts';
import { httpRemote, isPush } from '../support/remotes.ts';

const unreachable = 'transient offline';
const unclear = 'ambiguous remote-unclear';

it('does not trust a certificate that nobody signed', async () => {
  const { url } = await httpRemote({ tls: true });
  const result = await push(await songRepository(), [url, 'HEAD:main']);
  expect(sorted(result)).toBe('configuration remote-misconfigured');
  expect(sortPush(result).detail).toMatch(/certificate/);
});

it.each([
  [301, 'configuration remote-misconfigured', 'configuration remote-misconfigured'],
  [400, 'policy remote-refused', 'policy remote-refused'],
  [401, 'auth auth', 'auth auth'],
  [403, 'auth auth', 'auth auth'],
  [404, 'configuration remote-not-found', 'policy remote-refused'],
  [408, unreachable, unreachable],
  [409, 'policy remote-refused', 'policy remote-refused'],
  [413, 'policy too-large', 'policy too-large'],
  [429, 'transient too-many-requests', 'transient too-many-requests'],
  [500, unreachable, unclear],
  [502, unreachable, unclear],
  [503, unreachable, unclear],
  [504, unreachable, unclear],
])('answers %i', async (status, toTheQuestion, toThePush) => {
  const song = await songRepository();
  const remote = await httpRemote();
  // What the page says is the server's, not git's.
  const answer = {
    status,
    headers: { 'Content-Type': 'text/plain' },
    body: "fatal: Authentication failed for 'you'\n",
  };
  remote.trouble = () => answer;
  expect(sorted(await push(song, [remote.url, 'HEAD:main']))).toBe(toTheQuestion);
  expect(await read(remote.url)).toBe(toTheQuestion);
  remote.trouble = (request) => (isPush(request) ? answer : null);
  expect(sorted(await push(song, [remote.url, 'HEAD:main']))).toBe(toThePush);
});

it('loses the answer to a push that arrived: the same push again finds it there', async () => {
  const song = await songRepository();
  const remote = await httpRemote();
  remote.trouble = (request) => (isPush(request) ? { cutAnswerAfter: 0 } : null);
  expect(sorted(await push(song, [remote.url, 'HEAD:main']))).toBe(unclear);
  remote.trouble = () => null;
  const again = await push(song, [remote.url, 'HEAD:main']);
  expect(again.stdout.toString()).toContain('=\tHEAD:refs/heads/main');
});

it('answers a push with nonsense: it may have arrived', async () => {
  const remote = await httpRemote();
  const headers = { 'Content-Type': 'application/x-git-receive-pack-result' };
  remote.trouble = (request) => (isPush(request) ? { status: 200, headers, body: 'nonsense' } : null);
  expect(sorted(await push(await songRepository(), [remote.url, 'HEAD:main']))).toBe(unclear);
});

it('hangs in mid-push: git gives up when nothing moves, and it may have arrived', async () => {
  const remote = await httpRemote();
  remote.trouble = (request) => (isPush(request) ? 'hang' : null);
  const settings = { GIT_HTTP_LOW_SPEED_LIMIT: '1', GIT_HTTP_LOW_SPEED_TIME: '1' };
  expect(sorted(await push(await songRepository(), [remote.url, 'HEAD:main'], { env: settings }))).toBe(unclear);
});

it('wants a password that git does not have, or has wrong', async () => {
  const { url } = await httpRemote({ auth: { user: 'ann', password: 'secret' } });
  const song = await songRepository();
  for (const withUser of ['//', '//ann@', '//ann:wrong@'])
    expect(sorted(await push(song, [url.replace('//', withUser), 'HEAD:main']))).toBe('auth auth');
});
