import * as fs from 'node:fs/promises';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { git, gitLine } from '../../src/git/run.ts';
import { type Background, background, oxenvcs } from '../support/cli.ts';
import { dice } from '../support/dice.ts';
import { descendants, killTree } from '../support/processes.ts';
import { queueFiles } from '../support/queueing.ts';
import { fileRemote, httpRemote } from '../support/remotes.ts';
import { rounds } from '../support/rounds.ts';
import { sandbox, write } from '../support/sandbox.ts';

const quick = {
  OXENVCS_WATCH_QUIET_SECONDS: '0.2',
  OXENVCS_WATCH_MEDIA_QUIET_SECONDS: '0.2',
  OXENVCS_WATCH_SCAN_SECONDS: '1',
  OXENVCS_NETWORK_INITIAL_BACKOFF_MS: '50',
  OXENVCS_NETWORK_MAX_BACKOFF_MS: '200',
};

/** The commits that were reported as versions, in the order of the report. */
function reported({ lines }: Background): string[] {
  return lines
    .filter((line) => line.startsWith('{'))
    .map((line) => JSON.parse(line) as { event: string; commit: string })
    .filter(({ event }) => event === 'version')
    .map(({ commit }) => commit);
}

const remotes = { file: fileRemote, http: httpRemote };

test.each(['file', 'http'] as const)(
  'killed at random moments of a save’s way: what was reported is on the remote in the end, in order, once (%s)',
  async (kind) => {
    const { roll, pick } = dice(kind === 'file' ? 1 : 2);
    const remote = await remotes[kind]({ config: { 'receive.fsckObjects': 'true' } });
    const dir = await sandbox();
    const song = path.join(dir, 'My Song');
    await write(song, { 'Song.als': 'save 0' });
    await oxenvcs(['init', song, '--remote', remote.url], { cwd: dir, env: quick });
    const watch = () => background(['watch', song, '--json-stream'], { cwd: dir, env: quick });
    const save = async (n: number) =>
      await write(song, { 'Song.als': `save ${n}`, ...(roll() < 0.3 ? { [`Take ${n}.wav`]: `take ${n}` } : {}) });

    // How long the whole way takes here and now, ms.
    const first = watch();
    await first.waitForLine(/"published"/);
    const began = performance.now();
    await save(1);
    await first.waitForLine(/"version"/);
    await first.waitForLine(new RegExp(`"published".*"${reported(first)[0]}"`));
    const way = performance.now() - began;
    await first.kill('SIGKILL');
    const told = reported(first);

    const kills = rounds(100, 20);
    for (let round = 2; round < 2 + kills; round++) {
      const watching = watch();
      const moment = pick(['starting', 'settling', 'committing', 'committing']);
      // While it puts right what the last one left; while a save is on its way; while it is made a version and published.
      if (moment !== 'starting') await watching.waitForLine(/"watching"/);
      await save(round);
      if (moment === 'committing') await watching.waitForLine(/"committing"/);
      await sleep(way * roll());
      const how = pick(['program', 'all', 'all', 'git']);
      if (how === 'git') {
        // One git, whatever it does; the program goes on with what that means.
        const gits = descendants(watching.pid);
        if (gits.length > 0) killTree(pick(gits));
        await sleep(way * roll());
      }
      if (how === 'all') killTree(watching.pid);
      await watching.kill('SIGKILL');
      told.push(...reported(watching));
    }

    const last = watch();
    await last.waitForLine(/"watching"/);
    const tips = async () => [
      await gitLine(remote.dir, ['rev-parse', 'main']),
      await gitLine(song, ['rev-parse', 'HEAD']),
    ];
    /** What is not at rest yet. */
    const left = async () => {
      const [theirs, ours] = await tips();
      const waiting = (await queueFiles({ root: song })).filter((name) => !name.endsWith('.tmp'));
      const status = await git(song, ['status', '--porcelain']);
      return [
        ...(theirs === ours ? [] : [`${theirs} there, ${ours} here`]),
        ...waiting,
        ...(status === '' ? [] : [status]),
      ];
    };
    for (const end = Date.now() + 30_000; (await left()).length > 0; await sleep(100))
      if (Date.now() > end)
        throw new Error(`it never came to rest: ${(await left()).join('\n')}\n${last.lines.join('\n')}`);
    told.push(...reported(last));
    await last.kill();

    const line = (await gitLine(remote.dir, ['rev-list', '--reverse', 'main'])).split('\n');
    expect(line.filter((commit) => told.includes(commit))).toEqual(told);
    // Once: no two versions hold the same, and the saves are in the order in which they were made.
    const trees = (await gitLine(remote.dir, ['log', '--reverse', '--format=%T', 'main'])).split('\n');
    expect(new Set(trees).size).toBe(trees.length);
    const saves = await Promise.all(
      line
        .slice(1)
        .map(async (commit) => Number((await git(song, ['show', `${commit}:Song.als`])).slice('save '.length))),
    );
    expect(saves).toEqual(saves.toSorted((a, b) => a - b));
    expect(saves.at(-1)).toBe(1 + kills);
    for (const repo of [song, remote.dir])
      expect(await git(repo, ['fsck', '--strict', '--full', '--no-dangling'])).toBe('');
    // What a kill leaves half written is never taken for a record, nor told as a damage.
    expect(await fs.readdir(path.join(song, '.oxenvcs', 'damaged')).catch(() => [])).toEqual([]);
  },
);
