import * as fs from 'node:fs/promises';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import type { Check } from '../../src/doctor/check.ts';
import { mend } from '../../src/doctor/examine.ts';
import { fileSystemChecks } from '../../src/doctor/file-system.ts';
import { hookChecks } from '../../src/doctor/hooks.ts';
import { lfsChecks } from '../../src/doctor/lfs.ts';
import { remoteChecks } from '../../src/doctor/remote.ts';
import { stateChecks } from '../../src/doctor/state.ts';
import { watchLimit } from '../../src/doctor/watching.ts';
import { git } from '../../src/git/run.ts';
import { openProject } from '../../src/project/project.ts';
import { installHooks } from '../../src/setup/hooks.ts';
import { systemClock } from '../../src/system/clock.ts';
import { setUp, song } from '../setup/helpers.ts';
import { oxenvcs } from '../support/cli.ts';
import { fileRemote, httpRemote, serverHook } from '../support/remotes.ts';
import { write } from '../support/sandbox.ts';
import { team } from '../support/team.ts';

/** What is wrong, as `severity name`, with the message. */
const wrong = (checks: Check[]): Record<string, string> =>
  Object.fromEntries(
    checks.filter(({ ok }) => !ok).map(({ severity, name, message }) => [`${severity} ${name}`, message]),
  );

interface Document {
  ok: boolean;
  checks: { name: string; ok: boolean; message: string; hint: string | null }[];
  fixed: string[];
}

it('a project that works is told as such, also while nobody watches it; what can be mended at once is', async () => {
  const { url } = await fileRemote();
  const root = await song();
  const { project } = await setUp(root, { remote: url });
  await oxenvcs(['push'], { cwd: root });
  const first = await oxenvcs(['doctor', '--json'], { cwd: root });
  const { ok, checks } = first.json() as Document;
  expect({ ok, code: first.code, wrong: checks.filter((one) => !one.ok).map(({ name }) => name) }).toEqual({
    ok: true,
    code: 0,
    wrong: ['path', 'watcher'],
  });
  for (const one of checks) expect(one.hint === null).toBe(one.ok);

  await fs.chmod(path.join(project.gitDir, 'hooks/post-commit'), 0o644);
  await git(root, ['config', 'core.ignoreCase', 'true']);
  const bad = await oxenvcs(['doctor'], { cwd: root });
  expect(bad.code).toBe(1);
  expect(bad.stdout).toMatch(/⚠ hooks: post-commit is not reached .*\n {4}Run `oxenvcs hooks install`/);
  expect(bad.stdout).toContain('doctor --fix');
  const mended = await oxenvcs(['doctor', '--fix', '--json'], { cwd: root });
  expect(mended.json()).toMatchObject({ ok: true, fixed: ['hooks', 'names'] });
});

it('settings that do not hold are told like all else, each with its cure, and what does not hang on them is looked at', async () => {
  const root = await song();
  await setUp(root);
  await write(root, { '.oxenvcs/config.json': '{"v":1,"wacth":{}}' });
  const told = await oxenvcs(['doctor', '--json'], { cwd: root, env: { OXENVCS_WATCH_QUIT_SECONDS: '5' } });
  const { ok, checks } = told.json() as Document;
  expect({ code: told.code, ok }).toEqual({ code: 2, ok: false });
  expect(checks.filter(({ name }) => name === 'settings').map(({ message }) => message)).toEqual([
    expect.stringContaining('did you mean "watch"?'),
    expect.stringContaining('did you mean OXENVCS_WATCH_QUIET_SECONDS?'),
  ]);
  expect(checks.map(({ name }) => name)).toEqual(expect.arrayContaining(['git', 'hooks', 'disk']));
  // As one that may not be read, which holds nobody back who is root.
  const settings = path.join(root, '.oxenvcs/config.json');
  await fs.rm(settings);
  await fs.symlink(settings, settings);
  const closed = (await oxenvcs(['doctor', '--json'], { cwd: root })).json() as Document;
  expect(closed.checks).toContainEqual(
    expect.objectContaining({
      name: 'settings',
      ok: false,
      message: expect.stringContaining(`${settings}: it cannot be read`),
    }),
  );
  expect(closed.checks.map(({ name }) => name)).toEqual(expect.arrayContaining(['git', 'hooks', 'disk']));
  await fs.rm(settings);
  await write(root, { '.oxenvcs/config.json': '{"v":1}' });
  const unread = await oxenvcs(['doctor'], { cwd: root, env: { OXENVCS_LIBRARY: '5' } });
  expect(unread).toMatchObject({ code: 0, stdout: expect.stringMatching(/⚠ settings: .*OXENVCS_LIBRARY/) });
});

