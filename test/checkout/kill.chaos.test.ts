import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import * as fs from 'node:fs/promises';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { git, gitLine } from '../../src/git/run.ts';
import { main, oxenvcs } from '../support/cli.ts';
import { dice } from '../support/dice.ts';
import { statusLines } from '../support/project.ts';
import { fileRemote } from '../support/remotes.ts';
import { rounds } from '../support/rounds.ts';
import { sandbox, write } from '../support/sandbox.ts';

test('a pull that is killed at any moment leaves each file as it was or as it will be, and the next one ends it', async () => {
  const { roll } = dice(5);
  const remote = await fileRemote();
  const dir = await sandbox();
  const [ann, ben] = [path.join(dir, 'ann'), path.join(dir, 'ben')];
  const names = Array.from({ length: 150 }, (_, i) => `Takes ${i % 7}/Take ${i}.wav`);
  const filesOf = (round: number) => Object.fromEntries(names.map((name) => [name, `${name} of round ${round}`]));
  await write(ann, { 'Song.song': 'one', ...filesOf(-1) });
  await oxenvcs(['init', ann, '--remote', remote.url, '--no-hooks', '--daw', 'studioone'], { cwd: dir });
  await oxenvcs(['push'], { cwd: ann });
  await git(dir, ['clone', '--quiet', remote.url, ben]);
  for (let round = 0; round < rounds(20); round++) {
    // One goes, one comes, the rest changes.
    const [gone, come] = [`gone ${round - 1}.wav`, `gone ${round}.wav`];
    await fs.rm(path.join(ann, gone), { force: true });
    await write(ann, { ...filesOf(round), [come]: 'x' });
    await git(ann, ['add', '--all']);
    await git(ann, ['commit', '--quiet', '-m', `round ${round}`]);
    await git(ann, ['push', '--quiet', 'origin', 'main']);
    const child = spawn(process.execPath, [main, 'pull'], { cwd: ben, stdio: 'ignore' });
    const ended = once(child, 'exit');
    // At any time, or while the files are being moved, which takes milliseconds.
    if (round % 2 === 0) await Promise.race([ended, sleep(roll() * 900)]);
    else {
      while (child.exitCode === null && !existsSync(path.join(ben, '.git', 'oxenvcs', 'checkout.json'))) await sleep(1);
      await sleep(roll() * 40);
    }
    // Only the program: what git has started goes on, as after a crash.
    child.kill('SIGKILL');
    await ended;
    for (const name of names) {
      const text = await fs.readFile(path.join(ben, name), 'utf8');
      expect([filesOf(round - 1)[name], filesOf(round)[name]]).toContain(text);
    }
    const next = await oxenvcs(['pull'], { cwd: ben });
    expect(next.stderr).toBe('');
    expect(await gitLine(ben, ['rev-parse', 'HEAD'])).toBe(await gitLine(ann, ['rev-parse', 'HEAD']));
    expect(await statusLines(ben)).toEqual([]);
  }
});
