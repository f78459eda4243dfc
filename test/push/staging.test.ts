import { expect, test } from 'vitest';
import { git } from '../../src/git/run.ts';
import { recall, remember } from '../../src/push/memory.ts';
import { statePath } from '../../src/project/project.ts';
import { exists } from '../../src/system/disk.ts';
import { overFolders, stagedAmong, stagingFolder, stagingPrefix } from '../../src/push/staging.ts';
import { fileRemote } from '../support/remotes.ts';
import { annWithTakes, pushTip, record, stagingRefs } from '../support/takes.ts';

const day = 86_400_000;
const now = Date.parse('2026-11-24T10:00:00Z');
const prefix = stagingPrefix('refs/oxenvcs/locks/');
const date = (daysAgo: number) => new Date(now - daysAgo * day).toISOString().slice(0, 10).replaceAll('-', '');

test('a ref below staging is read as what it was made as; what somebody else keeps there is left alone', () => {
  const folder = stagingFolder(prefix, 'c10e0000-1111-2222', now);
  expect(folder).toBe('refs/oxenvcs/staging/c10e0000-20261124/');
  const names = ['ab12.3.0', 'ab12.3.17', 'ab12.4.join', 'ab12.4.tip'];
  const strange = ['ab12.3', 'x.join', 'a/b.1.0', 'ab12.3.0.lock'];
  const refs = new Map([...names, ...strange].map((name) => [folder + name, name]));
  refs
    .set('refs/heads/main', 'm')
    .set('refs/oxenvcs/staging/notes', 'n')
    .set('refs/oxenvcs/media/c10e0000-20261124/a.1.0', 'p');
  const staged = stagedAmong(refs, prefix);
  expect(staged.map(({ id }) => id)).toEqual(names);
  expect(staged.map(({ kind }) => kind)).toEqual(['link', 'link', 'join', 'tip']);
  expect(new Set(staged.map(({ part }) => part))).toEqual(new Set(['ab12.3', 'ab12.4']));
  for (const namespace of ['refs/heads/oxenvcs/locks/', 'refs/tags/oxenvcs/locks/'] as const) {
    const other = stagingFolder(stagingPrefix(namespace), 'c10e0000', now);
    expect(stagedAmong(new Map([[`${other}ab12.3.0`, 'x']]), stagingPrefix(namespace))).toHaveLength(1);
  }
});

test.each([
  ['our own, of any day', ['me-0', 'me-400'], ['me-0', 'me-400']],
  ['of a clone that has not come back for more than thirty days', ['gone-31', 'gone-200'], ['gone-31', 'gone-200']],
  ['not of one that was there thirty days ago', ['slow-30', 'live-0'], []],
  ['not the old ones of a transfer that still goes on', ['long-45', 'long-31', 'long-2'], []],
  ['not of one whose clock is ahead', ['ahead--900'], []],
])('removed when a push is done: %s', (_, there, over) => {
  const refOf = (name: string) => {
    const [, clone = '', days = ''] = /^(\w+?)-(-?\d+)$/.exec(name) ?? [];
    return `${prefix}${clone.padEnd(8, '0')}-${date(Number(days))}/ab.1.0`;
  };
  const staged = stagedAmong(new Map(there.map((name) => [refOf(name), 'x'])), prefix);
  expect(staged).toHaveLength(there.length);
  const folders = overFolders(staged, 'me000000-1234', now).toSorted();
  expect(folders).toEqual(over.map((name) => refOf(name).replace('ab.1.0', '')).toSorted());
});

test('what is remembered of a push to one remote is nothing to another, and is gone when it is over', async () => {
  const { ctx } = await annWithTakes(await fileRemote());
  const sizing = { next: 7, proven: 5, broken: true };
  await remember(ctx, { sizing });
  await remember(ctx, { over: ['a/'] });
  const other = { ...ctx, remote: { ...ctx.remote, url: `${ctx.remote.url}-other` } };
  expect(await recall(other)).toEqual({ over: [], sizing: null });
  expect(await recall(ctx)).toMatchObject({ over: ['a/'], sizing });
  await remember(ctx, { over: [], sizing: null });
  expect(await exists(statePath(ctx, 'staging.json'))).toBe(false);
  // What the other begins does not take over what this one has left.
  await remember(ctx, { over: ['a/'] });
  await remember(other, { sizing });
  expect(await recall(other)).toMatchObject({ over: [], sizing });
});

test('after a push in parts the remote keeps what others have staged, and loses what nobody will come back for', async () => {
  const remote = await fileRemote();
  const ann = await annWithTakes(remote);
  const today = Date.now();
  const live = `${stagingFolder(prefix, '5ca1ab1e', today - 5 * day)}aa.1.0`;
  const dead = `${stagingFolder(prefix, 'deadbeef', today - 40 * day)}aa.1.0`;
  for (const ref of [live, dead, 'refs/oxenvcs/media/x']) await git(remote.dir, ['update-ref', ref, 'main']);
  await pushTip(ann, await record(ann, 8, 30_000));
  expect(await stagingRefs(remote.dir)).toEqual([live]);
  expect(await git(remote.dir, ['for-each-ref', 'refs/oxenvcs/media'])).not.toBe('');
});
