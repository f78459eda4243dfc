import * as fs from 'node:fs/promises';
import path from 'node:path';
import { expect, test } from 'vitest';
import { git } from '../../src/git/run.ts';
import { openProject } from '../../src/project/project.ts';
import { bringIn } from '../../src/sync/pull.ts';
import { exists } from '../../src/system/disk.ts';
import { band, noDaw } from '../support/band.ts';
import { statusLines } from '../support/project.ts';
import { sandbox, write } from '../support/sandbox.ts';

test('takes that a partial clone has left on the remote: offline it is said and nothing is half done; online they come at once', async () => {
  const { ann, remote } = await band('ann');
  for (const name of ['allowFilter', 'allowAnySHA1InWant'])
    await git(remote.dir, ['config', `uploadpack.${name}`, 'true']);
  const dir = await sandbox();
  const root = path.join(dir, 'ben');
  await git(dir, ['clone', '--quiet', '--filter=blob:limit=1000', remote.url, root]);
  const ben = await openProject(root);
  const takes = Object.fromEntries([1, 2, 3, 4].map((n) => [`Take ${n}.wav`, `${n}`.repeat(2000)]));
  const version = await ann.save({ 'Song.song': 'two', ...takes });
  await ann.push();
  await git(root, ['fetch', '--quiet', 'origin']);

  await fs.rename(remote.dir, `${remote.dir}.away`);
  await expect(bringIn(ben, noDaw, version)).rejects.toMatchObject({ code: 'OFFLINE', message: /not plugged in/ });
  expect(await fs.readFile(path.join(root, 'Song.song'), 'utf8')).toBe('one');
  expect(await statusLines(root)).toEqual([]);
  expect(await exists(path.join(root, '.oxenvcs/incoming'))).toBe(false);
  // Any other command of git that comes to such a take.
  await expect(git(root, ['cat-file', 'blob', `${version}:Take 1.wav`])).rejects.toMatchObject({ code: 'OFFLINE' });

  await fs.rename(`${remote.dir}.away`, remote.dir);
  await write(dir, { 'upload-pack': `#!/bin/sh\necho asked >> ${dir}/asked\nexec git upload-pack "$@"\n` });
  await fs.chmod(path.join(dir, 'upload-pack'), 0o755);
  await git(root, ['config', 'remote.origin.uploadpack', path.join(dir, 'upload-pack')]);
  expect(await bringIn(ben, noDaw, version)).toEqual({ pulled: 1, commit: version });
  expect(await fs.readFile(path.join(dir, 'asked'), 'utf8')).toBe('asked\n');
  expect(await fs.readFile(path.join(root, 'Take 4.wav'), 'utf8')).toBe(takes['Take 4.wav']);
  expect(await statusLines(root)).toEqual([]);
});