it('a branch that is not published is told of: its saves stay here, and all else looks well', async () => {
  const { url } = await fileRemote();
  const root = await song();
  await setUp(root, { remote: url });
  const told = async () => [
    wrong(await stateChecks(await openProject(root), systemClock)),
    ((await oxenvcs(['status', '--json'], { cwd: root })).json() as { problems: { hint: string }[] }).problems,
  ];
  expect(await told()).toEqual([{}, []]);
  for (const away of [['-b', 'idea'], ['--detach']]) {
    await git(root, ['checkout', '--quiet', ...away]);
    const message = expect.stringMatching(/^The branch main, .* is not checked out: .* stays on this computer\.$/);
    expect(await told()).toEqual([
      { 'remark git work': away.includes('idea') ? message : expect.stringContaining('no versions are made') },
      [{ code: 'USAGE', message, hint: expect.stringContaining('git switch main') }],
    ]);
  }
  // Then git would not let them go back to it.
  await git(root, ['bisect', 'start']);
  expect((await told())[1]).toEqual([]);
});

describe('the remote', () => {
  it('parts of pushes that are over are found, and removed; those of others that are under way are left alone', async () => {
    const remote = await fileRemote();
    const [ann] = await team(remote.url, ['Ann']);
    if (!ann) throw new Error('one was asked for');
    const part = (clone: string, daysAgo: number) => {
      const day = new Date(Date.now() - daysAgo * 86_400_000).toISOString().slice(0, 10).replaceAll('-', '');
      return `refs/oxenvcs/staging/${clone.slice(0, 8)}-${day}/aaaa.1.tip`;
    };
    for (const ref of [part(ann.ctx.owner.clone, 0), part('bbbbbbbb', 40), part('cccccccc', 1)])
      await git(remote.dir, ['update-ref', ref, 'refs/heads/main']);
    const checks = await remoteChecks(ann.ctx);
    expect(wrong(checks)).toEqual({ 'remark parts': expect.stringContaining('2 parts') });
    expect(await mend(checks)).toEqual(['parts']);
    expect(wrong(await remoteChecks(ann.ctx))).toEqual({});
    expect(await git(remote.dir, ['for-each-ref', '--format=%(refname)', 'refs/oxenvcs/staging'])).toBe(
      `${part('cccccccc', 1)}\n`,
    );
  });

  it('a branch that nobody may move, with what the server says', async () => {
    const remote = await fileRemote();
    const [ann] = await team(remote.url, ['Ann']);
    if (!ann) throw new Error('one was asked for');
    expect(wrong(await remoteChecks(ann.ctx))).toEqual({});
    const body =
      'while read -r old new ref; do case $ref in refs/heads/*) echo "main is protected" >&2; exit 1;; esac; done';
    await serverHook(remote, 'pre-receive', body);
    expect(wrong(await remoteChecks(ann.ctx))).toEqual({
      'problem branch': expect.stringContaining('main is protected'),
    });
  });

  it('a clock that is wrong, and credentials that only this terminal has', async () => {
    const { url, env } = await httpRemote({ auth: { user: 'ann', password: 'secret' } });
    Object.assign(process.env, env);
    const [ann] = await team(url, ['Ann']);
    if (!ann) throw new Error('one was asked for');
    expect(wrong(await remoteChecks(ann.ctx))).toEqual({
      'remark credentials': expect.stringContaining('in this terminal only'),
    });
    const ahead = { ...ann.ctx, clock: { ...systemClock, now: () => Date.now() + 600_000 } };
    expect(wrong(await remoteChecks(ahead))['problem clock']).toMatch(/is (599|600) s ahead of the remote’s/);
    const behind = { ...ann.ctx, clock: { ...systemClock, now: () => Date.now() - 600_000 } };
    expect(wrong(await remoteChecks(behind))['problem clock']).toMatch(/is (599|600|601) s behind the remote’s/);
    delete process.env['GIT_ASKPASS'];
  });
});

