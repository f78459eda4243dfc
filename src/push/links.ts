import { createHash } from 'node:crypto';

/**
 * A link: a commit without parents whose tree names some of the media that a push has to carry. Nothing in it depends on
 * when, where and by whom it is made, so the same work gives the same links: after a crash, on another day, in another
 * clone. All of this is pure.
 */

/** Media files, one after the other, without a string for each: a project may have 100,000. */
export interface Blobs {
  /** Length of a raw object id: 20 (SHA-1) or 32 (SHA-256). */
  idBytes: number;
  /** The raw ids in a row; as many as there are sizes. */
  ids: Buffer;
  sizes: number[];
  /** Which of the endings each has. */
  endings: number[];
  /** `.wav`; empty where there is none that is short and plain. */
  known: string[];
}

/** Those of the blobs that are wanted, by their places. */
export function pick({ idBytes, ids, sizes, endings, known }: Blobs, places: readonly number[]): Blobs {
  return {
    idBytes,
    ids: Buffer.concat(places.map((place) => ids.subarray(place * idBytes, (place + 1) * idBytes))),
    sizes: places.map((place) => sizes[place] ?? 0),
    endings: places.map((place) => endings[place] ?? 0),
    known,
  };
}

export const blobId = ({ ids, idBytes }: Blobs, place: number): string =>
  ids.toString('hex', place * idBytes, (place + 1) * idBytes);

/** One link to be: which of the blobs it holds. */
export interface Closed {
  blobs: number[];
  bytes: number;
}

export interface LinkObjects {
  /** The commit's object id, in hex. */
  id: string;
  commit: Buffer;
  treeId: string;
  tree: Buffer;
}

/** So much an entry costs besides the file: a hundred thousand empty files shall not be one link. */
const entryBytes = 100;

/**
 * Closes blobs into links, in their order, by size alone: a link is full at `linkBytes`. (By what a blob takes on the disk it would
 * change with every repacking, by the speed of the connection with the weather.) A large file is a link of its own, so
 * that it stays the same whatever comes before it.
 */
export function closeLinks(sizes: readonly number[], linkBytes: number): Closed[] {
  const links: Closed[] = [];
  let open: Closed = { blobs: [], bytes: 0 };
  const close = () => {
    if (open.blobs.length > 0) links.push(open);
    open = { blobs: [], bytes: 0 };
  };
  sizes.forEach((size, blob) => {
    const bytes = size + entryBytes;
    if (bytes >= linkBytes) {
      links.push({ blobs: [blob], bytes });
      return;
    }
    open.blobs.push(blob);
    open.bytes += bytes;
    if (open.bytes >= linkBytes) close();
  });
  close();
  return links;
}

/** The objects of a link. Each blob is called `<oid>.<ending>`, so that `*.wav -delta` fits it wherever it is packed. */
export function linkObjects(blobs: Blobs, { blobs: places }: Pick<Closed, 'blobs'>): LinkObjects {
  const { idBytes, ids, endings, known } = blobs;
  const entries = places
    .map((place) => {
      const raw = ids.subarray(place * idBytes, (place + 1) * idBytes);
      return { name: raw.toString('hex') + (known[endings[place] ?? 0] ?? ''), raw };
    })
    .toSorted((a, b) => (a.name < b.name ? -1 : 1));
  const tree = Buffer.concat(entries.flatMap(({ name, raw }) => [Buffer.from(`100644 ${name}\0`), raw]));
  const treeId = objectId('tree', tree, idBytes);
  const commit = commitBytes(treeId, [], 'A part of a push that is under way');
  return { id: objectId('commit', commit, idBytes), commit, treeId, tree };
}

/**
 * The join of links with a commit: a commit with the tree of that commit, whose parents are all links and that commit.
 * Git leaves out of a push what hangs on the parents of what it sends: not what hangs on any other ref.
 */
export function joinObject(treeId: string, parents: readonly string[]): { id: string; commit: Buffer } {
  const commit = commitBytes(treeId, parents, 'The parts of a push that is under way, and what they belong to');
  return { id: objectId('commit', commit, treeId.length / 2), commit };
}

/** Always the same people at the same time: 1 January 2026. */
const who = 'oxenvcs <oxenvcs@localhost> 1767225600 +0000';

function commitBytes(treeId: string, parents: readonly string[], message: string): Buffer {
  const above = parents.map((parent) => `parent ${parent}\n`).join('');
  return Buffer.from(`tree ${treeId}\n${above}author ${who}\ncommitter ${who}\n\n${message}\n`);
}

function objectId(type: 'tree' | 'commit', body: Buffer, idBytes: number): string {
  return createHash(idBytes === 20 ? 'sha1' : 'sha256')
    .update(`${type} ${body.length}\0`)
    .update(body)
    .digest('hex');
}

/** The raw ids that a tree object names. */
export function* idsInTree(tree: Buffer, idBytes: number): Generator<Buffer> {
  for (let at = 0; at < tree.length; ) {
    const end = tree.indexOf(0, at) + 1;
    if (end === 0) return;
    yield tree.subarray(end, end + idBytes);
    at = end + idBytes;
  }
}
