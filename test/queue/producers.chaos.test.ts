import * as fs from 'node:fs/promises';
import path from 'node:path';
import { expect, test } from 'vitest';
import { commitSave } from '../../src/commit/commit.ts';
import { git, gitAsks, gitLine } from '../../src/git/run.ts';
import { Failure } from '../../src/model/failures.ts';
import { drain } from '../../src/queue/drain.ts';
import { dropEntry, takeBack } from '../../src/queue/drop.ts';
import { enqueue } from '../../src/queue/entries.ts';
import { lookAtQueue, rebuildQueue } from '../../src/queue/rebuild.ts';
import { byHand, setUp, song } from '../setup/helpers.ts';
import { dice } from '../support/dice.ts';
import { saveOf } from '../support/project.ts';
import { consumer, forget, ourRefs, publishedUpTo } from '../support/queueing.ts';
import { rounds } from '../support/rounds.ts';
import { write } from '../support/sandbox.ts';

test('saves, commits by hand, amends, rebases, resets, merges, losses and tries in any order: nothing that was queued is lost, and the queue is what is not published', async () => {
  const { roll, pick } = dice(3);
  const { project } = await setUp(await song());
  const { root } = project;
  await publishedUpTo(project, 'HEAD');
  const folder = path.join(root, '.oxenvcs', 'queue');
  /** Everything that was ever queued, and by what. */
  const queued = new Map<string, string>();
  const pushed: string[] = [];
  let n = 0;

  const head = async () => await gitLine(root, ['rev-parse', 'HEAD']);
  const line = async (from = 'main') =>
    (await git(root, ['rev-list', '--reverse', '--topo-order', from, '--not', 'origin/main']))
      .split('\n')
      .filter(Boolean);
  const hand = async (...args: string[]) => {
    // In the same second a commit that is made again would be the same one.
    const env = { GIT_COMMITTER_DATE: `${1_700_000_000 + ++n} +0000` };
    expect(await byHand(root, args, env)).toMatchObject({ code: 0 });
    queued.set(await head(), args.join(' '));
  };
  const text = () => ({ 'Song.als': `version ${++n}` });
  const some = async () => pick((await lookAtQueue(project)).entries);

  const works: Record<string, () => Promise<unknown>> = {
    save: async () => {
      await write(root, text());
      const made = await commitSave(project, await saveOf(project, { sessions: ['Song.als'] }));
      if (made.outcome !== 'committed') throw new Error(JSON.stringify(made));
      queued.set(made.commit, 'a save');
      await enqueue(project, made.commit, 'main', new Date().toISOString());
    },
    commit: async () => {
      await write(root, text());
      await hand('commit', '-qam', 'by hand');
    },
    amend: async () => {
      if ((await line()).length > 0) await hand('commit', '--amend', '--allow-empty', '-qm', `amended ${n}`);
    },
    rebase: async () => {
      const all = await line();
      const merges = await git(root, ['rev-list', '--merges', 'origin/main..main']);
      if (all.length > 1 && merges === '') await hand('rebase', '-q', '--force-rebase', `${all[0]}`);
    },
    reset: async () => {
      if ((await line()).length > 0) await byHand(root, ['reset', '-q', '--hard', 'HEAD^']);
    },
    merge: async () => {
      await byHand(root, ['checkout', '-q', '-B', 'idea']);
      await write(root, { [`Take ${++n}.wav`]: 'take' });
      await byHand(root, ['add', '--all']);
      await byHand(root, ['commit', '-qm', 'an idea']);
      await byHand(root, ['checkout', '-q', 'main']);
      await hand('merge', '-q', '--no-ff', '-m', 'joined', 'idea');
    },
    clean: async () => await git(root, ['clean', '-fdxq', '-e', 'Take*']),
    damage: async () => {
      const name = pick(await fs.readdir(folder).catch(() => [] as string[]));
      const texts = ['', '{"v":1,"kind":"pub', '\0\0\0\0', '{"v":2}'];
      if (name !== undefined) await fs.writeFile(path.join(folder, name), pick(texts));
    },
    gc: async () => await forget(project),
    look: async () =>
      await Promise.all([lookAtQueue(project), rebuildQueue(project, Date.now()), lookAtQueue(project)]),
    drop: async () => {
      const entry = await some();
      if (entry !== undefined) await dropEntry(project, entry.id, Date.now(), 0);
    },
    retry: async () => {
      const entry = pick((await lookAtQueue(project)).dropped);
      if (entry !== undefined) await takeBack(project, entry.id);
    },
    fail: async () => {
      const row = pick(['offline', 'auth', 'remote-refused', 'lock-held'] as const);
      const publish = async () => {
        throw new Failure(row, { detail: 'no' });
      };
      await drain(project, consumer(project, { publish }).ports);
    },
    publish: async () => {
      const { ports, pushed: tips } = consumer(project, { urgency: 'by-hand' });
      await drain(project, ports);
      pushed.push(...tips.map(({ tip }) => tip));
    },
  };
  const names = Object.keys(works);
  const often = ['save', 'save', 'commit', 'commit', 'commit', 'fail'];

  const told: string[] = [];
  for (let step = 0; step < rounds(300, 15); step++) {
    const name = pick(roll() < 0.4 ? often : names);
    told.push(name);
    await works[name]?.();
    const { entries, dropped } = await lookAtQueue(project);
    const out = new Set(dropped.map(({ commit }) => commit));
    const expected = (await line()).filter((commit) => !out.has(commit));
    expect({ told, queue: entries.map(({ commit }) => commit) }).toEqual({ told, queue: expected });
  }

  for (const { id } of (await lookAtQueue(project)).dropped) await takeBack(project, id);
  await works['publish']?.();
  expect(await line()).toEqual([]);
  expect(await fs.readdir(folder).catch(() => [])).toEqual([]);
  expect(await ourRefs(project, 'dropped')).toEqual([]);
  // Each push went on from the one before, and no version was sent twice.
  for (const [i, tip] of pushed.slice(1).entries())
    expect(await gitAsks(root, ['merge-base', '--is-ancestor', pushed[i] ?? '', tip])).toBe(true);
  expect(new Set(pushed).size).toBe(pushed.length);
  await forget(project);
  const lost: string[] = [];
  for (const [commit, how] of queued)
    if (!(await gitAsks(root, ['cat-file', '-e', commit]))) lost.push(`${how}: ${commit}`);
  expect(lost).toEqual([]);
  expect(await git(root, ['fsck', '--strict', '--no-dangling'])).toBe('');
});
