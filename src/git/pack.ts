import { createHash, randomUUID } from 'node:crypto';
import { createReadStream } from 'node:fs';
import * as fs from 'node:fs/promises';
import path from 'node:path';
import { crc32 } from 'node:zlib';
import { flushFolder, makeFolderIn } from '../system/disk.ts';
import { isAlive } from '../system/process.ts';
import { placeOf } from './place.ts';

/**
 * A pack of large blobs, as gitformat-pack(5) asks. On its way into such a pack git hashes every byte four times, looking for
 * forged collisions each time; here a file is read once, and stored as it is, for audio hardly deflates.
 */

/** A zlib stream (RFC 1950) begins so, with blocks that are stored (RFC 1951), and ends with the Adler-32 of what is in it. */
const zlibHead = Buffer.from([0x78, 0x01]);
const blockBytes = 65_535;
const blockHeadBytes = 5;
/** So many blocks are read, hashed and written at a time: on a busy machine each piece costs two waits for another thread. */
const pieceBlocks = 16;
/** After so much the disk is told to begin, so that little is left to wait for in the end (bytes). */
const flushBytes = 33_554_432;
/** What a process that is no more was writing has not grown for so long (ms). */
const leftoverMs = 60_000;

export interface PackWriter {
  /** Puts a file in. False, and it is not in the pack: it cannot be read, or its `size` bytes are not the blob `oid`. */
  add(file: string, oid: string, size: bigint): Promise<boolean>;
  /** Puts the pack where git finds it. When this returns, it is on the disk. Of nothing there is no pack. */
  end(): Promise<void>;
  /** A pack that has not come to its end leaves nothing behind. */
  discard(): Promise<void>;
}

interface Entry {
  oid: string;
  crc: number;
  /** Where it begins in the pack (bytes). */
  at: number;
}

/** `likely`: how many files there will be. If there are fewer in the end, all that was written is hashed once more. */
export async function startPack(root: string, likely: number, signal?: AbortSignal): Promise<PackWriter> {
  const { common, hash: algorithm } = await placeOf(root);
  const folder = path.join(common, 'objects', 'pack');
  await makeFolderIn(folder);
  await removeLeftovers(folder, Date.now());
  const temporary = (kind: string) => path.join(folder, `tmp_${kind}_oxenvcs_${process.pid}_${randomUUID()}`);
  const files = { pack: temporary('pack'), idx: temporary('idx') };
  // Others who share the repository read it, too.
  const mode = (await fs.stat(folder)).mode & 0o444;
  const out = await fs.open(files.pack, 'wx+', 0o600);
  // In turn: while one is read into, or written from, the other is worked on.
  const raw = twoOf(pieceBlocks * blockBytes);
  const blocks = twoOf(pieceBlocks * (blockHeadBytes + blockBytes));
  const entries: Entry[] = [];
  let hash = createHash(algorithm);
  let at = 0;
  let written = Promise.resolve();
  let unflushed = 0;
  let flushed = Promise.resolve();

  /** Returns while the bytes are being written: they stay as they are until the next call has returned. */
  const put = async (bytes: Uint8Array): Promise<void> => {
    hash.update(bytes);
    await written;
    written = writeAt(out, bytes, at);
    written.catch(() => undefined); // thrown above, or in the end
    at += bytes.length;
    unflushed += bytes.length;
    if (unflushed < flushBytes) return;
    unflushed = 0;
    flushed = flushed.then(async () => await out.datasync());
    flushed.catch(() => undefined); // thrown in the end
  };

  await put(packHead(likely));
  return {
    async add(file, oid, size) {
      const before = { at, hash: hash.copy() };
      const id = createHash(algorithm).update(`blob ${size}\0`);
      let crc = 0;
      let adler = 1;
      const store = async (bytes: Uint8Array) => {
        crc = crc32(bytes, crc);
        await put(bytes);
      };
      await store(Buffer.concat([entryHead(size), zlibHead]));
      for await (const { piece, isLast } of piecesOf(file, Number(size), raw)) {
        signal?.throwIfAborted();
        id.update(piece);
        adler = adler32(piece, adler);
        await store(storedBlocks(piece, isLast, blocks[0]));
        blocks.reverse();
      }
      await store(words([adler]));
      const isIt = id.digest('hex') === oid;
      if (isIt) entries.push({ oid, crc, at: before.at });
      else ({ at, hash } = before);
      return isIt;
    },

    async end() {
      if (entries.length === 0) return;
      await written;
      if (entries.length !== likely) {
        await writeAt(out, packHead(entries.length), 0);
        hash = createHash(algorithm);
        for await (const piece of createReadStream(files.pack, { end: at - 1, highWaterMark: raw[0].length }))
          hash.update(piece as Buffer);
      }
      const sum = hash.digest();
      await writeAt(out, sum, at);
      await out.truncate(at + sum.length);
      await out.chmod(mode);
      await flushed;
      await out.sync();
      await out.close();
      const idx = await fs.open(files.idx, 'wx', 0o600);
      try {
        await idx.writeFile(packIndex(entries, sum, algorithm));
        await idx.chmod(mode);
        await idx.sync();
      } finally {
        await idx.close();
      }
      const name = path.join(folder, `pack-${sum.toString('hex')}`);
      // In this order: a pack is one that has an index.
      await fs.rename(files.pack, `${name}.pack`);
      await fs.rename(files.idx, `${name}.idx`);
      await flushFolder(folder);
    },

    async discard() {
      await written.catch(() => undefined);
      await flushed.catch(() => undefined);
      await out.close();
      for (const file of Object.values(files)) await fs.rm(file, { force: true });
    },
  };
}

