import { randomInt } from 'node:crypto';
import * as fs from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { gitFailure } from '../git/failures.ts';
import { remoteOfOneCall } from '../git/remote-settings.ts';
import { git, gitLine, type GitResult, redact, tryGit } from '../git/run.ts';
import { askBase } from '../lock/base.ts';
import { capabilities } from '../lock/capabilities.ts';
import type { LockContext } from '../lock/context.ts';
import { remoteRefs } from '../lock/look.ts';
import { lockRef } from '../lock/names.ts';
import { isAncestor } from '../lock/view.ts';
import { Failure } from '../model/failures.ts';
import { type Blobs, blobId, pick } from './links.ts';
import { missing } from './plan.ts';
import { sendAgain, type StageOptions } from './stage.ts';
import { tidy } from './tidy.ts';

/**
 * Is the remote's branch where the push has put it? Somebody may have gone on from there. Throws `not-there`; what is known
 * of the remote's branch is then as the remote says.
 */
export async function readBack(ctx: LockContext, ref: string, tip: string): Promise<void> {
  const listed = await remoteRefs(ctx, [ref]);
  if (listed.outcome !== 'read') throw listed.failure;
  const at = listed.refs.get(ref);
  const isHere = at !== undefined && (await tryGit(ctx.root, ['cat-file', '-e', `${at}^{commit}`])).exitCode === 0;
  if (at === tip || (at !== undefined && (!isHere || (await isAncestor(ctx, tip, at))))) return;
  await askBase(ctx, tip);
  throw new Failure('not-there', { branch: ref.replace(/^refs\/heads\//, ''), remote: redact(ctx.remote.url) });
}

export interface Proof {
  /** The server has shown that every file and folder of the versions is there. False: it cannot be asked for that. */
  complete: boolean;
  /** So many files came back from it, byte for byte. */
  samples: number;
  /** So many were missing or damaged there, and were sent again. */
  mended: number;
}

export interface VerifyOptions extends StageOptions {
  /** The branch on the remote. */
  ref: string;
  /** What the remote had before; null: only what the last version holds is asked for. */
  since: string | null;
}

/** Not more than so many files, and so many bytes, come back as samples. */
const mostSamples = 8;
const mostBytes = 64 * 2 ** 20;
/** So often what turns out to be damaged is sent again. */
const rounds = 3;

/**
 * Lets the server prove that what was pushed is there and whole: a fresh repository fetches the versions without the
 * contents of their files, for which the server has to find every one of them; some are fetched and compared by their ids.
 * What is not whole is sent again. Throws `arrived-damaged` where that does not help.
 */
export async function verify(ctx: LockContext, options: VerifyOptions): Promise<Proof> {
  const { tip, ref, since } = options;
  await readBack(ctx, ref, tip);
  const { commits, media } = await missing(ctx, tip, since === null || since === tip ? [] : [since]);
  const depth = since === null || since === tip ? 1 : Math.max(1, commits.length);
  let mended = 0;
  for (let round = 1; ; round++) {
    const { complete, damaged } = await inFreshRepository(ctx, async (ask) => {
      if (!(await canFilter(ctx, ask))) return { complete: false, damaged: null };
      return {
        complete: true,
        damaged: damageIn(await ask([`--depth=${depth}`, existence, 'origin', `+${ref}:refs/verify`])),
      };
    });
    // Another one: in one that was fetched into with a filter, git takes single files for promised ones.
    const found =
      damaged === null
        ? await inFreshRepository(ctx, async (ask) => await askSamples(media, ask, complete))
        : { damaged };
    if (!('damaged' in found)) return { ...found, mended };
    const ids = new Set(found.damaged);
    const bad = media.sizes.flatMap((_, place) => (ids.has(blobId(media, place)) ? [place] : []));
    if (bad.length === 0 || round >= rounds)
      throw new Failure('arrived-damaged', { detail: found.damaged.join(', '), remote: redact(ctx.remote.url) });
    await sendAgain(ctx, pick(media, bad), options);
    await tidy(ctx);
    mended += bad.length;
  }
}

/** One fetch into the fresh repository. Throws where the remote cannot be asked. */
type Ask = (args: readonly string[]) => Promise<GitResult>;

/** To leave out what is no smaller than a byte, the server must look up the size of each file. */
const existence = '--filter=blob:limit=1';

async function inFreshRepository<T>(ctx: LockContext, work: (ask: Ask) => Promise<T>): Promise<T> {
  const dir = await fs.mkdtemp(path.join(os.tmpdir(), 'oxenvcs-verify-'));
  try {
    const format = await gitLine(ctx.root, ['rev-parse', '--show-object-format']);
    await git(dir, ['init', '--quiet', '--bare', `--object-format=${format}`]);
    return await work(async (args) => {
      const settings = ['protocol.version=2', remoteOfOneCall('origin', ctx.remote.url)];
      const fetch = [...settings.flatMap((one) => ['-c', one]), 'fetch', '--no-tags', '--no-write-fetch-head'];
      const told = await tryGit(dir, [`--git-dir=${dir}`, ...fetch, ...uploadPack(ctx.remote.url), ...args], {
        idleMs: 10 * ctx.settings.network.timeoutMs,
        ...(ctx.signal ? { signal: ctx.signal } : {}),
      });
      if (told.exitCode !== 0 && damageIn(told) === null && !isDenied(told))
        throw gitFailure(told, fetch, redact(ctx.remote.url), dir);
      return told;
    });
  } finally {
    await fs.rm(dir, { recursive: true, force: true });
  }
}

/** In a folder the server's git is our own, and may be asked for everything. */
const uploadPack = (url: string): string[] =>
  url.startsWith('file://') || path.isAbsolute(url)
    ? ['--upload-pack=git -c uploadpack.allowFilter=true -c uploadpack.allowAnySHA1InWant=true upload-pack']
    : [];

/** Asked of the lock's small record: a server that cannot filter would send everything. */
async function canFilter(ctx: LockContext, ask: Ask): Promise<boolean> {
  const lock = lockRef(ctx.branch, (await capabilities(ctx)).namespace);
  const told = await ask(['--depth=1', existence, 'origin', `+${lock}:refs/lock`]);
  return told.exitCode === 0 && !told.stderr.includes('filtering not recognized by server');
}

/** The objects that the server complains of; empty: it does not say which. Null: it is none of this. */
function damageIn({ exitCode, stderr }: Pick<GitResult, 'exitCode' | 'stderr'>): string[] | null {
  if (exitCode === 0) return null;
  if (!/^remote: (fatal|error): |^(remote|fatal): .*(not our ref|possible repository corruption)/m.test(stderr))
    return null;
  return [...new Set(stderr.match(/\b(?:[0-9a-f]{64}|[0-9a-f]{40})\b/g))];
}

/** Without protocol v2 (over ssh to a server that does not let it through) single files cannot be asked for. */
const isDenied = ({ stderr }: Pick<GitResult, 'stderr'>): boolean =>
  /^(error|fatal): .*Server does not allow request for unadvertised object/m.test(stderr);

async function askSamples(
  media: Blobs,
  ask: Ask,
  complete: boolean,
): Promise<{ complete: boolean; samples: number } | { damaged: string[] }> {
  const wanted = sample(media.sizes).map((place) => blobId(media, place));
  const damaged: string[] = [];
  for (const id of wanted) {
    const told = await ask(['origin', id]);
    if (isDenied(told)) return { complete, samples: 0 };
    if (told.exitCode !== 0) damaged.push(id);
  }
  return damaged.length > 0 ? { damaged } : { complete, samples: wanted.length };
}

/** Some places, by chance, each once. */
function sample(sizes: readonly number[]): number[] {
  const left = sizes.map((_, place) => place);
  const places: number[] = [];
  for (let bytes = 0; left.length > 0 && places.length < mostSamples; ) {
    const [place = 0] = left.splice(randomInt(left.length), 1);
    bytes += sizes[place] ?? 0;
    if (bytes > mostBytes && places.length > 0) break;
    places.push(place);
  }
  return places;
}
