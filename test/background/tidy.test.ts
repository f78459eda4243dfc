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
import { type Clock, systemClock } from '../../src/system/clock.ts';
import { isAlive } from '../../src/system/process.ts';
import { projectWithRemote } from '../support/project.ts';
import { sandbox, write } from '../support/sandbox.ts';
import { virtualClock } from '../support/virtual-clock.ts';

const minute = 60_000;
const day = 86_400_000;

/** A project with a vault, both untidy, and who tidies it on a clock of our own, which stands still while he is at work. */
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
  let isAtWork = true;
  const virtual = virtualClock(undefined, () => isAtWork);
  const sleep: Clock['sleep'] = async (ms, signal) => {
    // Between two looks at what may get in the way of the work.
    if (ms === 1000) return await systemClock.sleep(20, signal);
    isAtWork = false;
    await virtual.sleep(ms, signal).finally(() => (isAtWork = true));
  };
  const start = (restedMs?: number, reserveBytes = 0) => {
    const config = { ...project.config, disk: { reserveBytes } };
    const profile = profileNamed(daw) as DawProfile;
    const tell = (event: TidyEvent) => void events.push(event);
    const tidier = startTidier({ ...project, config }, profile, { ...virtual, sleep }, tell, restedMs);
    onTestFinished(async () => await tidier.stop());
    return tidier;
  };
  /** Real time, for what git does. */
  const until = async (what: string, holds: () => boolean | Promise<boolean>): Promise<void> => {
    for (const end = Date.now() + 30_000; !(await holds()); await systemClock.sleep(20))
      if (Date.now() > end) throw new Error(`it never came to be that ${what}; told: ${JSON.stringify(events)}`);
  };
  return { project, vault, events, start, clock: virtual, until };
}

const both = [
  { event: 'tidied', place: 'project' },
  { event: 'tidied', place: 'vault' },
];
const loose = async (dir: string) =>
  Number(/^count: (\d+)/m.exec(await git(dir, ['--git-dir', dir, 'count-objects', '-v']))?.[1]);

test('when all is quiet the project and its vault are tidied, and not again before there is something new', async () => {
  const { project, vault, events, start, clock, until } = await untidy();
  const tidier = start();
  await clock.sleep(5 * minute);
  tidier.stir(true);
  await until('both are tidied', () => events.length === 2);
  expect([events, clock.monotonic()]).toEqual([both, 15 * minute]);
  expect([await loose(project.gitDir), await loose(vault)]).toEqual([0, 0]);
  // No work tree tells there that takes are no deltas of each other.
  expect(await fs.readFile(path.join(vault, 'info/attributes'), 'utf8')).toMatch(/^\*\.\[wW\]\[aA\]\[vV\] -delta$/m);
  tidier.stored();
  await clock.sleep(day);
  // It has looked once whether there is enough to tidy.
  expect(clock.waits.filter((ms) => ms !== day)).toEqual([5 * minute, 10 * minute, 5 * minute]);
  expect(events).toHaveLength(2);
});

test('where nobody has worked for a day nothing is tidied before there is a new version', async () => {
  const { events, start, clock, until } = await untidy();
  const tidier = start(day);
  tidier.stir(true);
  await clock.sleep(day);
  expect([clock.waits, events]).toEqual([[day], []]);
  tidier.stored();
  await until('both are tidied', () => events.length === 2);
  await tidier.stop();
  events.length = 0;
  start(day - 1);
  await clock.sleep(11 * minute);
  expect(clock.waits).toContain(10 * minute);
});

test('nothing is tidied while a save waits, somebody publishes, the disk is low, or the DAW has the session open', async () => {
  const { project, events, start, clock, until } = await untidy();
  const low = start(0, Number.MAX_SAFE_INTEGER);
  await clock.sleep(60 * minute);
  await low.stop();
  const tidier = start();
  tidier.stir(false);
  await clock.sleep(60 * minute);
  expect(events).toEqual([]);
  await write(project.root, { 'Song.rg': 'x' });
  const mark = path.join(project.root, '.~lock.Song.rg#');
  await fs.writeFile(mark, `${process.pid}\nrosegarden\n${os.hostname()}\n`);
  tidier.stir(true);
  await clock.sleep(60 * minute);
  expect(events).toEqual([]);
  await alone(project, 'publish', 0, async () => {
    await fs.rm(mark);
    await clock.sleep(60 * minute);
    expect(events).toEqual([]);
  });
  const at = clock.monotonic();
  await until('both are tidied', () => events.length === 2);
  expect(clock.monotonic() - at).toBeLessThanOrEqual(5 * minute);
});

/** A git whose repack takes for ever, as that of many takes does, until there is `quick`; its number is in `note`. */
async function slowRepack(): Promise<{ note: string; quick: string }> {
  const bin = await sandbox();
  const real = (await git(bin, ['--exec-path'])).trim();
  const [note, quick] = [path.join(bin, 'pid'), path.join(bin, 'quick')];
  const script = `#!/bin/sh\ncase " $* " in *" repack "*) [ -e '${quick}' ] || { echo $$ >'${note}'; exec sleep 600; };; esac\nexec '${real}/git' "$@"\n`;
  await fs.writeFile(path.join(bin, 'git'), script, { mode: 0o755 });
  const before = process.env['PATH'];
  process.env['PATH'] = `${bin}:${before}`;
  onTestFinished(() => {
    process.env['PATH'] = before;
  });
  return { note, quick };
}

test('a save that stirs, or a push that begins, ends the tidying at once, and it begins anew when all is quiet', async () => {
  const { project, events, start, clock, until } = await untidy();
  const { note, quick } = await slowRepack();
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
  expect(clock.monotonic()).toBe(20 * minute);
  await alone(project, 'publish', 0, async () => await until('it has ended, too', () => !isAlive(second)));
  expect(events).toEqual([]);
  await fs.writeFile(quick, '');
  await until('both are tidied', () => events.length === 2);
  expect(events).toEqual(both);
  expect(clock.monotonic()).toBeGreaterThanOrEqual(25 * minute);
});

test('a project that is unplugged while it is tidied ends that, and is told once', async () => {
  const { project, events, start, clock, until } = await untidy();
  const { note } = await slowRepack();
  const tidier = start();
  await until('it is under way', async () => (await fs.readFile(note, 'utf8').catch(() => '')).endsWith('\n'));
  await fs.rename(project.root, `${project.root} is away`);
  const pid = Number(await fs.readFile(note, 'utf8'));
  await until('it has ended', () => !isAlive(pid));
  await clock.sleep(day);
  expect(events).toMatchObject([{ event: 'trouble' }]);
  await tidier.stop();
});