/**
 * The first `size` bytes of a file, piece by piece; each is good until the next but one is asked for. Where the file cannot
 * be read, it ends: its id tells.
 */
async function* piecesOf(
  file: string,
  size: number,
  into: Buffers,
): AsyncGenerator<{ piece: Buffer; isLast: boolean }> {
  const source = await fs.open(file).catch(() => null);
  const read = async (buffer: Buffer, at: number): Promise<Buffer> => {
    const wanted = Math.min(buffer.length, size - at);
    let has = 0;
    for (let got = 1; has < wanted && got > 0; has += got)
      got = (await source?.read(buffer, has, wanted - has, at + has).catch(() => null))?.bytesRead ?? 0;
    return buffer.subarray(0, has);
  };
  let next = read(into[0], 0);
  try {
    for (let at = 0; at < size; ) {
      const piece = await next;
      if (piece.length === 0) return;
      at += piece.length;
      into.reverse();
      next = read(into[0], at);
      yield { piece, isLast: at === size };
    }
  } finally {
    await next;
    await source?.close();
  }
}

type Buffers = [Buffer, Buffer];
const twoOf = (bytes: number): Buffers => [Buffer.allocUnsafe(bytes), Buffer.allocUnsafe(bytes)];

/** The bytes as stored blocks, in `into`. Zlib does no more at level 0, but wants fresh memory for each piece. */
function storedBlocks(bytes: Uint8Array, isLast: boolean, into: Buffer): Buffer {
  let end = 0;
  for (let at = 0; at < bytes.length; at += blockBytes) {
    const block = bytes.subarray(at, at + blockBytes);
    into[end] = isLast && at + block.length === bytes.length ? 1 : 0;
    into.writeUInt16LE(block.length, end + 1);
    into.writeUInt16LE(0xffff - block.length, end + 3);
    into.set(block, end + blockHeadBytes);
    end += blockHeadBytes + block.length;
  }
  return into.subarray(0, end);
}

/**
 * Goes on with the Adler-32 of what came before (1: nothing): `a` is the sum of the bytes, `b` the sum of all that `a` has been.
 * Two bytes are added at a time, in the halves of a word: 0.3 ms for a MB, where one by one takes four times as long. `bytes`
 * begin at a whole word of memory; of a word the lowest byte comes first, as on all that a DAW runs on.
 */
