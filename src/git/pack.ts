import { createHash, randomUUID } from 'node:crypto';
import { createReadStream } from 'node:fs';
import * as fs from 'node:fs/promises';
import path from 'node:path';
import { crc32 } from 'node:zlib';
import { Failure } from '../model/failures.ts';
import { flushFolder, makeFolderIn } from '../system/disk.ts';
import { isAlive } from '../system/process.ts';
import {
  adler32,
  blockBytes,
  blockHeadBytes,
  type Entry,
  entryHead,
  packHead,
  packIndex,
  storedBlocks,
  words,
  zlibHead,
} from './pack-format.ts';
import { placeOf } from './place.ts';

/**
 * A pack of large blobs, as gitformat-pack(5) asks. On its way into such a pack git hashes every byte four times, looking for
 * forged collisions each time; here a file is read once, and stored as it is, for audio hardly deflates.
 */

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
      await fs.rename(files.pack, `${name}.pack`).catch(ifPruned);
      await fs.rename(files.idx, `${name}.idx`).catch(ifPruned);
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

/** `git gc --prune=now` takes what others are just writing, too. */
function ifPruned(error: NodeJS.ErrnoException): never {
  throw error.code === 'ENOENT' ? new Failure('stored-gone', { files: 'the takes' }, error) : error;
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

async function writeAt(out: fs.FileHandle, bytes: Uint8Array, at: number): Promise<void> {
  for (let done = 0; done < bytes.length; )
    done += (await out.write(bytes, done, bytes.length - done, at + done)).bytesWritten;
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
