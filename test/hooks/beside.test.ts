import * as fs from 'node:fs/promises';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { git, gitLine } from '../../src/git/run.ts';
import type { Project } from '../../src/project/project.ts';
import { hookStatus, installHooks, uninstallHooks } from '../../src/setup/hooks.ts';
import { run } from '../../src/system/process.ts';
import { byHand, setUp, snapshot, song } from '../setup/helpers.ts';
import { fileRemote } from '../support/remotes.ts';
import { write } from '../support/sandbox.ts';

/** The programs themselves, as npm and apt have them (test/support/system.sh). */
const npm = path.resolve(import.meta.dirname, '../support/tools/node_modules');
const lefthook = { LEFTHOOK_BIN: path.join(npm, `lefthook-${process.platform}-${process.arch}`, 'bin/lefthook') };

const commit = ['commit', '--allow-empty', '-qm', 'by hand'];
const queued = async ({ root }: Project) =>
  (await fs.readdir(path.join(root, '.oxenvcs/queue')).catch(() => [])).length;

/** A project without our hooks yet. */
async function bare(files: Record<string, string> = {}): Promise<Project> {
  const { project } = await setUp(await song({ 'Song.als': 'one', ...files }), { hooks: false });
  return project;
}

async function tool(
  { root }: Project,
  program: string,
  args: string[],
  env: Record<string, string> = {},
): Promise<string> {
  const { exitCode, stdout, stderr } = await run(program, args, { cwd: root, env: { ...process.env, ...env } });
  if (exitCode !== 0) throw new Error(`${program} ${args.join(' ')}: ${stdout.toString('utf8')}${stderr}`);
  return stdout.toString('utf8');
}

const reached = async (project: Project) =>
  (await hookStatus(project)).hooks.filter((one) => one.reached && one.state === 'installed').map(({ name }) => name);

/** The tool's hook decides first, ours sees the commit; both in the same run. */
async function bothRun(project: Project, said: RegExp, env: Record<string, string> = {}): Promise<void> {
  const before = await queued(project);
  const save = ['commit', '-qam', 'by hand']; // lefthook does nothing for a commit without files
  await write(project.root, { 'Song.als': `${before}` });
  const good = await byHand(project.root, save, env);
  expect({ code: good.code, said: good.stdout + good.stderr }).toEqual({ code: 0, said: expect.stringMatching(said) });
  expect(await queued(project)).toBe(before + 1);
  await write(project.root, { 'Song.als': `${before} more` });
  expect((await byHand(project.root, save, { ...env, STOP: '1' })).code).toBe(1);
  expect(await queued(project)).toBe(before + 1);
}

describe('husky', () => {
  it('keeps its folder; the line that is told makes ours run as well', async () => {
    const project = await bare({ 'package.json': '{}' });
    const { root } = project;
    await tool(project, process.execPath, [path.join(npm, 'husky/bin.js')]);
    await write(root, { '.husky/pre-commit': 'echo husky ran\n[ -z "$STOP" ]\n' });
    const before = await snapshot(path.join(root, '.husky'));
    const { warnings } = await installHooks(project);
    expect(await snapshot(path.join(root, '.husky'))).toEqual(before);
    expect(await reached(project)).toEqual([]);
    const [, names = '', line = ''] = /add this line to (.*) there: (.*)$/.exec(warnings[0] ?? '') ?? [];
    for (const name of names.split(', ')) await fs.appendFile(path.join(root, '.husky', name), `${line}\n`);
    expect(await reached(project)).toHaveLength(7);
    await bothRun(project, /husky ran/);
    // A teammate without oxenvcs has that line too.
    await uninstallHooks(project);
    expect((await byHand(root, commit)).code).toBe(0);
  });
});

