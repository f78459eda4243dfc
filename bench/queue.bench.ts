import * as fs from 'node:fs/promises';
import path from 'node:path';
import { expect, test } from 'vitest';
import { git, gitLine, tryGit } from '../src/git/run.ts';
import { drain } from '../src/queue/drain.ts';
import { enqueue } from '../src/queue/entries.ts';
import { lookAtQueue, rebuildQueue } from '../src/queue/rebuild.ts';
import { readText, removeDurable, writeDurable } from '../src/system/disk.ts';
import { oxenvcs } from '../test/support/cli.ts';
import { consumer, publishedUpTo, queueFiles, queueing } from '../test/support/queueing.ts';
import { medians, ratio, rounds } from './support/measure.ts';

/**
 * The queue with many entries, beside the plain ways to do the same: a git process an entry, one entry after the other
 * written or removed and flushed, the whole queue in one file. The plain ways are measured on `few` entries and told
 * for as many as there are: they grow in proportion. Medians in ms.
 */

const times = rounds(5);
const few = 100;
const rows: Record<string, Record<string, number>> = {};

async function history(root: string, count: number): Promise<void> {
  const commits = Array.from(
    { length: count },
    (_, n) => `commit refs/heads/main\ncommitter Ann <ann@band.example> ${1_700_000_000 + n} +0000\ndata 1\nx\n`,
  );
  const [first = '', ...rest] = commits;
  await git(root, ['fast-import', '--quiet'], { input: [`${first}from refs/heads/main^0\n`, ...rest].join('\n') });
}

test.each([100, 1000, 10_000])('%i entries', async (count) => {
  const { project } = await queueing();
  const { root } = project;
  const start = await gitLine(root, ['rev-parse', 'HEAD']);
  await history(root, count);
  const tip = await gitLine(root, ['rev-parse', 'main']);
  const now = Date.now();
  const { entries } = await rebuildQueue(project, now);
  expect(entries).toHaveLength(count);
  const some = entries.slice(0, few);
  const plain = path.join(root, '.oxenvcs', 'plain');
  const text = JSON.stringify(entries);

  const row = await medians(times, {
    rebuild: async () => {
      await fs.rm(path.join(root, '.oxenvcs', 'queue'), { recursive: true });
      await publishedUpTo(project, start);
      await rebuildQueue(project, now);
    },
    list: async () => expect((await lookAtQueue(project)).entries).toHaveLength(count),
    'list (command)': async () => expect((await oxenvcs(['queue', 'list', '--json'], { cwd: root })).code).toBe(0),
    add: async () => await enqueue(project, tip, 'main', new Date(now).toISOString()),
    drain: async () => {
      const [done] = await drain(project, consumer(project).ports);
      expect(done).toMatchObject({ outcome: 'published', versions: count });
    },
    'plain rebuild': async () => {
      for (const { id } of some) await writeDurable(path.join(plain, id), text.slice(0, 200));
    },
    'plain list': async () => {
      for (const { commit } of some) await git(root, ['cat-file', '-t', commit]);
    },
    'plain add': async () => {
      const all = JSON.parse((await readText(path.join(plain, 'all'))) ?? text) as object[];
      await writeDurable(path.join(plain, 'all'), JSON.stringify([...all.slice(0, count), {}]));
    },
    'plain drain': async () => {
      for (const { id, commit } of some) {
        await removeDurable(path.join(plain, id));
        await tryGit(root, ['update-ref', '-d', `refs/oxenvcs/queue/${commit}`]);
      }
    },
  });
  expect(await queueFiles(project)).toEqual([]);
  const work = (name: string, scale: number) => {
    const beside = (row[`plain ${name}`] ?? Number.NaN) * scale;
    return { [name]: row[name] ?? Number.NaN, [`${name} ÷ plain`]: ratio(row[name], beside) };
  };
  const scale = count / few;
  rows[`${count} entries`] = {
    ...work('rebuild', scale),
    ...work('list', scale),
    'list (command)': row['list (command)'] ?? Number.NaN,
    ...work('add', 1),
    ...work('drain', scale),
  };
  // oxlint-disable-next-line no-console -- what it is for
  console.table(rows);
});
