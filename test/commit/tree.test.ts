import path from 'node:path';
import { expect, test } from 'vitest';
import { treeWith } from '../../src/commit/tree.ts';
import { git, gitLine } from '../../src/git/run.ts';
import { listTree, type TreeEntry } from '../../src/git/tree.ts';
import { dice } from '../support/dice.ts';
import { repository, sandbox } from '../support/sandbox.ts';

/** Names that sort otherwise with a slash after them, or are no ASCII. */
const names = ['a', 'a.b', 'a-b', 'a0', 'Söng 🎸', "it's", '日本', '"q"\t', '-x'];

async function newRepository(format: string) {
  const dir = path.join(await sandbox(), 'song');
  await repository(dir, { 'Song.als': 'one' });
  if (format === 'sha1') return dir;
  const other = path.join(path.dirname(dir), format);
  await git(path.dirname(dir), ['init', '--quiet', `--object-format=${format}`, other]);
  return other;
}

test.each(['sha1', 'sha256'])(
  'it is the tree that an index would give, whatever changes where (%s)',
  async (format) => {
    const { roll, pick } = dice(5);
    const dir = await newRepository(format);
    const blobs = ['one', 'two', 'three'].map((input) => gitLine(dir, ['hash-object', '-w', '--stdin'], { input }));
    const oids = await Promise.all(blobs);
    const index = { GIT_INDEX_FILE: path.join(dir, '.git', 'other') };
    let tree = await gitLine(dir, ['mktree'], { input: '' });
    const zero = '0'.repeat(tree.length);
    for (let n = 0; n < 10; n++) {
      const before = await listTree(dir, tree);
      const files = new Map<string, TreeEntry | null>();
      for (let i = 0; i < 1 + roll() * 6; i++) {
        const file = [pick(names), pick(names), pick(names)].slice(Math.floor(roll() * 3)).join('/');
        // Only where no file is in the place of a folder.
        const known = [...before.keys(), ...files.keys()];
        if (known.some((one) => one.startsWith(`${file}/`) || file.startsWith(`${one}/`))) continue;
        files.set(file, roll() < 0.3 ? null : { mode: pick(['100644', '100755', '120000']), oid: pick(oids) });
      }
      for (const one of before.keys()) if (roll() < 0.2) files.set(one, null);
      await git(dir, ['read-tree', tree], { env: index });
      const lines = [...files].map(([one, to]) => `${to?.mode ?? 0} ${to?.oid ?? zero} 0\t${one}\0`);
      await git(dir, ['update-index', '-z', '--index-info'], { env: index, input: lines.join('') });
      const wanted = await gitLine(dir, ['write-tree'], { env: index });
      const made = await treeWith(dir, tree, files);
      expect(made?.tree).toBe(wanted);
      const differing = [...files].filter(
        ([one, to]) => JSON.stringify(before.get(one) ?? null) !== JSON.stringify(to),
      );
      expect(made?.differences).toEqual(
        differing.map(([one, to]) => ({
          path: one,
          status: to === null ? 'deleted' : before.has(one) ? 'changed' : 'added',
        })),
      );
      tree = wanted;
    }
    expect(await git(dir, ['fsck', '--strict', '--no-dangling'])).toBe('');
  },
);

test('a file in the place of a folder, a repository within, and a line break in a name are left to an index', async () => {
  const dir = await newRepository('sha1');
  const oid = await gitLine(dir, ['hash-object', '-w', '--stdin'], { input: 'two' });
  const file = { mode: '100644', oid };
  const folder = await gitLine(dir, ['mktree'], { input: `100644 blob ${oid}\tin it\n` });
  const commit = await gitLine(dir, ['rev-parse', 'HEAD']);
  const input = `040000 tree ${folder}\tfolder\n100644 blob ${oid}\tfile\n160000 commit ${commit}\tother\n`;
  const tree = await gitLine(dir, ['mktree'], { input });
  for (const name of ['folder', 'file/below', 'file/below/it', 'other', 'line\nbreak', 'folder\r/it'])
    expect(await treeWith(dir, tree, new Map([[name, file]]))).toBeNull();
  expect(await treeWith(dir, tree, new Map([['new', file]]))).toMatchObject({ differences: [{ status: 'added' }] });
});
