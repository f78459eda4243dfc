import { expect, it } from 'vitest';
import { setUp, song } from '../setup/helpers.ts';
import { oxenvcs } from '../support/cli.ts';
import { write } from '../support/sandbox.ts';

it('hooks are taken out and put back by command, and status tells which are there; outside of a project it says so', async () => {
  const { project } = await setUp(await song());
  const run = async (...args: string[]) => await oxenvcs(['hooks', ...args], { cwd: project.root });
  const states = async () =>
    new Set(((await run('status', '--json')).json() as { hooks: { state: string }[] }).hooks.map(({ state }) => state));
  expect(await states()).toEqual(new Set(['installed']));
  expect((await run('uninstall')).stdout).toBe('Git hooks taken out\n');
  expect(await states()).toEqual(new Set(['absent']));
  expect((await run('uninstall')).stdout).toBe('No hook of ours is there.\n');
  await write(project.gitDir, { 'hooks/pre-push': '#!/bin/sh\n' });
  expect((await run('install')).stdout).toBe('Installed: Git hooks\n');
  expect((await run('status')).stdout).toMatch(
    /^Commits and pushes by hand.*\n✓ pre-push: installed; the one from before runs first \(the lock, /s,
  );
  expect(await oxenvcs(['hooks', 'status'], { cwd: '/' })).toMatchObject({ code: 7, stdout: '' });
});
