import * as fs from 'node:fs/promises';
import path from 'node:path';
import { expect, test } from 'vitest';
import { git } from '../../src/git/run.ts';
import { background, oxenvcs } from '../support/cli.ts';
import { sandbox } from '../support/sandbox.ts';

const env = { OXENVCS_WATCH_QUIET_SECONDS: '0.4', OXENVCS_WATCH_SCAN_SECONDS: '5' };

/** As Live saves: the old set is copied to `Backup/`, the new one written beside it and moved over it. */
async function saveAsLive(song: string, bytes: Buffer, number: number): Promise<void> {
  const set = path.join(song, 'Song.als');
  await fs.mkdir(path.join(song, 'Backup'), { recursive: true });
  if (number > 1) await fs.copyFile(set, path.join(song, 'Backup', `Song [${number}].als`));
  await fs.writeFile(`${set}.tmp`, bytes);
  await fs.rename(`${set}.tmp`, set);
}

test('eleven real states of a Live set, saved as Live saves, are eleven versions, byte for byte', async () => {
  const dir = await sandbox();
  const bundle = path.resolve(import.meta.dirname, '../samples/live-10-real-saves.bundle');
  await git(dir, ['clone', '--quiet', '--bare', bundle, 'states.git']);
  const states = path.join(dir, 'states.git');
  const commits = (await git(states, ['rev-list', '--reverse', '--all', '--', 'Song.als'])).trim().split('\n');
  expect(commits).toHaveLength(11);

  const song = path.join(dir, 'My Song');
  await fs.mkdir(path.join(song, 'Ableton Project Info'), { recursive: true });
  await fs.writeFile(path.join(song, 'Ableton Project Info', 'AProject.ico'), 'icon');
  expect((await oxenvcs(['init', song, '--no-hooks'], { cwd: dir })).code).toBe(0);
  const watch = background(['watch', song, '--json-stream'], { cwd: dir, env });
  await watch.waitForLine(/"event":"watching"/);

  const wanted: string[] = [];
  for (const [i, commit] of commits.entries()) {
    const oid = (await git(states, ['rev-parse', `${commit}:Song.als`])).trim();
    const bytes = path.join(dir, 'state');
    await git(states, ['cat-file', 'blob', oid]); // it is there
    await git(dir, ['--git-dir', states, '--work-tree', dir, 'checkout', commit, '--', 'Song.als']);
    await fs.rename(path.join(dir, 'Song.als'), bytes);
    await saveAsLive(song, await fs.readFile(bytes), i + 1);
    wanted.push(oid);
    const versions = () => watch.lines.filter((line) => line.includes('"event":"version"')).length;
    for (const end = Date.now() + 20_000; versions() < i + 1 && Date.now() < end; )
      await new Promise((done) => setTimeout(done, 50));
    expect(versions()).toBe(i + 1);
  }
  expect((await watch.kill('SIGINT')).code).toBe(130);
  const log = (await git(song, ['log', '--reverse', '--format=%H %s', 'main', '--', 'Song.als'])).trim().split('\n');
  const oids = await Promise.all(
    log.map(async (line) => (await git(song, ['rev-parse', `${line.split(' ')[0]}:Song.als`])).trim()),
  );
  expect(oids).toEqual(wanted);
  for (const line of log) expect(line).toMatch(/ Song\.als saved$/);
  // The old copies in Backup/ are generated: no version holds one.
  expect(await git(song, ['log', '--format=%h', 'main', '--', 'Backup'])).toBe('');
});
