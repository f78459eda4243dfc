import { capabilities, learn } from '../lock/capabilities.ts';
import type { LockContext } from '../lock/context.ts';
import type { Failure } from '../model/failures.ts';
import { uploadLfs } from './lfs.ts';
import { recall, remember } from './memory.ts';
import { missingBytes } from './plan.ts';
import { brokeOff, startSizing } from './sizing.ts';
import { limitsOf, stage } from './stage.ts';
import { tidy } from './tidy.ts';
import { type Tracker, trackTransfer, type Transfer } from './transfer.ts';

export interface PrepareOptions {
  /** The commit that is about to be published. */
  tip: string;
  /** Commits that the remote is known to have, besides what was fetched from it. */
  known: readonly string[];
  track: Tracker;
  /** How often in a row the connection may break before anything gets through. */
  patience: number;
  /** As in `stage`. */
  until?: number | undefined;
}

export interface Prepared {
  /** Parts on the remote, and those of them that an earlier try has put there. */
  parts: number;
  resumedParts: number;
  /** About so many bytes go along with the branch. */
  bytesLeft: number;
  /** As from `stage`. */
  isWhole: boolean;
}

/**
 * What must be on the remote before the branch moves: the one place for it, in front of every publish: by hand, from the
 * queue, onto a rescue branch. Media goes there in parts, so that a broken transfer goes on where it was. The usual save is
 * small: it costs one look at what is here, and no connection. What git-lfs keeps comes first of all. Throws the failure
 * that prevented it.
 */
export async function prepare(ctx: LockContext, { tip, known, track, patience }: PrepareOptions): Promise<Prepared> {
  await uploadLfs(ctx, tip, known[0] ?? null);
  return await prepareParts(ctx, { tip, known, track, patience });
}

/** The same without what git-lfs keeps: beside a push by hand its own hook sees to that. */
export async function prepareParts(
  ctx: LockContext,
  { tip, known, track, patience, until }: PrepareOptions,
): Promise<Prepared> {
  const { maxPushBytes } = await capabilities(ctx);
  const { next } = startSizing(limitsOf(ctx, maxPushBytes), (await recall(ctx)).sizing);
  const bytesLeft = await missingBytes(ctx, tip, known);
  track.begin(bytesLeft, 0, 0);
  track.size(bytesLeft);
  if (bytesLeft <= next) return { parts: 0, resumedParts: 0, bytesLeft, isWhole: true };
  const staged = await stage(ctx, { tip, track, patience, until });
  return { ...staged, bytesLeft: staged.parts > 0 ? 0 : bytesLeft };
}

/** A publish, of whichever branch. `bytesSent`: with the branch itself. */
type Ended = { bytesSent: number } | { failure: Failure };

export interface SendOptions {
  tip: string;
  patience: number;
  onTransfer?: ((transfer: Transfer) => void) | undefined;
  /** Told once, however it ends: what the remote took. */
  onEnded?: ((sent: { parts: number; bytesSent: number }) => void) | undefined;
}

/**
 * Runs a publish with all that must come before, and sees to what comes after: what it teaches about the remote, and the
 * parts that are not needed any more. `move` calls `before` when it knows what the remote's branch is at.
 */
export async function publishPrepared<T extends Ended>(
  ctx: LockContext,
  { tip, patience, onTransfer, onEnded }: SendOptions,
  move: (ctx: LockContext, before: (base: string | null) => Promise<void>) => Promise<T>,
): Promise<{ moved: T; parts: number; resumedParts: number; bytesSent: number }> {
  const track = trackTransfer(ctx, ctx.clock, onTransfer);
  const onWritten: LockContext['onWritten'] = ({ bytes }) => track.moving(0, bytes);
  let prepared: Prepared = { parts: 0, resumedParts: 0, bytesLeft: 0, isWhole: true };
  try {
    for (;;) {
      const before = async (base: string | null) => {
        const now = await prepare(ctx, { tip, known: base === null ? [] : [base], track, patience });
        // Asked again, since the branch was somewhere else: what was put there the first time counts.
        if (now.parts > 0 || prepared.parts === 0) prepared = now;
      };
      const moved = await move({ ...ctx, onWritten }, before);
      const { parts, resumedParts, bytesLeft } = prepared;
      if (!('failure' in moved)) {
        await tidy(ctx);
        return { moved, parts: Math.max(1, parts), resumedParts, bytesSent: track.sentBytes() };
      }
      track.broken(0);
      if (!(await learnFrom(ctx, moved.failure, bytesLeft)))
        return { moved, parts, resumedParts, bytesSent: track.sentBytes() };
    }
  } finally {
    onEnded?.({ parts: prepared.parts, bytesSent: track.sentBytes() });
    await track.end();
  }
}

/** What a push of so many bytes that went wrong says about the next one. True: that one can be made at once. */
async function learnFrom(ctx: LockContext, { row }: Failure, bytes: number): Promise<boolean> {
  const { minPartBytes } = ctx.settings.push;
  if (row === 'too-large' && bytes > minPartBytes) {
    await learn(ctx, { maxPushBytes: Math.floor(bytes / 2) });
    return true;
  }
  if ((row === 'remote-unclear' || row === 'offline') && bytes > minPartBytes) {
    const { maxPushBytes } = await capabilities(ctx);
    const limits = limitsOf(ctx, maxPushBytes);
    const { sizing } = await recall(ctx);
    await remember(ctx, { sizing: brokeOff(startSizing(limits, sizing), limits, bytes) });
  }
  return false;
}
