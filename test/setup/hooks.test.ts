import { createHash } from 'node:crypto';
import * as fs from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import { commitSave } from '../../src/commit/commit.ts';
import { git } from '../../src/git/run.ts';
import type { Project } from '../../src/project/project.ts';
import { addHookConfig, hookConfig, knowsHookConfig, removeHookConfig } from '../../src/setup/hook-config.ts';
import { hookStatus, installHooks, uninstallHooks } from '../../src/setup/hooks.ts';
import { run } from '../../src/system/process.ts';
import { saveOf } from '../support/project.ts';
import { repository, sandbox, write } from '../support/sandbox.ts';
import { byHand, setUp, snapshot, song } from './helpers.ts';

const commit = ['commit', '--allow-empty', '-qm', 'by hand'];
const nothing = { done: [], warnings: [] };
const all = 'pre-commit, prepare-commit-msg, post-commit, pre-push, post-checkout, post-merge, post-rewrite';

/** A project without hooks of ours, and with these of others. */
async function projectWith(hooks: Record<string, string> = {}): Promise<{ project: Project; hooks: string }> {
  const { project } = await setUp(await song(), { hooks: false });
  const folder = path.join(project.gitDir, 'hooks');
  for (const [name, body] of Object.entries(hooks)) await script(path.join(folder, name), body);
  return { project, hooks: folder };
}

async function script(file: string, body: string): Promise<void> {
  await fs.mkdir(path.dirname(file), { recursive: true });
  await fs.writeFile(file, `#!/bin/sh\n${body}\n`, { mode: 0o755 });
}

const states = async (project: Project) =>
  (await hookStatus(project)).hooks.map(({ state, reached }) => ({ state, reached }));
const queued = async ({ root }: Project) =>
  (await fs.readdir(path.join(root, '.oxenvcs/queue')).catch(() => [])).length;

describe('hooks that were there before', () => {
  it('run first, and still decide', async () => {
    const { project } = await projectWith({
      'pre-commit': 'echo "first $OXENVCS_SKIP" >&2; exit "${CODE:-0}"',
      'post-commit': 'echo after >&2; exit 3',
    });
    expect((await installHooks(project)).done).toEqual(['Git hooks']);
    expect(await byHand(project.root, commit)).toMatchObject({ code: 0, stderr: 'first \nafter\n' });
    expect(await queued(project)).toBe(1);
    const stopped = await byHand(project.root, commit, { CODE: '7' });
    expect(stopped).toMatchObject({ code: 1, stderr: 'first \n' });
    // Also where ours is told to stand aside, and where another program has renamed it.
    expect(await byHand(project.root, commit, { CODE: '7', OXENVCS_SKIP: '1' })).toMatchObject({ code: 1 });
  });

  it('keep their exit code', async () => {
    const { project, hooks } = await projectWith({ 'pre-commit': 'exit 7' });
    await installHooks(project);
    expect(await runHook(project, 'pre-commit')).toBe(7);
    expect(await fs.readdir(hooks)).toContain('pre-commit.before-oxenvcs');
  });

  it('get the standard input that git gives them, byte for byte, beside ours', async () => {
    const { project, hooks } = await projectWith({ 'pre-push': 'cat >seen; exit 3', 'post-rewrite': 'cat >>seen' });
    await installHooks(project);
    const lines = Array.from(
      { length: 3000 },
      (_, n) => `refs/heads/a\\b$(x) ${'1'.repeat(40)} refs/heads/${n} ${'0'.repeat(40)}\n`,
    );
    for (const input of [lines.join(''), '']) {
      const call = { cwd: project.root, env: process.env, input };
      expect((await run(path.join(hooks, 'pre-push'), ['origin', 'url'], call)).exitCode).toBe(3);
      expect(await fs.readFile(path.join(project.root, 'seen'), 'utf8')).toBe(input);
    }
  });

  it('may flood or not read at all what they are given; one that hangs hangs no command of ours', async () => {
    const { project } = await projectWith({
      'pre-commit': 'i=0; while [ $i -lt 20000 ]; do echo "a line of many that nobody reads"; i=$((i+1)); done',
      'pre-push': 'exit 0',
      'post-index-change': 'sleep 300',
      'reference-transaction': 'sleep 300',
    });
    await installHooks(project);
    await write(project.root, { 'Song.als': 'two' });
    expect((await commitSave(project, await saveOf(project, { sessions: ['Song.als'] }))).outcome).toBe('committed');
    await fs.rm(path.join(project.gitDir, 'hooks/post-index-change'));
    await fs.rm(path.join(project.gitDir, 'hooks/reference-transaction'));
    const { code, stderr } = await byHand(project.root, commit);
    expect({ code, lines: stderr.split('\n').length }).toEqual({ code: 0, lines: 20_001 });
    expect((await byHand(project.root, ['push', '-q', 'origin', 'main'])).code).toBe(0);
  });

  it('that Git would not have run are not run by us', async () => {
    const { project, hooks } = await projectWith({ 'pre-commit': 'exit 1' });
    await fs.chmod(path.join(hooks, 'pre-commit'), 0o644);
    await installHooks(project);
    expect((await byHand(project.root, commit)).code).toBe(0);
  });

  it('come back byte for byte, links and rights too', async () => {
    const { project, hooks } = await projectWith({ 'pre-commit': 'exit 0', 'shared.sh': 'exit 0' });
    await fs.symlink('shared.sh', path.join(hooks, 'post-commit'));
    await fs.chmod(path.join(hooks, 'pre-commit'), 0o700);
    const before = await snapshot(hooks);
    await installHooks(project);
    expect(await runHook(project, 'post-commit')).toBe(0);
    expect((await uninstallHooks(project)).done).toEqual(['Git hooks taken out']);
    expect(await snapshot(hooks)).toEqual(before);
    expect(await uninstallHooks(project)).toEqual(nothing);
  });
});

