import * as fs from 'node:fs/promises';
import path from 'node:path';
import { expect, test } from 'vitest';
import { type NameEvent, oddNamesNow, watchNames } from '../../src/background/names.ts';
import { changes } from '../../src/commit/changes.ts';
import { projectWithRemote } from '../support/project.ts';
import { write } from '../support/sandbox.ts';

test('a file whose name another computer cannot hold is told at once, and once; what is not UTF-8 holds up nothing', async () => {
  const { project } = await projectWithRemote({ 'Take.wav': 'x' });
  const { root } = project;
  const told: NameEvent[] = [];
  const sift = watchNames(project, (event) => told.push(event));
  await write(root, { 'what?.wav': 'x', 'fine.wav': 'x', 'TAKE.wav': 'x' });
  // Latin-1, as an old disk may have it; a Mac takes only UTF-8.
  const latin = Buffer.concat([Buffer.from(`${root}/`), Buffer.from([0xfc]), Buffer.from('ber.wav')]);
  const takesLatin = await fs.writeFile(latin, 'x').then(
    () => true,
    () => false,
  );
  const seen = await sift(await changes(root));
  expect(seen.map(({ path }) => path).toSorted()).toEqual(['TAKE.wav', 'fine.wav', 'what?.wav']);
  const wanted = ['name-not-on-windows', 'name-twin', ...(takesLatin ? ['name-unreadable'] : [])];
  expect(told.map(({ failure }) => failure.row).toSorted()).toEqual(wanted);
  await sift(await changes(root));
  // Nor is one told that is a version already, and was only changed.
  await sift([{ path: 'aux.wav', status: 'modified', staged: false }]);
  expect(told).toHaveLength(wanted.length);
  expect(await oddNamesNow(project, 1)).toHaveLength(1);
  // `status` says so as long as it is so.
  expect((await oddNamesNow(project, 9)).map(({ row }) => row)).toEqual(expect.arrayContaining(wanted));
  await fs.rm(path.join(root, 'what?.wav'));
  expect((await oddNamesNow(project, 9)).map(({ row }) => row)).not.toContain('name-not-on-windows');
});
