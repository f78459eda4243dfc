import { randomBytes } from 'node:crypto';
import * as fs from 'node:fs/promises';
import path from 'node:path';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { git, gitLine } from '../../src/git/run.ts';
import { type Blobs, closeLinks, idsInTree, joinObject, linkObjects } from '../../src/push/links.ts';
import { resume } from '../../src/push/resume.ts';
import { openScratch, treesHere, writeScratch } from '../../src/push/scratch.ts';
import { repository, sandbox } from '../support/sandbox.ts';

const linkBytes = 1000;
const sizes = fc.array(fc.oneof(fc.integer({ min: 0, max: 300 }), fc.integer({ min: 0, max: 5000 })), {
  maxLength: 60,
});

/** Blobs of those sizes, whose ids say which they are. */
function blobsOf(all: { size: number; name: number }[], idBytes = 20): Blobs {
  const ids = Buffer.concat(
    all.map(({ name }) => Buffer.alloc(idBytes, Buffer.from([1 + (name % 250), name >> 8, 7]))),
  );
  return {
    idBytes,
    ids,
    sizes: all.map(({ size }) => size),
    endings: all.map(({ name }) => name % 2),
    known: ['.wav', '.aif'],
  };
}
const named = (all: number[]) => all.map((size, name) => ({ size, name }));

test('each blob is in one link, in order, and no link is larger than it has to be', () => {
  fc.assert(
    fc.property(sizes, (all) => {
      const links = closeLinks(all, linkBytes);
      expect(links.flatMap(({ blobs }) => blobs).toSorted((a, b) => a - b)).toEqual(all.map((_, place) => place));
      for (const { blobs } of links) {
        expect(blobs).toEqual(blobs.toSorted((a, b) => a - b));
        const allBut = blobs.slice(0, -1).reduce((sum, blob) => sum + (all[blob] ?? 0) + 100, 0);
        expect(allBut).toBeLessThan(linkBytes);
      }
    }),
  );
});

test('what comes on top changes no link that is full', () => {
  fc.assert(
    fc.property(sizes, sizes, (first, more) => {
      const before = closeLinks(first, linkBytes).filter(({ bytes }) => bytes >= linkBytes);
      expect(closeLinks([...first, ...more], linkBytes)).toEqual(expect.arrayContaining(before));
    }),
  );
});

test('a large file is a link of its own, whatever stands before it', () => {
  fc.assert(
    fc.property(sizes, sizes, (before, after) => {
      const links = closeLinks([...before, linkBytes, ...after], linkBytes);
      expect(links.filter(({ blobs }) => blobs.includes(before.length))).toEqual([
        { blobs: [before.length], bytes: linkBytes + 100 },
      ]);
    }),
  );
});