describe('our hooks', () => {
  it('are installed once', async () => {
    const { project } = await projectWith();
    await installHooks(project);
    expect(new Set((await states(project)).map((one) => JSON.stringify(one)))).toEqual(
      new Set([JSON.stringify({ state: 'installed', reached: true })]),
    );
    const before = await snapshot(project.gitDir);
    expect(await installHooks(project)).toEqual(nothing);
    expect(await snapshot(project.gitDir)).toEqual(before);
  });

  it('are mended: without their run bit, with Windows line ends, without what they share', async () => {
    const { project, hooks } = await projectWith({ 'post-commit': 'echo before' });
    await installHooks(project);
    const before = await snapshot(hooks);
    await fs.chmod(path.join(hooks, 'pre-commit'), 0o644);
    const text = await fs.readFile(path.join(hooks, 'pre-push'), 'utf8');
    await fs.writeFile(path.join(hooks, 'pre-push'), text.replaceAll('\n', '\r\n'));
    await fs.rm(path.join(hooks, 'oxenvcs.sh'));
    // Until then what was here before still runs, and nothing is in the way.
    expect(await byHand(project.root, commit)).toMatchObject({ code: 0, stderr: expect.stringMatching(/before\n$/) });
    const [first, , , push] = await states(project);
    expect([first, push]).toEqual([
      { state: 'outdated', reached: false },
      { state: 'outdated', reached: true },
    ]);
    await installHooks(project);
    expect(await snapshot(hooks)).toEqual(before);
  });

  it('are told of in the configuration of a Git that knows that: the entries, and from which version on', async () => {
    expect(['2.39.5', '2.53.1', '2.54.0', '3.0'].map(knowsHookConfig)).toEqual([false, false, true, true]);
    expect(hookConfig('C:\\My Songs\\.git\\oxenvcs\\hooks', 'win32').slice(0, 2)).toEqual([
      ['hook.oxenvcs-pre-commit.command', "'C:/My Songs/.git/oxenvcs/hooks/pre-commit'"],
      ['hook.oxenvcs-pre-commit.event', 'pre-commit'],
    ]);
    const { project } = await projectWith();
    const before = await fs.readFile(path.join(project.gitDir, 'config'), 'utf8');
    expect(await addHookConfig(project.root, "/Ann's hooks")).toBe(true);
    expect(await addHookConfig(project.root, "/Ann's hooks")).toBe(false);
    const { stdout } = await byHand(project.root, ['config', '--get-all', 'hook.oxenvcs-pre-push.command']);
    expect(stdout).toBe(`'/Ann'\\''s hooks/pre-push'\n`);
    expect(await removeHookConfig(project.root)).toBe(true);
    expect(await fs.readFile(path.join(project.gitDir, 'config'), 'utf8')).toBe(before);
  });

  it('of an older version are replaced and taken out; what somebody changed is left and told', async () => {
    const { project, hooks } = await projectWith();
    await installHooks(project);
    const file = path.join(hooks, 'pre-commit');
    const now = await fs.readFile(file, 'utf8');
    await fs.writeFile(file, older(now));
    expect((await states(project))[0]).toEqual({ state: 'outdated', reached: true });
    expect((await installHooks(project)).done).toEqual(['Git hooks: pre-commit']);
    expect(await fs.readFile(file, 'utf8')).toBe(now);
    await fs.writeFile(file, older(now));
    await fs.appendFile(path.join(hooks, 'post-commit'), 'echo mine\n');
    const [first, , third] = await states(project);
    expect([first, third]).toEqual([
      { state: 'outdated', reached: true },
      { state: 'edited', reached: true },
    ]);
    const { done, warnings } = await uninstallHooks(project);
    expect({ done, warnings }).toEqual({
      done: [`Git hooks taken out: ${all.replace(' post-commit,', '')}`],
      warnings: [expect.stringContaining('post-commit was changed by hand')],
    });
    expect(await fs.readFile(path.join(hooks, 'post-commit'), 'utf8')).toContain('echo mine');
    // It still works: what it shares with the others is left, too.
    expect(await byHand(project.root, commit)).toMatchObject({ code: 0, stdout: '' });
    expect(await queued(project)).toBe(1);
  });

  it('that another program replaced do not push out what was kept', async () => {
    const { project, hooks } = await projectWith({ 'pre-commit': 'echo one' });
    await installHooks(project);
    await script(path.join(hooks, 'pre-commit'), 'echo two');
    expect((await installHooks(project)).warnings).toEqual([expect.stringContaining('replaced by another program')]);
    expect(await fs.readFile(path.join(hooks, 'pre-commit'), 'utf8')).toContain('two');
    expect(await fs.readFile(path.join(hooks, 'pre-commit.before-oxenvcs'), 'utf8')).toContain('one');
    expect((await states(project))[0]).toEqual({ state: 'foreign', reached: false });
  });

  it('serve a linked worktree and a submodule', async () => {
    const { project } = await projectWith();
    const other = path.join(path.dirname(project.root), 'other');
    await git(project.root, ['worktree', 'add', '--quiet', '-b', 'other', other]);
    const { project: linked } = await setUp(other, { branch: 'other' });
    await byHand(other, commit);
    expect(await queued(linked)).toBe(1);
    expect(await queued(project)).toBe(0);
    expect((await states(project))[2]).toEqual({ state: 'installed', reached: true });

    const outer = await repository(path.join(await sandbox(), 'outer'));
    await git(outer, ['-c', 'protocol.file.allow=always', 'submodule', '--quiet', 'add', project.root, 'song']);
    const { project: inner } = await setUp(path.join(outer, 'song'));
    expect(await byHand(inner.root, commit)).toMatchObject({ code: 0 });
    expect(await queued(inner)).toBe(1);
    expect(await byHand(outer, commit)).toMatchObject({ code: 0, stderr: '' });
  });

  it('are not asked for with hooks: false', async () => {
    const { project } = await projectWith();
    expect(new Set((await states(project)).map(({ state }) => state))).toEqual(new Set(['absent']));
  });
});

