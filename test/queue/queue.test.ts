import * as fs from 'node:fs/promises';
import path from 'node:path';
import { expect, test } from 'vitest';
import { git, gitLine } from '../../src/git/run.ts';
import { openProject } from '../../src/project/project.ts';
import { exists } from '../../src/system/disk.ts';
import { enqueue, listQueue, noteRescue } from '../../src/queue/entries.ts';
import { keepQueue, lookAtQueue, rebuildQueue } from '../../src/queue/rebuild.ts';
import { byHand, setUp, song } from '../setup/helpers.ts';
import { at, forget, ourRefs, publishedUpTo, queueFiles, queueing, versions } from '../support/queueing.ts';
import { write } from '../support/sandbox.ts';

const now = Date.parse(at);

test('entries are listed in the order of history, whatever order they were queued in', async () => {
  const { project } = await queueing();
  const made = await versions(project, 12);
  for (const commit of made.toReversed()) await enqueue(project, commit, 'main', at);
  expect((await listQueue(project)).entries.map(({ commit }) => commit)).toEqual(made);
});

test('producers that write the same commit at the same time leave one entry, whole', async () => {
  const { project } = await queueing();
  const [commit = ''] = await versions(project, 1);
  await Promise.all(Array.from({ length: 8 }, async () => await enqueue(project, commit, 'main', at)));
  expect(await queueFiles(project)).toEqual([`0000000002-${commit}.json`]);
  expect((await listQueue(project)).damaged).toEqual([]);
});

test('a queue that was cleaned away comes back from Git, in order; who only looks sees it too, and writes nothing', async () => {
  const { project } = await queueing();
  const made = await versions(project, 3);
  await rebuildQueue(project, now);
  const before = await lookAtQueue(project);
  await git(project.root, ['clean', '-fdxq']);
  expect((await lookAtQueue(project)).entries.map(({ id }) => id)).toEqual(before.entries.map(({ id }) => id));
  await expect(queueFiles(project)).rejects.toThrow('ENOENT');
  expect((await rebuildQueue(project, now)).entries.map(({ commit }) => commit)).toEqual(made);
  expect(await queueFiles(project)).toHaveLength(3);
});

test.each([
  ['half an entry', (name: string) => ({ [name]: '{"v":1,"kind":"pub' })],
  ['zeros of a lost disk block', (name: string) => ({ [name]: '\0'.repeat(100) })],
  ['another entry under this name', (name: string, other: string) => ({ [name]: other })],
])('%s is set aside and reported, and its commit is queued again', async (_, damage) => {
  const { project } = await queueing();
  const made = await versions(project, 2);
  await rebuildQueue(project, now);
  const [first = '', second = ''] = await queueFiles(project);
  const folder = path.join(project.root, '.oxenvcs', 'queue');
  const damaged = damage(first, await fs.readFile(path.join(folder, second), 'utf8'));
  await write(folder, damaged);
  const found = await rebuildQueue(project, now);
  expect(found.entries.map(({ commit }) => commit)).toEqual(made);
  expect(found.damaged).toHaveLength(1);
  expect(await fs.readFile(found.damaged[0]?.file ?? '', 'utf8')).toBe(damaged[first]);
});

test('an entry of a commit that is not here (another repository’s) is set aside and stands in nobody’s way', async () => {
  const { project } = await queueing();
  const [mine = ''] = await versions(project, 1);
  const commit = 'beef'.repeat(10);
  const text = `{"v":1,"kind":"publish","commit":"${commit}","branch":"main","seq":7,"createdAt":"${at}"}\n`;
  await write(project.root, { [`.oxenvcs/queue/0000000007-${commit}.json`]: text });
  const { entries, damaged } = await rebuildQueue(project, now);
  expect(entries.map((entry) => entry.commit)).toEqual([mine]);
  expect(damaged.map(({ reason }) => reason)).toEqual(['its commit is not in this repository']);
});

test('a file in the place of the queue is set aside', async () => {
  const { project } = await queueing();
  await write(project.root, { '.oxenvcs/queue': 'a file' });
  await versions(project, 1);
  await rebuildQueue(project, now);
  expect(await queueFiles(project)).toHaveLength(1);
  expect(await fs.readdir(path.join(project.root, '.oxenvcs', 'damaged'))).toHaveLength(1);
});

test('what a killed producer left half written is tidied away, but not what is being written', async () => {
  const { project } = await queueing();
  const [commit = ''] = await versions(project, 1);
  await write(project.root, { '.oxenvcs/queue/.old.tmp': '{', '.oxenvcs/queue/.new.tmp': '{' });
  // Records, too, and what a push tells of itself.
  const left = [
    '.oxenvcs/queue/.old.tmp',
    '.oxenvcs/state/.a.tmp',
    '.oxenvcs/state/transfer.json.7',
    '.git/oxenvcs/.b.tmp',
  ];
  for (const name of left) await write(project.root, { [name]: '{' });
  for (const name of left) await fs.utimes(path.join(project.root, name), 1, 1);
  await rebuildQueue(project, Date.now());
  expect(await queueFiles(project)).toEqual(['.new.tmp', `0000000002-${commit}.json`]);
  for (const name of left) expect(await exists(path.join(project.root, name))).toBe(false);
});

