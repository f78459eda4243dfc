import * as fs from 'node:fs/promises';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { gitFailure } from '../../src/git/failures.ts';
import { retryAfterMs, traceVariables } from '../../src/git/http-headers.ts';
import { tryGit } from '../../src/git/run.ts';
import { RetryPolicy } from '../../src/network/retry.ts';
import { push, songRepository } from '../support/pushing.ts';
import { httpRemote, isPush } from '../support/remotes.ts';
import { virtualClock } from '../support/virtual-clock.ts';

describe('a server that asks to be left alone', () => {
  it('is heard through git, by the question and by the push, and not asked again before', async () => {
    const remote = await httpRemote();
    const song = await songRepository();
    const date = new Date('2026-11-24T10:00:00Z');
    const inAMinute = new Date(date.getTime() + 60_000).toUTCString();
    // The server's clock is not ours: a date counts from the server's own.
    const busy = { status: 503, headers: { 'retry-after': inAMinute, Date: date.toUTCString() } };
    const tooOften = { status: 429, headers: { 'Retry-After': '7' } };
    const answers = [tooOften, busy];
    remote.trouble = (request) => (isPush(request) || answers.length > 1 ? (answers.shift() ?? null) : null);
    const clock = virtualClock();
    const rows: string[] = [];
    await new RetryPolicy().executeWithProgress(
      async () => {
        const result = await push(song, [remote.url, 'HEAD:main']);
        if (result.exitCode !== 0) throw gitFailure(result, ['push']);
      },
      (_, __, { row }) => rows.push(row),
      { clock },
    );
    expect({ rows, waits: clock.waits }).toEqual({
      rows: ['too-many-requests', 'remote-unclear'],
      waits: [7000, 60_000],
    });
    expect((await tryGit(song, ['ls-remote', remote.url])).retryAfterMs).toBeNull();
  });

  it('is heard behind a password, which is not in what we see', async () => {
    const remote = await httpRemote({ auth: { user: 'ann', password: 'secret' } });
    const song = await songRepository();
    remote.trouble = ({ headers }) =>
      headers.authorization === undefined ? null : { status: 429, headers: { 'Retry-After': '3' } };
    const { stderr, retryAfterMs: asked } = await push(song, [remote.url, 'HEAD:main'], { env: remote.env });
    expect(asked).toBe(3000);
    expect(stderr).not.toMatch(/header|secret|YW5u/);
    // What git would write for us, if it were not for this channel.
    const trace = path.join(song, '.git', 'trace');
    await push(song, [remote.url, 'HEAD:main'], {
      env: { ...remote.env, ...traceVariables({}), GIT_TRACE_CURL: trace },
    });
    const traced = await fs.readFile(trace, 'utf8');
    expect(traced).toContain('Retry-After: 3');
    expect(traced).not.toContain(Buffer.from('ann:secret').toString('base64'));
  });
});

it.each([
  ['7', undefined, 7000],
  ['0', undefined, 0],
  ['Tue, 24 Nov 2026 10:00:30 GMT', undefined, 30_000],
  ['Tue, 24 Nov 2026 10:00:30 GMT', 'Tue, 24 Nov 2026 11:00:00 GMT', 0],
  ['Tue, 24 Nov 2026 10:00:30 GMT', 'no date', 30_000],
  ['99999999999', undefined, 86_400_000],
  ['soon', undefined, null],
  ['-5', undefined, null],
  [undefined, undefined, null],
])('Retry-After: %s, with the server’s clock at %s', (value, date, expected) => {
  const asked = retryAfterMs(value, date, Date.parse('2026-11-24T10:00:00Z'));
  expect(asked).toBe(expected);
});

it('does not take the trace of somebody who looks for a fault, and asks for none where no channel is handed on', () => {
  expect(traceVariables({ GIT_TRACE_CURL: '1' }, 'linux')).toBeNull();
  expect(traceVariables({}, 'win32')).toBeNull();
  expect(traceVariables({}, 'darwin')).not.toBeNull();
});