describe('where Git looks for hooks elsewhere, nothing is written there', () => {
  it('a folder for all of the user’s repositories: the line to add is told, once, and works', async () => {
    const global = await sandbox();
    await git('/', ['config', '--global', 'core.hooksPath', global]);
    onTestFinished(async () => void (await git(os.homedir(), ['config', '--global', '--unset', 'core.hooksPath'])));
    const { project, warnings } = await setUp(await song());
    expect(warnings).toEqual([expect.stringContaining(`add this line to ${all} there: `)]);
    expect(await fs.readdir(global)).toEqual([]);
    expect(await git('/', ['config', '--global', '--get', 'core.hooksPath'])).toBe(`${global}\n`);
    expect((await states(project))[0]).toEqual({ state: 'installed', reached: false });
    const line = warnings[0]?.split(' there: ')[1] ?? '';
    for (const name of all.split(', ')) await script(path.join(global, name), line);
    expect(await installHooks(project)).toEqual(nothing);
    await byHand(project.root, commit);
    expect(await queued(project)).toBe(1);
    // In a repository that is no project, and after oxenvcs has left, the line does nothing.
    const other = await repository(path.join(await sandbox(), 'other'));
    expect(await byHand(other, commit)).toMatchObject({ code: 0, stderr: '' });
    expect((await uninstallHooks(project)).warnings).toEqual([expect.stringContaining('it does nothing now')]);
    expect(await byHand(project.root, commit)).toMatchObject({ code: 0, stderr: '' });
  });

  it('a folder that is not there, a link into the work tree', async () => {
    const { project, hooks } = await projectWith();
    await git(project.root, ['config', 'core.hooksPath', 'no/such folder']);
    const missing = path.join(project.root, 'no/such folder');
    expect((await installHooks(project)).warnings).toEqual([expect.stringContaining(`${missing}, which is not there`)]);
    await git(project.root, ['config', '--unset', 'core.hooksPath']);
    await fs.rm(hooks, { recursive: true });
    await write(project.root, { 'tools/hooks/readme': 'of the team' });
    await fs.symlink('../tools/hooks', hooks);
    expect((await installHooks(project)).warnings).toEqual([expect.stringContaining('add this line')]);
    expect(await fs.readdir(path.join(project.root, 'tools/hooks'))).toEqual(['readme']);
  });
});