it('what was left behind: damage, a lock of a Git that died, a merge under way', async () => {
  const { project } = await setUp(await song());
  const { root, gitDir } = project;
  expect(wrong(await stateChecks(project, systemClock))).toEqual({});
  await write(root, { '.oxenvcs/damaged/lock.json': '{' });
  await write(gitDir, { 'index.lock': '' });
  const later = { ...systemClock, now: () => Date.now() + 3_600_000 };
  expect(wrong(await stateChecks(project, later))).toEqual({
    'remark state': expect.stringContaining('1 of oxenvcs'),
    'problem git work': expect.stringContaining('index.lock'),
  });
  await fs.rm(path.join(gitDir, 'index.lock'));
  await write(gitDir, { MERGE_HEAD: '' });
  expect(wrong(await stateChecks(project, later))).toMatchObject({
    'remark git work': expect.stringContaining('a merge'),
  });
});

it('hooks from before that cannot run, and the one of git-lfs that is missing', async () => {
  const { project } = await setUp(await song(), { hooks: false });
  const hooks = path.join(project.gitDir, 'hooks');
  await fs.writeFile(path.join(hooks, 'pre-commit'), '#!/bin/sh\r\nexit 0\r\n', { mode: 0o755 });
  await fs.writeFile(path.join(hooks, 'post-commit'), '#!/bin/sh\n', { mode: 0o644 });
  expect(wrong(await hookChecks(project))).toEqual({});
  await installHooks(project);
  await fs.appendFile(path.join(project.root, '.gitattributes'), '*.wav filter=lfs\n');
  expect(wrong(await hookChecks(project))).toEqual({
    'problem pre-commit from before': expect.stringContaining('Windows'),
    'remark post-commit from before': expect.stringContaining('run bit'),
  });
  expect(wrong(await lfsChecks(project))).toMatchObject({
    'problem git-lfs hook': expect.stringContaining('does not upload'),
  });
});

it('a full disk, and a disk that takes names otherwise than Git thinks', async () => {
  const { project } = await setUp(await song());
  expect(wrong(await fileSystemChecks(project))).toEqual({});
  const full = { ...project, config: { ...project.config, disk: { reserveBytes: Number.MAX_SAFE_INTEGER } } };
  await git(project.root, ['config', 'core.ignoreCase', 'true']);
  const checks = await fileSystemChecks(full);
  expect(wrong(checks)).toEqual({
    'problem disk': expect.stringContaining('GiB free'),
    'problem names': expect.stringContaining('another kind of disk'),
  });
  expect(await mend(checks)).toEqual(['names']);
  expect(wrong(await fileSystemChecks(project))).toEqual({});
  expect(await fs.readdir(path.join(project.root, '.oxenvcs/state'))).not.toContainEqual(
    expect.stringContaining('.tmp'),
  );
});

it('more folders than the system has watches for', () => {
  expect(watchLimit(4000, 8192).ok).toBe(true);
  expect(watchLimit(5000, 8192)).toMatchObject({ ok: false, hint: expect.stringContaining('max_user_watches=32768') });
});
