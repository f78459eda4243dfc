import * as fs from 'node:fs/promises';
import path from 'node:path';
import { expect, test } from 'vitest';
import { capture } from '../../src/commit/capture.ts';
import { git } from '../../src/git/run.ts';
import type { FileStat } from '../../src/model/save.ts';
import { statOf } from '../../src/system/stat.ts';
import { repository, sandbox, write } from '../support/sandbox.ts';

const settled = async (dir: string, name: string) => {
  const stat = await statOf(path.join(dir, name));
  if (stat === null) throw new Error(`no ${name}`);
  return [name, stat as FileStat] as const;
};
const stored = async (dir: string, oid: string) => await git(dir, ['cat-file', 'blob', oid]);

test('the bytes are in the object store, also of files with odd names', async () => {
  const dir = await repository(await sandbox());
  for (const name of ['Song.als', '-w', 'a b/🎸\nx.als']) {
    await write(dir, { [name]: `bytes of ${name}` });
    const captured = await capture(dir, ...(await settled(dir, name)));
    expect(captured).toMatchObject({ path: name, mode: '100644' });
    if (captured !== 'moved') expect(await stored(dir, captured.oid)).toBe(`bytes of ${name}`);
  }
});

test('a file whose lines end in two ways is stored, whatever git would say to that', async () => {
  const dir = await repository(await sandbox());
  await git(dir, ['config', 'core.autocrlf', 'true']);
  await git(dir, ['config', 'core.safecrlf', 'true']);
  await write(dir, { 'Song.rpp': 'a\r\nb\n' });
  expect(await capture(dir, ...(await settled(dir, 'Song.rpp')))).toMatchObject({ path: 'Song.rpp' });
});

test('the filters of the path apply, so that the next status shows no difference', async () => {
  const dir = await repository(await sandbox(), { '.gitattributes': '*.rpp text eol=crlf\n' });
  await write(dir, { 'Song.rpp': 'a\r\nb\r\n' });
  const captured = await capture(dir, ...(await settled(dir, 'Song.rpp')));
  expect(captured !== 'moved' && (await stored(dir, captured.oid))).toBe('a\nb\n');
});

test('a link is stored as a link, never what it points to; a run bit is kept', async () => {
  const dir = await repository(await sandbox());
  await fs.symlink('../outside', path.join(dir, 'link.als'));
  const link = await capture(dir, ...(await settled(dir, 'link.als')));
  expect(link).toMatchObject({ mode: '120000' });
  expect(link !== 'moved' && (await stored(dir, link.oid))).toBe('../outside');
  await write(dir, { run: '#!/bin/sh\n' });
  await fs.chmod(path.join(dir, 'run'), 0o755);
  expect(await capture(dir, ...(await settled(dir, 'run')))).toMatchObject({ mode: '100755' });
  await git(dir, ['config', 'core.fileMode', 'false']);
  expect(await capture(dir, ...(await settled(dir, 'run')))).toMatchObject({ mode: '100644' });
});

test('a file that changed since it settled, or is gone, or became a folder, has moved', async () => {
  const dir = await repository(await sandbox());
  const before = await settled(dir, 'Song.als');
  const objects = await git(dir, ['count-objects']);
  await write(dir, { 'Song.als': 'longer now' });
  expect(await capture(dir, ...before)).toBe('moved');
  // A session of many MB that is just being written is not stored in vain.
  expect(await git(dir, ['count-objects'])).toBe(objects);
  await fs.rm(path.join(dir, 'Song.als'));
  expect(await capture(dir, ...before)).toBe('moved');
  await fs.mkdir(path.join(dir, 'Song.als'));
  expect(await capture(dir, ...before)).toBe('moved');
});

test('a file that is written while git reads it has moved, though git says that all went well', async () => {
  const dir = await repository(await sandbox());
  const file = path.join(dir, 'Song.als');
  // A filter that appends while the file is being stored: the moment is the same every time.
  await git(dir, ['config', 'filter.late.clean', 'printf more >> Song.als; cat']);
  await write(dir, { '.gitattributes': 'Song.als filter=late\n' });
  expect(await capture(dir, ...(await settled(dir, 'Song.als')))).toBe('moved');
  await git(dir, ['config', 'filter.late.clean', 'rm Song.als; exit 1']);
  await git(dir, ['config', 'filter.late.required', 'true']);
  expect(await capture(dir, ...(await settled(dir, 'Song.als')))).toBe('moved');
  await expect(fs.stat(file)).rejects.toThrow('ENOENT');
});

test('a file that cannot be stored although it lies still is a failure', async () => {
  const dir = await repository(await sandbox(), { 'Song.als': 'one', '.gitattributes': 'Song.als filter=broken\n' });
  await git(dir, ['config', 'filter.broken.clean', 'exit 1']);
  await git(dir, ['config', 'filter.broken.required', 'true']);
  await expect(capture(dir, ...(await settled(dir, 'Song.als')))).rejects.toMatchObject({ name: 'Failure' });
});