test('what is only added while nothing is published is not held against all that waits, and yet nothing is missed', async () => {
  const { project } = await queueing();
  const [first = ''] = await versions(project, 3);
  const names = async () =>
    (await queueFiles(project)).map((name) => name.slice('0000000000-'.length, -'.json'.length));
  const start = await keepQueue(project, now, null);
  expect(start).toMatchObject({ versions: 3, since: 0 });
  // Nothing of the others is read: a file of no use among them stays where it is.
  await write(project.root, { [`.oxenvcs/queue/0000000002-${first}.json`]: 'damaged' });
  const [queued = ''] = await versions(project, 1);
  await enqueue(project, queued, 'main', at);
  const added = await keepQueue(project, now, start);
  expect(added).toMatchObject({ tip: queued, versions: 4, since: 1 });
  expect(await fs.readdir(path.join(project.root, '.oxenvcs'))).not.toContain('damaged');

  const [unseen = ''] = await versions(project, 1);
  const rebuilt = await keepQueue(project, now, added);
  expect(rebuilt).toMatchObject({ tip: unseen, versions: 5, since: 0 });
  expect(await names()).toContain(unseen);
  await git(project.root, ['commit', '--quiet', '--amend', '--allow-empty', '-m', 'another']);
  const amended = await gitLine(project.root, ['rev-parse', 'HEAD']);
  await enqueue(project, amended, 'main', at);
  const again = await keepQueue(project, now, rebuilt);
  expect(again).toMatchObject({ versions: 5, since: 0 });
  expect(await names()).not.toContain(unseen);
  await publishedUpTo(project, amended);
  expect(await keepQueue(project, now, again)).toMatchObject({ versions: 0 });
  expect(await names()).toEqual([]);
});

test('one ref keeps a whole line of queued commits alive, also those that a hook in plain sh has queued', async () => {
  const { project } = await queueing();
  const made = await versions(project, 5);
  for (const commit of made.slice(0, 3)) await enqueue(project, commit, 'main', at);
  await rebuildQueue(project, now);
  expect(await ourRefs(project, 'queue')).toEqual([made[4]]);
  await git(project.root, ['reset', '--quiet', '--hard', 'HEAD~5']);
  await forget(project);
  expect(await gitLine(project.root, ['cat-file', '-t', made[0] ?? ''])).toBe('commit');
});

test('a commit that was just queued survives reset and gc before anything has looked at the queue', async () => {
  const { project } = await queueing();
  const [commit = ''] = await versions(project, 1);
  await enqueue(project, commit, 'main', at);
  await git(project.root, ['reset', '--quiet', '--hard', 'HEAD~1']);
  await forget(project);
  expect(await gitLine(project.root, ['cat-file', '-t', commit])).toBe('commit');
});

test.each([
  ['amend', ['commit', '--amend', '--allow-empty', '-qm', 'amended']],
  ['rebase', ['rebase', '-q', '--force-rebase', 'HEAD~2']],
  ['reset', ['reset', '-q', '--hard', 'HEAD~1']],
])('the queue follows %s; what was rewritten away is kept through gc, by as few refs as will do', async (_, args) => {
  const { project } = await queueing();
  const { root } = project;
  const made = await versions(project, 3);
  await rebuildQueue(project, now);
  // In the same second the rebased commits would be the same ones.
  expect(await byHand(root, args, { GIT_COMMITTER_DATE: at })).toMatchObject({ code: 0 });
  const line = (await git(root, ['rev-list', '--reverse', 'origin/main..HEAD'])).trim().split('\n');
  const { entries } = await rebuildQueue(project, now);
  expect(entries.map(({ commit }) => commit)).toEqual(line);
  expect(await queueFiles(project)).toHaveLength(line.length);
  expect(await ourRefs(project, 'kept')).toEqual([made[2]]);
  await forget(project);
  for (const commit of made) expect(await gitLine(root, ['cat-file', '-t', commit])).toBe('commit');
});

