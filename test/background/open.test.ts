import { spawn } from 'node:child_process';
import { once } from 'node:events';
import * as fs from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { isOpenHere } from '../../src/background/open.ts';
import type { DawProfile } from '../../src/daw/profile.ts';
import { sandbox, write } from '../support/sandbox.ts';

const daw: DawProfile = {
  name: 'open',
  title: 'Open',
  sessions: ['.song'],
  generated: ['Backups/'],
  programs: ['oxenvcs open'],
  openMark: '.~lock.NAME#',
};

/** As Qt's programs write it while they run. */
const ours = `${process.pid}\nopen\n${os.hostname()}\n`;
const without: DawProfile = { ...daw, openMark: undefined as never };

/** First: which programs run is looked at once a second. */
test.runIf(process.platform === 'linux')(
  'a program of the DAW that has something of the project open, whatever its lock file says',
  async () => {
    const dir = await sandbox();
    const roots = ['Song', 'Song 2'].map((name) => path.join(dir, name));
    for (const root of roots) await write(root, { 'Take.wav': 'x' });
    const program = path.join(dir, 'oxenvcs open 7');
    await fs.copyFile('/bin/sleep', program);
    await fs.chmod(program, 0o755);
    const take = await fs.open(path.join(roots[1] ?? '', 'Take.wav'));
    const running = spawn(program, ['60'], { stdio: ['ignore', take.fd, 'ignore'] });
    onTestFinished(() => void running.kill('SIGKILL'));
    await once(running, 'spawn');
    await take.close();
    expect(await Promise.all(roots.map(async (root) => await isOpenHere(root, without)))).toEqual([false, true]);
  },
);

test.each<[string, string, string | null, boolean]>([
  ['a session', '.~lock.Song.song#', ours, true],
  ['a session one folder below', 'Mix/.~lock.Song.song#', ours, true],
  ['what has been closed meanwhile', '.~lock.Song.song#', '1\nopen\nelsewhere\n', false],
  ['something else that lies there', '.~lock.Notes.odt#', ours, false],
  ['a backup', 'Backups/.~lock.Song.song#', ours, false],
  ['what lies deeper than sessions do', 'Mix/Old/.~lock.Song.song#', ours, false],
  ['what is none of the project', '.git/.~lock.Song.song#', ours, false],
  ['nothing', '.~lock.#', ours, false],
  ['one of another name', '.~lock.Song.song', ours, false],
  ['one that may not be read', '.~lock.Song.song#', '.~lock.Song.song#', true],
  ['one that is gone before it is read', '.~lock.Song.song#', '/nowhere', false],
])('a lock file about %s: %s', async (_, name, text, isOpen) => {
  const root = await sandbox();
  await write(root, { 'Song.song': 'x', 'Mix/Song.song': 'x' });
  // No rights hold root back; what a link leads to does.
  if (text?.includes('\n')) await write(root, { [name]: text });
  else await fs.symlink(text ?? '', path.join(root, name));
  expect([await isOpenHere(root, daw), await isOpenHere(root, without)]).toEqual([isOpen, false]);
});
