import { createHash } from 'node:crypto';
import * as fs from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import { git } from '../../src/git/run.ts';
import type { Project } from '../../src/project/project.ts';
import { hookStatus, installHooks, uninstallHooks } from '../../src/setup/hooks.ts';
import { run } from '../../src/system/process.ts';
import { sandbox, write } from '../support/sandbox.ts';
import { byHand, setUp, snapshot, song } from './helpers.ts';

const commit = ['commit', '--allow-empty', '-qm', 'by hand'];
const nothing = { done: [], warnings: [] };

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
    expect((await installHooks(project)).done).toEqual(['Hooks: pre-commit, post-commit']);
    expect(await byHand(project.root, commit)).toMatchObject({ code: 0, stderr: 'first \nafter\n' });
    expect(await queued(project)).toBe(1);
    const stopped = await byHand(project.root, commit, { CODE: '7' });
    expect(stopped).toMatchObject({ code: 1, stderr: 'first \n' });
    // Also where ours is told to stand aside.
    expect(await byHand(project.root, commit, { CODE: '7', OXENVCS_SKIP: '1' })).toMatchObject({ code: 1 });
  });

  it('keep their exit code', async () => {
    const { project, hooks } = await projectWith({ 'pre-commit': 'exit 7' });
    await installHooks(project);
    expect(await runHook(project, 'pre-commit')).toBe(7);
    expect(await fs.readdir(hooks)).toContain('pre-commit.before-oxenvcs');
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
    const before = await snapshot(project.gitDir);
    await installHooks(project);
    expect(await runHook(project, 'post-commit')).toBe(0);
    expect((await uninstallHooks(project)).done).toEqual(['Hooks taken out: pre-commit, post-commit']);
    expect(await snapshot(project.gitDir)).toEqual(before);
    expect(await uninstallHooks(project)).toEqual(nothing);
  });
});

describe('our hooks', () => {
  it('are installed once', async () => {
    const { project } = await projectWith();
    await installHooks(project);
    expect(await states(project)).toEqual([
      { state: 'installed', reached: true },
      { state: 'installed', reached: true },
    ]);
    const before = await snapshot(project.gitDir);
    expect(await installHooks(project)).toEqual(nothing);
    expect(await snapshot(project.gitDir)).toEqual(before);
  });

  it('of an older version are replaced and taken out; what somebody changed is left and told', async () => {
    const { project, hooks } = await projectWith();
    await installHooks(project);
    const file = path.join(hooks, 'pre-commit');
    const now = await fs.readFile(file, 'utf8');
    await fs.writeFile(file, older(now));
    expect((await states(project))[0]).toEqual({ state: 'outdated', reached: true });
    expect((await installHooks(project)).done).toEqual(['Hooks: pre-commit']);
    expect(await fs.readFile(file, 'utf8')).toBe(now);
    await fs.writeFile(file, older(now));
    await fs.appendFile(path.join(hooks, 'post-commit'), 'echo mine\n');
    expect(await states(project)).toEqual([
      { state: 'outdated', reached: true },
      { state: 'edited', reached: true },
    ]);
    const { done, warnings } = await uninstallHooks(project);
    expect({ done, warnings }).toEqual({
      done: ['Hooks taken out: pre-commit'],
      warnings: [expect.stringContaining('post-commit was changed by hand')],
    });
    expect(await fs.readFile(path.join(hooks, 'post-commit'), 'utf8')).toContain('echo mine');
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
    expect((await states(project))[1]).toEqual({ state: 'installed', reached: true });
  });

  it('are not asked for with hooks: false', async () => {
    const { project } = await projectWith();
    expect((await states(project)).map(({ state }) => state)).toEqual(['absent', 'absent']);
  });
});

describe('where Git looks for hooks elsewhere, nothing is written there', () => {
  it('a folder of the team: the line to add is told, and works', async () => {
    const { project } = await projectWith();
    const { root } = project;
    await script(path.join(root, '.husky/_/pre-commit'), '. "$(dirname "$0")/../pre-commit"');
    await script(path.join(root, '.husky/_/post-commit'), '. "$(dirname "$0")/../post-commit"');
    for (const name of ['pre-commit', 'post-commit']) await script(path.join(root, '.husky', name), 'true');
    await git(root, ['config', 'core.hooksPath', '.husky/_']);
    const before = await snapshot(path.join(root, '.husky'));
    const { warnings } = await installHooks(project);
    expect(await snapshot(path.join(root, '.husky'))).toEqual(before);
    expect(warnings).toHaveLength(2);
    expect((await states(project))[1]).toEqual({ state: 'installed', reached: false });

    for (const warning of warnings) {
      const [, file = '', line = ''] = /add this line to (.*?): (.*)$/.exec(warning) ?? [];
      expect(path.dirname(file)).toBe(path.join(root, '.husky'));
      await fs.appendFile(file, `${line}\n`);
    }
    expect(await installHooks(project)).toEqual(nothing);
    await byHand(root, commit);
    expect(await queued(project)).toBe(1);
    const lock = { heldByOther: true, name: 'Ann', host: 'x', since: '', expiresAt: '9999-12-31T23:59:59Z' };
    await write(root, { '.oxenvcs/state/lock.json': JSON.stringify(lock) });
    expect((await byHand(root, commit)).code).toBe(1);
    // Where oxenvcs is not there, the line does nothing.
    expect((await uninstallHooks(project)).warnings).toHaveLength(2);
    expect((await byHand(root, commit)).code).toBe(0);
  });

  it('a folder for all of the user’s repositories', async () => {
    const global = await sandbox();
    await git('/', ['config', '--global', 'core.hooksPath', global]);
    onTestFinished(async () => void (await git(os.homedir(), ['config', '--global', '--unset', 'core.hooksPath'])));
    const { warnings } = await setUp(await song());
    expect(warnings).toEqual([expect.stringContaining(global), expect.stringContaining(global)]);
    expect(await fs.readdir(global)).toEqual([]);
    expect(await git('/', ['config', '--global', '--get', 'core.hooksPath'])).toBe(`${global}\n`);
  });
});

it('a hooks folder that cannot be written to does not keep a song from becoming a project', async () => {
  const root = await song();
  await git(path.dirname(root), ['init', '--quiet', '-b', 'main', root]);
  await fs.rm(path.join(root, '.git/hooks'), { recursive: true });
  await fs.writeFile(path.join(root, '.git/hooks'), 'a file');
  const { commit: made, warnings } = await setUp(root);
  expect(made).not.toBeNull();
  expect(warnings).toEqual([expect.stringContaining('hooks')]);
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