test('superseded work is let go when it is on the remote after all, and when it is old and more than a hundred are newer', async () => {
  const { project } = await queueing();
  const { root } = project;
  const [away = ''] = await versions(project, 1);
  const head = await gitLine(root, ['rev-parse', 'HEAD~1']);
  const tree = await gitLine(root, ['rev-parse', 'HEAD^{tree}']);
  const old: string[] = [];
  for (let i = 0; i < 102; i++) old.push(await gitLine(root, ['commit-tree', '-p', head, '-m', `${i}`, tree]));
  const refs = old.map((commit, i) => `create refs/oxenvcs/kept/${i < 101 ? '20250101' : '20251231'}-${commit}\n`);
  await git(root, ['update-ref', '--stdin'], {
    input: refs.map((line, i) => line.replace('\n', ` ${old[i]}\n`)).join(''),
  });
  await rebuildQueue(project, now);
  await git(root, ['reset', '--quiet', '--hard', 'HEAD~1']);
  await rebuildQueue(project, now);
  const kept = await ourRefs(project, 'kept');
  expect(kept).toContain(away);
  expect(kept).toHaveLength(100);
  await publishedUpTo(project, away);
  await rebuildQueue(project, now);
  expect(await ourRefs(project, 'kept')).not.toContain(away);
});

test('entries of a branch that the settings do not name any more wait, and end when they are on the remote', async () => {
  const { project } = await queueing();
  const { root } = project;
  const [made = ''] = await versions(project, 1);
  await rebuildQueue(project, now);
  const renamed = { ...project, config: { ...project.config, branch: 'mix' } };
  await git(root, ['branch', 'mix', 'HEAD~1']);
  await git(root, ['update-ref', 'refs/remotes/origin/mix', 'mix']);
  expect((await rebuildQueue(renamed, now)).entries).toMatchObject([{ commit: made, branch: 'main' }]);
  // The new branch takes the version over.
  await git(root, ['branch', '--force', 'mix', made]);
  expect((await rebuildQueue(renamed, now)).entries).toMatchObject([{ commit: made, branch: 'mix' }]);
  expect(await queueFiles(project)).toHaveLength(1);
  await git(root, ['update-ref', 'refs/remotes/origin/other', made]);
  await git(root, ['branch', '--force', 'mix', 'main~1']);
  expect((await rebuildQueue(renamed, now)).entries).toEqual([]);
  expect(await queueFiles(project)).toEqual([]);
});

test('a merge is queued with both of its lines, parents first', async () => {
  const { project } = await queueing();
  const { root } = project;
  await git(root, ['checkout', '--quiet', '-b', 'idea']);
  const idea = await versions(project, 2);
  await git(root, ['checkout', '--quiet', 'main']);
  const own = await versions(project, 1);
  await git(root, ['merge', '--quiet', '--no-ff', '-m', 'joined', 'idea']);
  const { entries } = await rebuildQueue(project, now);
  const order = entries.map(({ commit }) => commit);
  expect(new Set(order)).toEqual(new Set([...own, ...idea, await gitLine(root, ['rev-parse', 'HEAD'])]));
  expect(order.indexOf(idea[0] ?? '')).toBeLessThan(order.indexOf(idea[1] ?? ''));
  expect(entries.map(({ seq }) => seq)).toEqual([2, 3, 4, 5]);
});

test.each(['mix-🎸', "Ann's", 'a"b', '$(touch${IFS}owned);%s', 'sa\u030ang/2'])(
  'a commit by hand on a branch of an odd name is queued, and ends when it is published: %s',
  async (branch) => {
    const { project } = await setUp(await song(), { branch });
    const { root } = project;
    await git(root, ['update-ref', `refs/remotes/origin/${branch}`, 'HEAD']);
    expect(await byHand(root, ['commit', '-q', '--allow-empty', '-m', 'by hand'])).toMatchObject({ code: 0 });
    const commit = await gitLine(root, ['rev-parse', 'HEAD']);
    expect(await rebuildQueue(project, now)).toMatchObject({ entries: [{ commit, branch }], damaged: [] });
    expect(await queueFiles(project)).toEqual([`0000000002-${commit}.json`]);
    await git(root, ['update-ref', `refs/remotes/origin/${branch}`, 'HEAD']);
    expect((await rebuildQueue(project, now)).entries).toEqual([]);
    expect(await fs.readdir(root)).not.toContain('owned');
  },
);

test('worktrees of one repository do not let go what another one’s queue keeps', async () => {
  const { project } = await queueing();
  const { root } = project;
  await git(root, ['branch', 'idea']);
  const [away = ''] = await versions(project, 1);
  await noteRescue(project, { commit: away, branch: 'oxenvcs/rescue/ann/1', createdAt: at });
  await git(root, ['reset', '--quiet', '--hard', 'HEAD~1']);
  const other = path.join(path.dirname(root), 'other');
  await git(root, ['worktree', 'add', '--quiet', other, 'idea']);
  const linked = await openProject(other);
  const [made = ''] = await versions(project, 1);
  await enqueue(project, made, 'main', at);
  expect((await rebuildQueue(linked, now)).entries.map(({ commit }) => commit)).toEqual([made]);
  expect(new Set(await ourRefs(project, 'queue'))).toEqual(new Set([away, made]));
});
