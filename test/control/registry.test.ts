import * as fs from 'node:fs/promises';
import path from 'node:path';
import { expect, test } from 'vitest';
import { isRegistered, register, registered, registryFolder, unregister } from '../../src/control/registry.ts';
import { dataFolder } from '../../src/system/places.ts';
import { sandbox, write } from '../support/sandbox.ts';

async function emptyRegistry(): Promise<void> {
  process.env['XDG_DATA_HOME'] = await sandbox();
  // Nobody is registered where nothing is.
  await unregister('/a');
}

test('names of every kind are registered once, found again, and taken out', async () => {
  await emptyRegistry();
  const roots = [
    '/a/My Söng 🎸',
    '/a/With\nnewline',
    '/b/NFD o\u0308',
    `/c/${'x'.repeat(250)}`,
    '/d/100% *?"<>|',
    '/e/broken \ud800',
  ];
  await Promise.all([...roots, ...roots].map(async (root) => await register(root)));
  expect(await registered()).toEqual({ roots: roots.toSorted(), clones: new Map(), damaged: [] });
  for (const name of await fs.readdir(registryFolder())) expect(Buffer.byteLength(name)).toBeLessThan(255);
  await Promise.all(roots.slice(1).map(unregister));
  await unregister('/never/registered');
  expect([await isRegistered('/a/My Söng 🎸'), await isRegistered('/never/registered')]).toEqual([true, false]);
  expect((await registered()).roots).toEqual(['/a/My Söng 🎸']);
});

test('a damaged entry is made anew from its name; one that tells nothing is set aside and named', async () => {
  await emptyRegistry();
  await register('/a/My Song');
  const [name = ''] = await fs.readdir(registryFolder());
  await write(registryFolder(), {
    [name]: '{"v":1,"ro',
    'feedbeef.json': 'not JSON',
    'relative.json': '{"v":1,"root":"My Song","at":""}',
    '.half-written.tmp': '{',
    'folder.json/in it': '',
    '%2Fa%2FOther.json/in it': '',
  });
  // As one that is taken out between the listing and the look.
  await fs.symlink('/nowhere', path.join(registryFolder(), '%2Fa%2FGone.json'));
  const read = await registered();
  expect(read.roots).toEqual(['/a/My Song', '/a/Other']);
  expect(read.damaged.map((file) => path.dirname(file))).toEqual(Array(3).fill(path.join(dataFolder(), 'damaged')));
  expect(JSON.parse(await fs.readFile(path.join(registryFolder(), name), 'utf8'))).toMatchObject({
    root: '/a/My Song',
  });
  expect(await registered()).toEqual({ roots: ['/a/My Song', '/a/Other'], clones: new Map(), damaged: [] });
  await register('/a/My Song', 'a clone');
  await register('/a/My Song');
  expect((await registered()).clones).toEqual(new Map([['/a/My Song', 'a clone']]));
});

test('an entry of a newer oxenvcs is watched as far as it is known, and stays as it is', async () => {
  await emptyRegistry();
  const [long, text] = [`/c/${'x'.repeat(250)}`, '"at":"","clone":"a clone","more":1}'];
  for (const root of ['/a/My Song', long]) {
    await register(root);
    const names = await fs.readdir(registryFolder());
    const name = names.find((one) => one.startsWith('%2Fa') === (root !== long)) ?? '';
    await write(registryFolder(), { [name]: `{"v":2,"root":"${root}",${text}` });
  }
  const clones = new Map(['/a/My Song', long].map((root) => [root, 'a clone']));
  expect(await registered()).toEqual({ roots: ['/a/My Song', long], clones, damaged: [] });
  await register('/a/My Song');
  for (const name of await fs.readdir(registryFolder()))
    expect(await fs.readFile(path.join(registryFolder(), name), 'utf8')).toContain('"more":1');
});
