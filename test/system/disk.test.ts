import * as fs from 'node:fs/promises';
import path from 'node:path';
import { expect, test } from 'vitest';
import * as v from 'valibot';
import { readRecord } from '../../src/project/state.ts';
import { exists, readText, removeDurable, writeDurable } from '../../src/system/disk.ts';
import { sandbox } from '../support/sandbox.ts';

test('a reader sees the old text or the new one whole, and no temporary file is left', async () => {
  const dir = await sandbox();
  const file = path.join(dir, 'deep', 'er', 'state.json');
  const texts = ['a', 'b'].map((letter) => letter.repeat(200_000));
  let writing = true;
  const writes = (async () => {
    for (let i = 0; i < 40; i++) await writeDurable(file, texts[i % 2] ?? '');
    writing = false;
  })();
  while (writing) {
    const text = await readText(file);
    if (text !== null) expect(texts).toContain(text);
  }
  await writes;
  expect(await fs.readdir(path.dirname(file))).toEqual(['state.json']);
});

test('a write that fails leaves the old file and no temporary one', async () => {
  const dir = await sandbox();
  const target = path.join(dir, 'taken');
  await fs.mkdir(path.join(target, 'full'), { recursive: true });
  await expect(writeDurable(target, 'x')).rejects.toThrow();
  expect(await fs.readdir(dir)).toEqual(['taken']);
});

test('removing what is not there is fine', async () => {
  const dir = await sandbox();
  await removeDurable(path.join(dir, 'none', 'such'));
  expect(await exists(path.join(dir, 'none'))).toBe(false);
});

test.each(['', '{', 'null', '{"v":2}', '\0\0\0\0'])(
  'a damaged record (%j) is set aside, not lost, and not read twice',
  async (text) => {
    const dir = await sandbox();
    const file = path.join(dir, '.oxenvcs', 'state', 'x.json');
    await writeDurable(file, text);
    const read = await readRecord({ root: dir }, file, v.object({ v: v.literal(1) }));
    expect(read.state).toBe('damaged');
    if (read.state === 'damaged') expect(await fs.readFile(read.movedTo, 'utf8')).toBe(text);
    expect(await readRecord({ root: dir }, file, v.object({ v: v.literal(1) }))).toEqual({ state: 'missing' });
  },
);
