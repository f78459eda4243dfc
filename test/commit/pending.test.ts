import * as fs from 'node:fs/promises';
import path from 'node:path';
import { expect, test } from 'vitest';
import { pendingSaves } from '../../src/commit/pending.ts';
import { git, gitLine } from '../../src/git/run.ts';
import type { PendingSave } from '../../src/model/save.ts';
import { openProject, type Project } from '../../src/project/project.ts';
import { projectWithRemote } from '../support/project.ts';

async function saveOf({ root }: Project, ...texts: string[]): Promise<PendingSave> {
  const captured = texts.map(async (text, n) => ({
    file: {
      path: `Song ${n}.als`,
      mode: '100644' as const,
      oid: await gitLine(root, ['hash-object', '-w', '--stdin'], { input: text }),
    },
    stat: { size: 3n, mtimeNs: 1_795_500_677_281_766_095n, ino: 18_446_744_073_709_551_615n },
  }));
  return { captured: await Promise.all(captured), deleted: ['Old "ø".als'] };
}
const journal = ({ gitDir }: Project) => path.join(gitDir, 'oxenvcs', 'pending-saves.json');
const refs = async ({ root }: Project) => (await git(root, ['for-each-ref', 'refs/oxenvcs/captured'])).trim();

test('what was noted is read by the next process as it was, in order, and no prune takes it; what is done leaves nothing', async () => {
  const { project } = await projectWithRemote();
  const saves = [await saveOf(project, 'two', 'of both'), await saveOf(project, 'three', 'of both')];
  await pendingSaves(project).note(saves);
  await git(project.root, ['prune', '--expire=now']);
  const next = pendingSaves(project);
  expect(await next.read()).toEqual(saves);
  await next.note(saves.slice(1));
  await git(project.root, ['prune', '--expire=now']);
  expect(await pendingSaves(project).read()).toEqual(saves.slice(1));
  expect((await refs(project)).split('\n')).toHaveLength(2);
  await next.note([]);
  expect(await refs(project)).toBe('');
  expect(await pendingSaves(project).read()).toEqual([]);
});

test('nothing is noted that no ref keeps: it might be pruned before it is a version', async () => {
  const { project } = await projectWithRemote();
  // Where the refs are to lie.
  await git(project.root, ['update-ref', 'refs/oxenvcs/captured', 'HEAD']);
  await expect(pendingSaves(project).note([await saveOf(project, 'two')])).rejects.toThrow('refs/oxenvcs/captured');
  expect(await pendingSaves(project).read()).toEqual([]);
});

test('a save whose bytes were pruned away all the same is left out: nothing could be made of it', async () => {
  const { project } = await projectWithRemote();
  const saves = [await saveOf(project, 'two'), await saveOf(project, 'three')];
  await pendingSaves(project).note(saves);
  const oid = saves[0]?.captured[0]?.file.oid ?? '';
  const [ref = ''] = (await git(project.root, ['for-each-ref', '--format=%(refname)', '--points-at', oid])).split('\n');
  await git(project.root, ['update-ref', '-d', ref]);
  await git(project.root, ['prune', '--expire=now']);
  expect(await pendingSaves(project).read()).toEqual(saves.slice(1));
});

test('two worktrees of one repository do not let go of what the other keeps', async () => {
  const { project, dir } = await projectWithRemote();
  await git(project.root, ['worktree', 'add', '--quiet', path.join(dir, 'Idea'), '-b', 'idea']);
  const idea = await openProject(path.join(dir, 'Idea'));
  const saves = [await saveOf(project, 'two')];
  await pendingSaves(project).note(saves);
  const other = pendingSaves(idea);
  await other.note([await saveOf(idea, 'idea')]);
  await other.note([]);
  await git(project.root, ['prune', '--expire=now']);
  expect(await pendingSaves(project).read()).toEqual(saves);
  expect(await pendingSaves(idea).read()).toEqual([]);
});

test('a note that is damaged is set aside, and a new one takes its place', async () => {
  const { project } = await projectWithRemote();
  await pendingSaves(project).note([await saveOf(project, 'two')]);
  await fs.writeFile(journal(project), '{"v":1,"saves":[{}');
  const next = pendingSaves(project);
  expect(await next.read()).toEqual([]);
  await next.note([await saveOf(project, 'three')]);
  expect(await pendingSaves(project).read()).toHaveLength(1);
});
