import * as fs from 'node:fs/promises';
import path from 'node:path';
import { expect, test } from 'vitest';
import { exists } from '../../src/system/disk.ts';
import { takeIndexLock } from '../../src/commit/index-lock.ts';
import { noteTimes } from '../../src/commit/media-times.ts';
import { withIndex } from '../../src/project/own-index.ts';
import { statePath } from '../../src/project/project.ts';
import { setAside, writeRecord } from '../../src/project/state.ts';
import { projectWithRemote } from '../support/project.ts';

test('whatever is still written when a disk is unplugged, no folder is made in the place of the project', async () => {
  const { project } = await projectWithRemote();
  await fs.rename(project.root, `${project.root}.away`);
  const late: [string, () => Promise<unknown>][] = [
    ['a record', async () => await writeRecord(statePath(project, 'watcher.json'), { v: 1 })],
    ['an index', async () => await withIndex(project, async () => undefined)],
    ['the lock of the index', async () => await takeIndexLock(project.gitDir)],
    ['the times of media', async () => await noteTimes(project)],
    ['a damaged file', async () => await setAside(project, path.join(project.root, 'x'))],
  ];
  for (const [what, write] of late) {
    const failed = await write().then(
      () => false,
      () => true,
    );
    expect({ what, failed, exists: await exists(project.root) }).toEqual({ what, failed: true, exists: false });
  }
});
