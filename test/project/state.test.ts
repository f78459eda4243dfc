import * as fs from 'node:fs/promises';
import path from 'node:path';
import * as v from 'valibot';
import { expect, test } from 'vitest';
import { readKept, writeRecord } from '../../src/project/state.ts';
import { sandbox } from '../support/sandbox.ts';

test('a record that is not read anew each time is when it was written, swapped, damaged or removed', async () => {
  const root = await sandbox();
  const file = path.join(root, '.oxenvcs/state/some.json');
  const schema = v.object({ n: v.number() });
  const look = async () => await readKept({ root }, file, schema);
  const earlier = new Date(Date.now() - 10_000);
  expect((await look()).state).toBe('missing');
  await fs.mkdir(path.dirname(path.dirname(file)));
  await writeRecord(file, { n: 1 });
  // Written so lately that the next may have the same time.
  expect(await look()).not.toBe(await look());
  await fs.utimes(file, earlier, earlier);
  const first = await look();
  expect(first).toEqual({ state: 'ok', value: { n: 1 } });
  expect(await look()).toBe(first);
  // In place, of the same length, under the same time.
  await fs.writeFile(file, '{"n":2}\n');
  await fs.utimes(file, earlier, earlier);
  expect(await look()).toEqual({ state: 'ok', value: { n: 2 } });
  await writeRecord(file, { n: 3 });
  expect(await look()).toEqual({ state: 'ok', value: { n: 3 } });
  await fs.writeFile(file, '{"n"');
  expect((await look()).state).toBe('damaged');
  expect((await look()).state).toBe('missing');
});
