import { once } from 'node:events';
import { PassThrough } from 'node:stream';
import { git } from '../git/run.ts';
import { type Blobs, pick } from './links.ts';

/** What a commit needs on a remote that has some other commits. */
export interface Missing {
  /** Oldest first; the last is the one that was asked for. */
  commits: string[];
  /** Of each commit, about how many bytes travel as deltas: its sessions and folders, as they lie on the disk. */
  rest: number[];
  /** What is not worth a delta, or too much for one piece, in the order of the commits that brought it in. */
  media: Blobs;
}

/** Git itself searches no deltas for files above this (core.bigFileThreshold), bytes. */
const neverDelta = 512 * 2 ** 20;

/**
 * A version with more of such files than this (an exported project, samples in a song file) must not be one piece that a break
 * sends back to its start: those of them from `large` on go as media does. By their size alone: that never changes. Bytes.
 */
const heavy = 64 * 2 ** 20;
const large = 2 ** 20;

/** How long a file's ending may be to become part of a name. */
const plainEnding = /^\.[A-Za-z0-9]{1,16}$/;

/**
 * About how many bytes a push of `tip` would carry to a remote that has what was fetched from it and `known`. One quick process, no
 * connection.
 */
export async function missingBytes(
  { root, remote, signal }: Where,
  tip: string,
  known: readonly string[],
): Promise<number> {
  const have = [`--remotes=${remote.name}`, ...known];
  const args = [
    'rev-list',
    '--objects',
    '--disk-usage',
    '--exclude-promisor-objects',
    '--ignore-missing',
    tip,
    '--not',
    ...have,
    '--',
  ];
  return Number(await git(root, args, signal ? { signal } : {}));
}

interface Where {
  root: string;
  remote: { name: string };
  signal?: AbortSignal;
}

/**
 * What `tip` needs on a remote whose refs are at `have` (commits that are not here are left out of account). The same
 * question gives the same answer, whatever was repacked meanwhile. Streams: 100,000 objects take a few bytes each here.
 */
export async function missing(
  { root, signal }: Pick<Where, 'root' | 'signal'>,
  tip: string,
  have: Iterable<string>,
): Promise<Missing> {
  const found = new Found(tip.length / 2);
  const failed = new AbortController();
  const call = { signal: signal ? AbortSignal.any([signal, failed.signal]) : failed.signal };
  const objects = new PassThrough();
  const lines = new PassThrough();
  const paths = new PassThrough();
  const answers = new PassThrough();
  const walk = [
    'rev-list',
    '--reverse',
    '--topo-order',
    '--objects',
    '--in-commit-order',
    '--exclude-promisor-objects',
  ];
  const revisions = [tip, ...Array.from(have, (id) => `^${id}`)].map((line) => `${line}\n`).join('');
  const format = '%(objectname) %(objecttype) %(objectsize) %(objectsize:disk) %(rest)';
  const work = [
    git(root, [...walk, '--ignore-missing', '--stdin'], { ...call, input: revisions, output: objects }),
    git(root, ['cat-file', '--buffer', `--batch-check=${format}`], { ...call, input: objects, output: lines }),
    readLines(lines, found, paths),
    git(root, ['check-attr', '-z', '--stdin', 'delta'], { ...call, input: paths, output: answers }),
    readAnswers(answers, found),
  ];
  try {
    await Promise.all(work);
  } catch (error) {
    // One that has ended leaves the others waiting for it.
    failed.abort(error);
    await Promise.allSettled(work.slice(0, 2));
    throw error;
  }
  return found.missing();
}

/** The blobs of a walk, as they come: a few numbers each. */
class Found {
  readonly idBytes: number;
  readonly commits: string[] = [];
  readonly rest: number[] = [];
  private ids: Buffer;
  private readonly sizes: number[] = [];
  private readonly disk: number[] = [];
  private readonly commit: number[] = [];
  private readonly endings: number[] = [];
  private readonly places = new Map<string, number>();
  private readonly isMedia: boolean[] = [];