it('a hooks folder that cannot be written to does not keep a song from becoming a project', async () => {
  const root = await song();
  await git(path.dirname(root), ['init', '--quiet', '-b', 'main', root]);
  await fs.rm(path.join(root, '.git/hooks'), { recursive: true });
  await fs.writeFile(path.join(root, '.git/hooks'), 'a file');
  const { commit: made, warnings } = await setUp(root);
  expect(made).not.toBeNull();
  expect(warnings).toEqual([expect.stringContaining('is a file, where hooks would lie')]);
});

it('nothing is installed where our name is taken', async () => {
  const { project, hooks } = await projectWith({ 'oxenvcs.sh': 'echo theirs' });
  const before = await snapshot(hooks);
  expect(await installHooks(project)).toEqual({ done: [], warnings: [expect.stringContaining('is not from oxenvcs')] });
  expect(await snapshot(hooks)).toEqual(before);
});

/** The exit code of a hook, which `git commit` does not show. */
async function runHook({ root, gitDir }: Project, name: string): Promise<number | null> {
  return (await run(path.join(gitDir, 'hooks', name), [], { cwd: root, env: process.env })).exitCode;
}

/** The same hook as an older version would have installed it: another text, and the seal that belongs to it. */
function older(now: string): string {
  const text = now.slice(0, now.lastIndexOf('# oxenvcs sha256')).replace('exit 0', 'exit 0 # older');
  return `${text}# oxenvcs sha256 ${createHash('sha256').update(text).digest('hex')}\n`;
}
