import * as fs from 'node:fs/promises';
import path from 'node:path';
import { expect, onTestFinished, test, vi } from 'vitest';
import { startIndexUp } from '../../src/background/index-up.ts';
import { commitSave } from '../../src/commit/commit.ts';
import { git } from '../../src/git/run.ts';
import { projectWithRemote, saveOf, statusLines } from '../support/project.ts';
import { sandbox, write } from '../support/sandbox.ts';
import { virtualClock } from '../support/virtual-clock.ts';

test('what was saved while somebody held index.lock is not undone by the user’s next commit, though nothing more is saved', async () => {
  const { project } = await projectWithRemote();
  const { root, gitDir } = project;
  let still = false;
  const clock = virtualClock(undefined, () => still);
  const index = startIndexUp(project, clock, ({ failure }) => expect.unreachable(failure.message));
  onTestFinished(async () => await index.stop());
  const lock = path.join(gitDir, 'index.lock');
  await fs.writeFile(lock, '');
  for (const text of ['two', 'three']) {
    await write(root, { 'Song.als': text });
    const save = await saveOf(project, { sessions: ['Song.als'] });
    await index.making(async () => await commitSave(project, save));
  }
  expect(await statusLines(root)).toEqual(['MM Song.als']);
  while (clock.waits.length < 8) await new Promise((done) => setTimeout(done, 5));
  expect(clock.waits.slice(0, 6)).toEqual([1000, 2000, 4000, 8000, 16_000, 30_000]);
  await fs.rm(lock);
  while ((await statusLines(root)).length > 0) await new Promise((done) => setTimeout(done, 10));
  await git(root, ['commit', '--quiet', '--allow-empty', '-m', 'by hand']);
  expect(await git(root, ['show', 'HEAD:Song.als'])).toBe('three');
  // The next time it is the same, from the start.
  const before = clock.waits.length;
  await fs.writeFile(lock, '');
  await write(root, { 'Song.als': 'four' });
  const next = await saveOf(project, { sessions: ['Song.als'] });
  await index.making(async () => await commitSave(project, next));
  while (clock.waits.length < before + 2) await new Promise((done) => setTimeout(done, 5));
  expect(clock.waits.slice(before, before + 2)).toEqual([1000, 2000]);
  await fs.rm(lock);
  while ((await statusLines(root)).length > 0) await new Promise((done) => setTimeout(done, 10));
  // That the lock is gone is heard before that time is over; git's next command is let through first.
  await fs.writeFile(lock, '');
  await write(root, { 'Song.als': 'quick' });
  const quick = await saveOf(project, { sessions: ['Song.als'] });
  still = true;
  const sleep = vi.spyOn(clock, 'sleep');
  await index.making(async () => await commitSave(project, quick));
  while (sleep.mock.calls.length < 1) await new Promise((done) => setTimeout(done, 5));
  await fs.rm(lock);
  while (sleep.mock.calls.length < 2) await new Promise((done) => setTimeout(done, 5));
  expect(await statusLines(root)).toEqual(['MM Song.als']);
  still = false;
  while ((await statusLines(root)).length > 0) await new Promise((done) => setTimeout(done, 10));
  // At the end it is not waited for.
  await fs.writeFile(lock, '');
  await write(root, { 'Song.als': 'five' });
  const last = await saveOf(project, { sessions: ['Song.als'] });
  await index.making(async () => await commitSave(project, last));
  await index.stop();
});

test('a git that is killed while the index follows leaves it behind for a moment only, and that is told', async () => {
  const { project } = await projectWithRemote();
  const { root, gitDir } = project;
  const dir = await sandbox();
  const [before = '', next] = [process.env['PATH'], path.join(dir, 'next')];
  const kill = `[ -f '${next}' ] && case "$*" in *"$(cat '${next}')"*) rm '${next}'; kill -9 $$ ;; esac`;
  await write(dir, { git: `#!/bin/sh\n${kill}\nPATH='${before}' exec git "$@"\n` });
  await fs.chmod(path.join(dir, 'git'), 0o755);
  const told: string[] = [];
  const index = startIndexUp(project, virtualClock(), ({ failure }) => told.push(failure.row));
  onTestFinished(async () => {
    process.env['PATH'] = before;
    await index.stop();
  });
  process.env['PATH'] = `${dir}:${before}`;
  for (const [n, command] of ['merge-base', 'cat-file -e', 'ls-files', 'update-index -z'].entries()) {
    const lock = path.join(gitDir, 'index.lock');
    await fs.writeFile(lock, '');
    await write(root, { 'Song.als': command });
    const save = await saveOf(project, { sessions: ['Song.als'] });
    await index.making(async () => await commitSave(project, save));
    await fs.writeFile(next, command);
    await fs.rm(lock);
    await vi.waitFor(() => expect({ command, told: told.length }).toEqual({ command, told: n + 1 }), 10_000);
    await vi.waitFor(async () => expect(await statusLines(root)).toEqual([]), 10_000);
  }
});