  constructor(idBytes: number) {
    this.idBytes = idBytes;
    this.ids = Buffer.alloc(idBytes * 1024);
  }

  addCommit(id: string): void {
    this.commits.push(id);
    this.rest.push(0);
  }

  addRest(bytes: number, commit = this.rest.length - 1): void {
    if (commit >= 0) this.rest[commit] = (this.rest[commit] ?? 0) + bytes;
  }

  addBlob(id: string, size: number, disk: number, ending: string): void {
    const at = this.sizes.length * this.idBytes;
    if (at === this.ids.length) this.ids = Buffer.concat([this.ids, Buffer.alloc(at)]);
    this.ids.write(id, at, 'hex');
    this.sizes.push(size);
    this.disk.push(disk);
    this.commit.push(this.rest.length - 1);
    const place = this.places.get(ending) ?? this.places.size;
    this.places.set(ending, place);
    this.endings.push(place);
  }

  /** Git's answer for the next blob in order. */
  answer(delta: string): void {
    this.isMedia.push(delta === 'unset' || (this.sizes[this.isMedia.length] ?? 0) >= neverDelta);
  }

  missing(): Missing {
    const { idBytes, commits, rest } = this;
    const others = commits.map(() => 0);
    this.sizes.forEach((size, blob) => {
      if (this.isMedia[blob] !== true) others[this.commit[blob] ?? 0] = (others[this.commit[blob] ?? 0] ?? 0) + size;
    });
    this.sizes.forEach((size, blob) => {
      if (size >= large && (others[this.commit[blob] ?? 0] ?? 0) > heavy) this.isMedia[blob] = true;
    });
    const places = this.sizes.flatMap((_, blob) => (this.isMedia[blob] === true ? [blob] : []));
    this.disk.forEach((bytes, blob) => {
      if (this.isMedia[blob] !== true) this.addRest(bytes, this.commit[blob]);
    });
    const all = { idBytes, ids: this.ids, sizes: this.sizes, endings: this.endings, known: [...this.places.keys()] };
    const media = pick(all, places);
    return { commits, rest, media };
  }
}

/** Takes what `cat-file` says of each object, and asks for the attributes of each blob's path. */
async function readLines(lines: PassThrough, found: Found, paths: PassThrough): Promise<void> {
  for await (const line of split(lines, 10)) {
    const text = line.toString('latin1');
    const match = /^([0-9a-f]+) (commit|tree|blob) (\d+) (\d+) /.exec(text);
    if (match === null) continue; // "<oid> missing": promised by the remote, which has it
    const [head, id = '', type, size, disk] = match;
    if (type === 'commit') found.addCommit(id);
    if (type !== 'blob') {
      found.addRest(Number(disk));
      continue;
    }
    const name = text.slice(Math.max(text.lastIndexOf('/') + 1, head.length));
    const ending = name.slice(Math.max(0, name.lastIndexOf('.')));
    found.addBlob(id, Number(size), Number(disk), plainEnding.test(ending) ? ending : '');
    const path = line.subarray(head.length);
    if (!paths.write(Buffer.concat([path, Buffer.of(0)]))) await once(paths, 'drain');
  }
  paths.end();
}

/** `path NUL delta NUL unset NUL`, for each path that was asked about. */
async function readAnswers(answers: PassThrough, found: Found): Promise<void> {
  let field = 0;
  for await (const text of split(answers, 0)) if (field++ % 3 === 2) found.answer(text.toString('latin1'));
}

/** Cuts a stream at a byte; what stands after the last one is left out. */
async function* split(stream: AsyncIterable<Buffer>, at: number): AsyncGenerator<Buffer> {
  let rest: Buffer = Buffer.alloc(0);
  for await (const chunk of stream) {
    const bytes = rest.length === 0 ? chunk : Buffer.concat([rest, chunk]);
    let start = 0;
    for (let end = bytes.indexOf(at); end >= 0; end = bytes.indexOf(at, start)) {
      yield bytes.subarray(start, end);
      start = end + 1;
    }
    rest = bytes.subarray(start);
  }
}
