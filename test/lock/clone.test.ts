import * as fs from 'node:fs/promises';
import path from 'node:path';
import { expect, test } from 'vitest';
import { git } from '../../src/git/run.ts';
import { loadView } from '../../src/lock/cache.ts';
import { lockContext } from '../../src/lock/context.ts';
import { acquireLock, renewLock } from '../../src/lock/lease.ts';
import { openProject } from '../../src/project/project.ts';
import { fileRemote } from '../support/remotes.ts';
import { team } from '../support/team.ts';
import { adoptFormer, cloneIdentity } from '../../src/lock/clone.ts';
import { machineId } from '../../src/system/machine.ts';
import { repository, sandbox } from '../support/sandbox.ts';

const at = (root: string) => ({ root, gitDir: path.join(root, '.git') });

async function song(): Promise<string> {
  return await repository(path.join(await sandbox(), 'song'));
}

test('a clone keeps its id, also when the folder is renamed and everything ignored is cleaned away', async () => {
  const root = await song();
  const { id, former } = await cloneIdentity(at(root));
  expect(former).toBeNull();
  await git(root, ['clean', '-fdxq']);
  const renamed = `${root} (old)`;
  await fs.rename(root, renamed);
  expect(await cloneIdentity(at(renamed))).toEqual({ id, former: null });
});

test('a duplicated project never counts as the one it was copied from', async () => {
  const root = await song();
  const { id } = await cloneIdentity(at(root));
  const copy = `${root} copy`;
  await fs.cp(root, copy, { recursive: true, preserveTimestamps: true });
  const other = await cloneIdentity(at(copy));
  expect(other.id).not.toBe(id);
  expect(other.former).toBe(id);
  expect((await cloneIdentity(at(root))).id).toBe(id);
});

test('a folder on a share is another clone on each computer that opens it, and stays that one', async () => {
  const root = await song();
  const one = await cloneIdentity(at(root), 'machine-1');
  const two = await cloneIdentity(at(root), 'machine-2');
  expect(two.id).not.toBe(one.id);
  expect((await cloneIdentity(at(root), 'machine-1')).id).toBe(one.id);
  expect((await cloneIdentity(at(root), 'machine-2')).id).toBe(two.id);
});

test('a project restored from a backup in its old place is not the clone that may hold the lock', async () => {
  const root = await song();
  const { id } = await cloneIdentity(at(root));
  const backup = `${root}.backup`;
  await fs.cp(root, backup, { recursive: true, preserveTimestamps: true });
  await fs.rm(root, { recursive: true });
  await fs.cp(backup, root, { recursive: true, preserveTimestamps: true });
  expect((await cloneIdentity(at(root))).id).not.toBe(id);
});

test('a person who says that it was moved gets the id back', async () => {
  const root = await song();
  const { id } = await cloneIdentity(at(root), 'old-machine');
  expect((await cloneIdentity(at(root), 'new-machine')).former).toBe(id);
  expect((await adoptFormer(at(root), 'new-machine')).id).toBe(id);
  expect((await cloneIdentity(at(root), 'new-machine')).id).toBe(id);
  expect((await cloneIdentity(at(root), 'old-machine')).id).not.toBe(id);
});

test('a damaged identity is set aside and a new one made', async () => {
  const root = await song();
  const { id } = await cloneIdentity(at(root));
  await fs.writeFile(path.join(root, '.git', 'oxenvcs', 'clone.json'), '{"v":1,"bindings":"\u0000');
  expect((await cloneIdentity(at(root))).id).not.toBe(id);
  expect(await fs.readdir(path.join(root, '.oxenvcs', 'damaged'))).toHaveLength(1);
});

test('the computer has a name that does not change', async () => {
  expect(await machineId()).toBe(await machineId());
  // A system whose tool is not there falls back to the host name instead of failing.
  expect(await machineId('darwin')).toMatch(/^[0-9a-f]{32}$/);
});

test('a copy, or another computer at the same share, does not take over what its twin knew by its own clocks', async () => {
  const [ann] = await team((await fileRemote()).url, ['Ann']);
  if (!ann) throw new Error('one was asked for');
  await acquireLock(ann.ctx, { how: 'save' });
  const copy = `${ann.project.root} copy`;
  await fs.cp(ann.project.root, copy, { recursive: true, preserveTimestamps: true });
  const ctx = await lockContext(await openProject(copy));
  expect((await loadView(ann.ctx)).renewed).not.toBeNull();
  expect(await loadView(ctx)).toMatchObject({
    renewed: null,
    seen: { record: { owner: { clone: ann.ctx.owner.clone } } },
  });
  expect(await acquireLock(ctx, { how: 'hand' })).toMatchObject({
    outcome: 'held',
    failure: { row: 'moved-or-copied', code: 'LOCK_HELD' },
  });
  expect((await renewLock(ctx)).outcome).toBe('not-ours');
  expect((await renewLock(ann.ctx)).outcome).toBe('done');
});
