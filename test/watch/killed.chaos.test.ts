import * as fs from 'node:fs/promises';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { git, tryGit } from '../../src/git/run.ts';
import { background, oxenvcs } from '../support/cli.ts';
import { dice } from '../support/dice.ts';
import { killTree } from '../support/processes.ts';
import { rounds } from '../support/rounds.ts';
import { sandbox, write } from '../support/sandbox.ts';

const env = {
  OXENVCS_WATCH_QUIET_SECONDS: '0.2',
  OXENVCS_WATCH_MEDIA_QUIET_SECONDS: '0.4',
  OXENVCS_WATCH_SCAN_SECONDS: '1',
  OXENVCS_PUSH_AUTO: 'false',
};

/** What makes captured saves wait; each gives what ends it. */
const obstacles: Record<string, (song: string) => Promise<() => Promise<void>>> = {
  'takes that are stored for minutes': async (song) => {
    const disk = path.join(song, '.git', 'the disk is slow');
    await fs.writeFile(disk, '');
    await git(song, ['config', 'filter.slow.clean', `while [ -e "${disk}" ]; do sleep 0.05; done; cat`]);
    await write(song, { '.git/info/attributes': '*.wav filter=slow\n', [`Take ${Date.now()}.wav`]: 'take' });
    return async () => await fs.rm(disk);
  },
  'a merge': async (song) => {
    const mark = path.join(song, '.git', 'MERGE_HEAD');
    await fs.writeFile(mark, '');
    return async () => await fs.rm(mark);
  },
  'a take that grows': async (song) => {
    const take = await fs.open(path.join(song, `Take ${Date.now()}.wav`), 'a');
    await take.write('flush');
    return async () => await take.close();
  },
};

test('saves that were captured and wait outlive a SIGKILL and a `git prune`: each becomes a version, in order, once', async () => {
  const { roll, pick } = dice(3);
  const dir = await sandbox();
  const song = path.join(dir, 'My Song');
  await write(song, { 'Song.als': 'save 0' });
  expect((await oxenvcs(['init', song, '--no-hooks'], { cwd: dir, env })).code).toBe(0);
  const journal = path.join(song, '.git', 'oxenvcs', 'pending-saves.json');
  const watch = () => background(['watch', song, '--json-stream'], { cwd: dir, env });
  const until = async (what: string, holds: () => Promise<boolean>) => {
    for (const end = Date.now() + 20_000; !(await holds()); await sleep(20))
      if (Date.now() > end) throw new Error(`it never came to be that ${what}`);
  };
  /** What becomes a version, whatever happens now. */
  const isSecured = async (text: string) => {
    const oid = (await git(song, ['hash-object', '--stdin'], { input: text })).trim();
    if ((await fs.readFile(journal, 'utf8').catch(() => '')).includes(oid)) return true;
    return (await git(song, ['log', '--format=', '--raw', '--no-abbrev'])).includes(oid);
  };
  const wanted = ['save 0'];
  for (let round = 0; round < rounds(40, 40); round++) {
    const obstacle = pick(Object.keys(obstacles));
    const remove = await obstacles[obstacle]?.(song);
    const watching = watch();
    await watching.waitForLine(/"watching"/);
    for (let n = 0; n < 2 + Math.floor(roll() * 3); n++) {
      const text = `save ${wanted.length}`;
      wanted.push(text);
      await write(song, { 'Song.als': text });
      await until(`${text} is on the disk`, async () => await isSecured(text));
      await sleep(100 * roll());
    }
    killTree(watching.pid);
    await watching.kill('SIGKILL');
    await git(song, ['-c', 'gc.reflogExpire=now', pick(['prune', 'gc']), ...pick([[], ['--prune=now']])]).catch(
      async () => await git(song, ['prune', '--expire=now']),
    );
    if (roll() < 0.5) {
      wanted.push(`save ${wanted.length}`);
      await write(song, { 'Song.als': wanted.at(-1) ?? '' });
    }
    await remove?.();
    const next = watch();
    await until(
      'all is a version',
      async () =>
        (await git(song, ['status', '--porcelain', '--', 'Song.als'])) === '' &&
        (await git(song, ['show', 'HEAD:Song.als'])) === wanted.at(-1) &&
        (await fs.readFile(journal, 'utf8').catch(() => '"saves":[]')).includes('"saves":[]'),
    );
    await next.kill(pick(['SIGKILL', 'SIGTERM']));
    const commits = (await git(song, ['log', '--reverse', '--format=%H', '--', 'Song.als'])).trim().split('\n');
    const made = await Promise.all(commits.map(async (commit) => await git(song, ['show', `${commit}:Song.als`])));
    expect({ obstacle, made }).toEqual({ obstacle, made: wanted });
    expect(await git(song, ['for-each-ref', 'refs/oxenvcs/captured'])).toBe('');
    // The next round begins with nothing left to do.
    await tryGit(song, ['add', '--all']);
    await tryGit(song, ['commit', '--quiet', '-m', 'takes']);
  }
  expect(await git(song, ['fsck', '--strict', '--no-dangling'])).toBe('');
});
