import { randomBytes } from 'node:crypto';
import { capabilities, learn } from '../lock/capabilities.ts';
import type { LockContext } from '../lock/context.ts';
import { remoteRefs } from '../lock/look.ts';
import { sendJoins } from './joins.ts';
import type { Blobs } from './links.ts';
import { recall, remember } from './memory.ts';
import type { Carrier } from './carrier.ts';
import { sendLinks, writeLink } from './parts.ts';
import { missing } from './plan.ts';
import { resume } from './resume.ts';
import { openScratch, treesHere } from './scratch.ts';
import { type Limits, startSizing } from './sizing.ts';
import { overFolders, type Staged, stagedAmong, stagingFolder, stagingPrefix } from './staging.ts';
import type { Tracker } from './transfer.ts';

export interface StageOptions {
  /** The commit that is about to be published. */
  tip: string;
  track: Tracker;
  /** How often in a row the connection may break before anything gets through. */
  patience: number;
  /** From then on no part is begun (monotonic, ms): somebody waits. Parts begin small, so that some get through. */
  until?: number | undefined;
}

export interface StagedPush {
  /** Parts that are on the remote now; 0: it is so little that it simply goes along with the branch. */
  parts: number;
  /** Of these, parts that were there from an earlier try. */
  resumedParts: number;
  /** All of it is there. Not so where the time was over before. */
  isWhole: boolean;
}

/** It is so little that it simply goes along with the branch. */
const nothing: StagedPush = { parts: 0, resumedParts: 0, isWhole: true };

/**
 * Puts all that `tip` needs on the remote, in parts, and goes on where an earlier try, of this clone or another, has
 * stopped: the remote says what it has. Throws the failure that stopped it.
 */
export async function stage(ctx: LockContext, { tip, track, patience, until }: StageOptions): Promise<StagedPush> {
  const { root } = ctx;
  const { namespace, maxPushBytes } = await capabilities(ctx);
  const limits = limitsOf(ctx, maxPushBytes);
  const listed = await remoteRefs(ctx, []);
  if (listed.outcome !== 'read') throw listed.failure;
  const prefix = stagingPrefix(namespace);
  // A host would take the first branch for the default one, and that must not be a part.
  const isEmpty = ![...listed.refs.keys()].some((ref) => ref.startsWith('refs/heads/'));
  if (isEmpty && prefix.startsWith('refs/heads/')) return nothing;

  const scratch = await openScratch(ctx);
  const found = stagedAmong(listed.refs, prefix);
  const staged = found.filter(({ kind }) => kind === 'link');
  const ids = new Set(staged.map(({ id }) => id));
  const trees = await treesHere(root, scratch, [...ids], ctx.signal);
  const { commits, rest, media } = await missing(ctx, tip, listed.refs.values());
  const plan = resume(media, ids, trees, ctx.settings.push.minPartBytes);
  const there = [...plan.matched, ...plan.known];
  const thereBytes = sum(there);
  const total = thereBytes + sum(plan.waiting) + rest.reduce((all, bytes) => all + bytes, 0);
  const before = (await recall(ctx)).sizing;
  const usual = startSizing(limits, before);
  if (there.length === 0 && total <= usual.next) return nothing;
  const sizing = until === undefined ? usual : { ...usual, next: before?.next ?? limits.min };

  const used = new Set(there.map(({ id }) => id));
  const resumedParts = new Set(staged.filter(({ id }) => used.has(id)).map(({ part }) => part)).size;
  track.size(sizing.next);
  track.begin(total, thereBytes, resumedParts);
  const carrier = await openCarrier(ctx, { track, patience, until, found, scratch, limits, sizing });
  if (!(await sendLinks(carrier, plan.waiting)))
    return { parts: resumedParts + carrier.through, resumedParts, isWhole: false };
  for (const link of plan.matched) await writeLink(scratch, link.objects());
  await sendJoins(carrier, { commits, rest }, [...used, ...plan.waiting.map(({ id }) => id)]);
  return { parts: resumedParts + carrier.through, resumedParts, isWhole: true };
}

/**
 * Sends media that the remote should have and has not: in links of its own, for git takes it to be there. They are removed
 * with the parts of the next push.
 */
export async function sendAgain(ctx: LockContext, media: Blobs, options: Omit<StageOptions, 'tip'>): Promise<void> {
  const { namespace, maxPushBytes } = await capabilities(ctx);
  const limits = limitsOf(ctx, maxPushBytes);
  const listed = await remoteRefs(ctx, []);
  if (listed.outcome !== 'read') throw listed.failure;
  const found = stagedAmong(listed.refs, stagingPrefix(namespace));
  const { waiting } = resume(media, new Set(), new Map(), ctx.settings.push.minPartBytes);
  options.track.begin(sum(waiting), 0, 0);
  const scratch = await openScratch(ctx);
  await sendLinks(await openCarrier(ctx, { ...options, found, scratch, limits, sizing: startSizing(limits) }), waiting);
}

type Opening = Pick<Carrier, 'track' | 'patience' | 'until' | 'scratch' | 'limits' | 'sizing'> & {
  found: readonly Staged[];
};

async function openCarrier(ctx: LockContext, { found, ...opening }: Opening): Promise<Carrier> {
  const now = ctx.clock.now();
  const { clone } = ctx.owner;
  const folder = stagingFolder(stagingPrefix((await capabilities(ctx)).namespace), clone, now);
  await remember(ctx, { over: [...new Set([folder, ...overFolders(found, clone, now)])] });
  return {
    ...opening,
    ctx,
    refs: folder + randomBytes(4).toString('hex'),
    begun: 0,
    through: 0,
    setupMs: 0,
    there: async () => {
      const listed = await remoteRefs(ctx, []);
      return listed.outcome === 'read' ? new Set(listed.refs.values()) : null;
    },
    onBreak: async (after) => await remember(ctx, { sizing: after }),
    onTooLarge: async (max) => void (await learn(ctx, { maxPushBytes: max })),
  };
}

/** Bytes that a part may have, by the settings and by what the remote has turned down. */
export function limitsOf({ settings }: Pick<LockContext, 'settings'>, maxPushBytes: number | null): Limits {
  const { minPartBytes, maxPartBytes, partSeconds } = settings.push;
  return { min: minPartBytes, max: Math.min(maxPartBytes, maxPushBytes ?? Infinity), seconds: partSeconds };
}

const sum = (links: readonly { bytes: number }[]): number => links.reduce((all, { bytes }) => all + bytes, 0);