function adler32(bytes: Buffer, before: number): number {
  const all = new Uint32Array(bytes.buffer, bytes.byteOffset, bytes.length >>> 2);
  let a = before & 0xffff;
  let b = before >>> 16;
  for (let at = 0; at < all.length; ) {
    // After 22 words a half would be full.
    const count = Math.min(20, all.length - at);
    let even = 0;
    let odd = 0;
    let evens = 0;
    let odds = 0;
    for (const end = at + count; at < end; at++) {
      const word = all[at] as number;
      evens += even;
      odds += odd;
      even += word & 0xff00ff;
      odd += (word >>> 8) & 0xff00ff;
    }
    const earlier = (evens & 0xffff) + (evens >>> 16) + (odds & 0xffff) + (odds >>> 16);
    const first = even & 0xffff;
    const second = odd & 0xffff;
    const third = even >>> 16;
    const fourth = odd >>> 16;
    b = (b + 4 * (count * a + earlier + first) + 3 * second + 2 * third + fourth) % 65_521;
    a = (a + first + second + third + fourth) % 65_521;
  }
  for (const byte of bytes.subarray(all.length * 4)) {
    a = (a + byte) % 65_521;
    b = (b + a) % 65_521;
  }
  return b * 65_536 + a;
}

async function writeAt(out: fs.FileHandle, bytes: Uint8Array, at: number): Promise<void> {
  for (let done = 0; done < bytes.length; )
    done += (await out.write(bytes, done, bytes.length - done, at + done)).bytesWritten;
}

function packHead(count: number): Buffer {
  const head = Buffer.from('PACK\0\0\0\x02\0\0\0\0', 'latin1');
  head.writeUInt32BE(count, 8);
  return head;
}

/** The type (3: a blob) and the size: four bits of it, then seven a byte; the highest bit says that more follow. Pure. */
export function entryHead(size: bigint): Buffer {
  const bytes = [(3 << 4) | Number(size & 15n)];
  for (let rest = size >> 4n; rest > 0n; rest >>= 7n) {
    bytes[bytes.length - 1] = (bytes.at(-1) ?? 0) | 0x80;
    bytes.push(Number(rest & 127n));
  }
  return Buffer.from(bytes);
}

/** From here on (bytes) where an entry begins does not fit into 31 bits. */
const far = 2 ** 31;

/** The index of a pack, version 2. `sum`: the pack's own. Pure. */
export function packIndex(entries: readonly Entry[], sum: Buffer, algorithm: 'sha1' | 'sha256'): Buffer {
  const sorted = entries.toSorted((a, b) => (a.oid < b.oid ? -1 : 1));
  const ids = Buffer.from(sorted.map(({ oid }) => oid).join(''), 'hex');
  // How many ids begin with this byte or a lower one.
  const upTo = Array.from({ length: 256 }, () => 0);
  for (let i = 0; i < ids.length; i += sum.length) upTo[ids[i] ?? 0] = i / sum.length + 1;
  for (let byte = 1; byte < 256; byte++) upTo[byte] = Math.max(upTo[byte] ?? 0, upTo[byte - 1] ?? 0);
  const distant: number[] = [];
  const places = sorted.map(({ at }) => (at < far ? at : far + distant.push(at) - 1));
  const parts = [
    Buffer.from('\xfftOc\0\0\0\x02', 'latin1'),
    words(upTo),
    ids,
    words(sorted.map(({ crc }) => crc)),
    words(places),
    words(distant.flatMap((at) => [Math.floor(at / 2 ** 32), at % 2 ** 32])),
    sum,
  ];
  const index = Buffer.concat(parts);
  return Buffer.concat([index, createHash(algorithm).update(index).digest()]);
}

/** 32 bits each, the highest byte first. */
function words(values: readonly number[]): Buffer {
  const bytes = Buffer.alloc(values.length * 4);
  for (const [i, value] of values.entries()) bytes.writeUInt32BE(value, i * 4);
  return bytes;
}

/** What a process of ours that was killed has left: it is as large as the takes, and each further try would leave as much. `now`: ms since 1970. */
async function removeLeftovers(folder: string, now: number): Promise<void> {
  for (const name of await fs.readdir(folder)) {
    const pid = Number(/^tmp_(?:pack|idx)_oxenvcs_(\d+)_/.exec(name)?.[1]);
    if (Number.isNaN(pid) || isAlive(pid)) continue;
    const file = path.join(folder, name);
    // Of another computer on a shared disk the number says nothing; but what it writes grows.
    const stat = await fs.stat(file).catch(() => null);
    if (stat !== null && now - stat.mtimeMs > leftoverMs) await fs.rm(file, { force: true });
  }
}
