import * as fs from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { startTidier, type TidyEvent } from '../../src/background/tidy.ts';
import { profileNamed } from '../../src/daw/match.ts';
import type { DawProfile } from '../../src/daw/profile.ts';
import { git } from '../../src/git/run.ts';
import { alone } from '../../src/project/guard.ts';
import { makeVault } from '../../src/setup/vault.ts';
import { systemClock } from '../../src/system/clock.ts';
import { isAlive } from '../../src/system/process.ts';
import { projectWithRemote } from '../support/project.ts';
import { sandbox, write } from '../support/sandbox.ts';

/** A project with a vault, both untidy, and who tidies it. */
async function untidy(daw = 'rosegarden') {
  const { project } = await projectWithRemote();
  const { root } = project;
  const vault = await makeVault(root, 'main');
  await git(root, ['remote', 'set-url', 'origin', vault]);
  await git(vault, ['config', 'receive.unpackLimit', '1000000']);
  await write(root, Object.fromEntries(Array.from({ length: 320 }, (_, n) => [`presets/${n}.fxp`, `preset ${n}`])));
  await git(root, ['add', '--all']);
  await git(root, ['commit', '--quiet', '-m', 'presets']);
  await git(root, ['push', '--quiet', 'origin', 'main']);
  const events: TidyEvent[] = [];
  const start = () => {
    const times = { quiet: 400, retry: 200, look: 50 };
    const tidier = startTidier(project, profileNamed(daw) as DawProfile, systemClock, (e) => events.push(e), times);
    onTestFinished(async () => await tidier.stop());
    return tidier;
  };
  return { project, vault, events, start };
}

async function until(what: string, holds: () => boolean | Promise<boolean>): Promise<void> {
  for (const end = Date.now() + 30_000; !(await holds()); await systemClock.sleep(20))
    if (Date.now() > end) throw new Error(`it never came to be that ${what}`);
}
const both = [
  { event: 'tidied', place: 'project' },
  { event: 'tidied', place: 'vault' },
];
const loose = async (dir: string) =>
  Number(/^count: (\d+)/m.exec(await git(dir, ['--git-dir', dir, 'count-objects', '-v']))?.[1]);

test('when all is quiet the project and its vault are tidied, and not again before there is something new', async () => {
  const { project, vault, events, start } = await untidy();
  const tidier = start();
  await until('both are tidied', () => events.length === 2);
  expect(events).toEqual(both);
  expect([await loose(project.gitDir), await loose(vault)]).toEqual([0, 0]);
  // No work tree tells there that takes are no deltas of each other.
  expect(await fs.readFile(path.join(vault, 'info/attributes'), 'utf8')).toMatch(/^\*\.\[wW\]\[aA\]\[vV\] -delta$/m);
  tidier.stored();
  await systemClock.sleep(900);
  expect(events).toHaveLength(2);
});

test('nothing is tidied while a save waits, somebody publishes, or the DAW has the session open', async () => {
  const { project, events, start } = await untidy();
  const tidier = start();
  tidier.stir(false);
  await systemClock.sleep(1200);
  expect(events).toEqual([]);
  await write(project.root, { 'Song.rg': 'x' });
  const mark = path.join(project.root, '.~lock.Song.rg#');
  await fs.writeFile(mark, `${process.pid}\nrosegarden\n${os.hostname()}\n`);
  tidier.stir(true);
  await systemClock.sleep(900);
  expect(events).toEqual([]);
  await alone(project, 'publish', 0, async () => {
    await fs.rm(mark);
    await systemClock.sleep(900);
    expect(events).toEqual([]);
  });
  await until('both are tidied', () => events.length === 2);
});

test('a save that stirs, or a push that begins, ends the tidying at once, and it begins anew when all is quiet', async () => {
  const { project, events, start } = await untidy();
  // A git whose repack takes for ever, as that of many takes does.
  const bin = await sandbox();
  const real = (await git(bin, ['--exec-path'])).trim();
  const note = path.join(bin, 'pid');
  const script = `#!/bin/sh\ncase " $* " in *" repack "*) [ -e '${bin}/quick' ] || { echo $$ >'${note}'; exec sleep 600; };; esac\nexec '${real}/git' "$@"\n`;
  await fs.writeFile(path.join(bin, 'git'), script, { mode: 0o755 });
  const before = process.env['PATH'];
  process.env['PATH'] = `${bin}:${before}`;
  onTestFinished(() => {
    process.env['PATH'] = before;
  });
  const tidier = start();
  const underWay = async () => {
    await until('it is under way', async () => (await fs.readFile(note, 'utf8').catch(() => '')).endsWith('\n'));
    const pid = Number(await fs.readFile(note, 'utf8'));
    await fs.rm(note);
    return pid;
  };
  const first = await underWay();
  tidier.stir(true);
  await until('it has ended', () => !isAlive(first));
  const second = await underWay();
  await alone(project, 'publish', 0, async () => await until('it has ended, too', () => !isAlive(second)));
  expect(events).toEqual([]);
  await fs.writeFile(path.join(bin, 'quick'), '');
  await until('both are tidied', () => events.length === 2);
  expect(events).toEqual(both);
});