describe('resume', () => {
  const idsOf = (blobs: Blobs) => closeLinks(blobs.sizes, linkBytes).map((closed) => linkObjects(blobs, closed));
  const holds = (links: { tree: Buffer }[]) =>
    links.flatMap(({ tree }) => [...idsInTree(tree, 20)].map((raw) => raw.toString('hex')));
  const all = (blobs: Blobs) =>
    blobs.sizes.map((_, place) => blobs.ids.subarray(place * 20, place * 20 + 20).toString('hex'));

  test('whatever part of it arrived: what is sent then and what was there is all of it, and no blob is sent twice', () => {
    fc.assert(
      fc.property(sizes, sizes, fc.infiniteStream(fc.boolean()), fc.boolean(), (first, more, coin, sameClone) => {
        const links = idsOf(blobsOf(named(first)));
        const arrived = links.filter(() => coin.next().value === true);
        const staged = new Set(arrived.map(({ id }) => id));
        // Another clone of the same work knows only the ids.
        const trees = new Map(sameClone ? arrived.map(({ id, tree }) => [id, tree]) : []);
        const media = blobsOf(named([...first, ...more]));
        const { waiting, matched, known } = resume(media, staged, trees, linkBytes);
        const sent = holds(waiting.map((link) => link.objects()));
        const there = holds(arrived.filter(({ id }) => [...matched, ...known].some((one) => one.id === id)));
        expect(new Set([...sent, ...there])).toEqual(new Set(all(media)));
        expect(sent).toHaveLength(new Set(sent).size);
        if (sameClone) expect(sent.filter((blob) => there.includes(blob))).toEqual([]);
      }),
    );
  });

  test('another clone of the same work sends no full link again, and none at all where nothing came on top', () => {
    fc.assert(
      fc.property(sizes, sizes, (first, more) => {
        const before = closeLinks(first, linkBytes);
        const staged = new Set(idsOf(blobsOf(named(first))).map(({ id }) => id));
        expect(resume(blobsOf(named(first)), staged, new Map(), linkBytes).waiting).toEqual([]);
        const again = resume(blobsOf(named([...first, ...more])), staged, new Map(), linkBytes);
        expect(again.matched.length).toBeGreaterThanOrEqual(before.filter(({ bytes }) => bytes >= linkBytes).length);
      }),
    );
  });

  test('what history was rewritten away from is not waited for, nor joined', () => {
    const old = blobsOf(named([1200, 1300]));
    const trees = new Map(idsOf(old).map(({ id, tree }) => [id, tree]));
    const media = blobsOf([
      { size: 1300, name: 1 },
      { size: 1400, name: 2 },
    ]);
    const { waiting, matched, known } = resume(media, new Set(trees.keys()), trees, linkBytes);
    expect([waiting.length, matched.length, known.length]).toEqual([1, 0, 1]);
  });
});

test.each(['sha1', 'sha256'])('what is made is what git would make, and git can read it (%s)', async (format) => {
  // A colon would end the path, were it not quoted.
  const root = await repository(path.join(await sandbox(), 'My: "Song" ö'), {});
  const song = format === 'sha1' ? root : path.join(root, 'inner');
  if (song !== root) await git(root, ['init', '--quiet', `--object-format=${format}`, song]);
  const ids: string[] = [];
  for (let n = 0; n < 5; n++)
    ids.push(await gitLine(song, ['hash-object', '-w', '--stdin'], { input: randomBytes(100 * n) }));
  const media: Blobs = {
    idBytes: format === 'sha1' ? 20 : 32,
    ids: Buffer.from(ids.join(''), 'hex'),
    sizes: ids.map((_, n) => 100 * n),
    endings: [0, 0, 1, 1, 2],
    known: ['.wav', '.aif', ''],
  };
  const link = linkObjects(media, { blobs: [0, 1, 2, 3, 4] });
  const scratch = await openScratch({ root: song, gitDir: path.join(song, '.git') });
  await writeScratch(scratch, 'tree', link.treeId, link.tree);
  await writeScratch(scratch, 'commit', link.id, link.commit);
  const { id, commit } = joinObject(link.treeId, [link.id]);
  await writeScratch(scratch, 'commit', id, commit);
  const listed = await git(song, ['ls-tree', id], { env: scratch.env });
  expect(new Set(listed.trim().split('\n'))).toEqual(
    new Set(ids.map((oid, n) => `100644 blob ${oid}\t${oid}${media.known[media.endings[n] ?? 0]}`)),
  );
  await git(song, ['fsck', '--strict', '--no-dangling', id], { env: scratch.env });
  const trees = await treesHere(song, scratch, ['0'.repeat(ids[0]?.length ?? 40), link.id]);
  expect(trees).toEqual(new Map([[link.id, link.tree]]));
  // A power cut has emptied it; it is made anew.
  await fs.truncate(path.join(scratch.folder, link.treeId.slice(0, 2), link.treeId.slice(2)));
  expect(await treesHere(song, scratch, [link.id])).toEqual(new Map());
  await writeScratch(scratch, 'tree', link.treeId, link.tree);
  expect(await treesHere(song, scratch, [link.id])).toEqual(trees);
});