describe('lefthook', () => {
  const config = 'pre-commit:\n  jobs:\n    - run: echo lefthook ran; [ -z "$STOP" ]\n';

  it('that was there first is kept, and runs first', async () => {
    const project = await bare({ 'lefthook.yml': config });
    await tool(project, lefthook.LEFTHOOK_BIN, ['install']);
    const before = await snapshot(path.join(project.gitDir, 'hooks'));
    expect((await installHooks(project)).warnings).toEqual([]);
    await bothRun(project, /lefthook ran/, lefthook);
    await uninstallHooks(project);
    expect(await snapshot(path.join(project.gitDir, 'hooks'))).toEqual(before);
  });

  it('that comes later puts ours aside; the next installation brings both together', async () => {
    const project = await bare({ 'lefthook.yml': config });
    await installHooks(project);
    await tool(project, lefthook.LEFTHOOK_BIN, ['install']);
    expect(await reached(project)).not.toContain('pre-commit');
    expect((await installHooks(project)).done).toEqual(['Git hooks: pre-commit']);
    expect(await fs.readdir(path.join(project.gitDir, 'hooks'))).not.toContain('pre-commit.old');
    await bothRun(project, /lefthook ran/, lefthook);
  });
});

describe('pre-commit', () => {
  const config =
    'repos:\n- repo: local\n  hooks:\n  - id: mine\n    name: pre-commit ran\n    entry: sh -c \'[ -z "$STOP" ]\'\n    language: system\n    always_run: true\n';

  it('that was there first is kept, and runs first; one that comes later runs ours as a hook from before', async () => {
    const first = await bare({ '.pre-commit-config.yaml': config });
    await tool(first, 'pre-commit', ['install']);
    const before = await snapshot(path.join(first.gitDir, 'hooks'));
    expect((await installHooks(first)).warnings).toEqual([]);
    await bothRun(first, /pre-commit ran/);
    await uninstallHooks(first);
    expect(await snapshot(path.join(first.gitDir, 'hooks'))).toEqual(before);

    const later = await bare({ '.pre-commit-config.yaml': config });
    const own = path.join(later.gitDir, 'hooks/pre-commit');
    await fs.writeFile(own, '#!/bin/sh\necho written by hand >&2\n', { mode: 0o755 });
    await installHooks(later);
    await tool(later, 'pre-commit', ['install']);
    expect(await reached(later)).toHaveLength(7);
    expect(await installHooks(later)).toEqual({ done: [], warnings: [] });
    await bothRun(later, /written by hand[^]*pre-commit ran/);
    await uninstallHooks(later);
    // Where ours was, the one from before is again: pre-commit still runs it.
    expect(await fs.readFile(`${own}.legacy`, 'utf8')).toContain('written by hand');
    expect((await byHand(later.root, commit)).code).toBe(0);
  });
});

describe('git-lfs', () => {
  it('still gets what is pushed on its standard input, and uploads before the branch moves', async () => {
    const remote = await fileRemote();
    const project = await bare();
    const { root } = project;
    await git(root, ['remote', 'set-url', 'origin', remote.url]);
    await tool(project, 'git', ['lfs', 'install', '--local']);
    await tool(project, 'git', ['lfs', 'track', '*.wav']);
    await installHooks(project);
    await write(root, { 'Take.wav': 'RIFF and more' });
    await byHand(root, ['add', '.']);
    expect(await byHand(root, commit)).toMatchObject({ code: 0 });
    const { stderr, code } = await byHand(root, ['push', '-q', 'origin', 'main']);
    expect({ code, stderr }).toEqual({ code: 0, stderr: expect.not.stringContaining('rror') });
    const pointer = await git(root, ['show', 'HEAD:Take.wav']);
    const [, oid = ''] = /sha256:([0-9a-f]{64})/.exec(pointer) ?? [];
    const object = path.join(remote.dir, 'lfs/objects', oid.slice(0, 2), oid.slice(2, 4), oid);
    expect(await fs.readFile(object, 'utf8')).toBe('RIFF and more');
    expect(await gitLine(remote.dir, ['rev-parse', 'main'])).toBe(await gitLine(root, ['rev-parse', 'HEAD']));
    expect(await queued(project)).toBe(1);
  });
});
