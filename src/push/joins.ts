import { gitLine } from '../git/run.ts';
import { joinObject } from './links.ts';
import { afterBreak, type Carrier, nextPart, send } from './carrier.ts';
import type { Missing } from './plan.ts';
import { writeScratch } from './scratch.ts';

/**
 * Puts the commits on the remote, with what travels as deltas, as far in one push as the time allows, when their media is there already as
 * links. Each push carries a join, whose parents are the links and the commit: without it git would send all the media
 * again. Throws the failure that stopped it.
 */
export async function sendJoins(
  carrier: Carrier,
  { commits, rest }: Pick<Missing, 'commits' | 'rest'>,
  links: readonly string[],
): Promise<void> {
  let breaks = 0;
  for (let from = 0; from < commits.length; ) {
    const { next, bytes } = howFar(rest, from, carrier.sizing.next);
    const commit = commits[next - 1] ?? '';
    const refs = nextPart(carrier);
    const moves = [{ ref: `${refs}.tip`, old: null, next: commit }];
    if (links.length > 0) moves.unshift({ ref: `${refs}.join`, old: null, next: await join(carrier, commit, links) });
    const end = await send(carrier, moves, bytes);
    if (end.is === 'over') throw end.error;
    if (end.is === 'through') {
      from = next;
      breaks = 0;
      continue;
    }
    const { failure } = end;
    if (end.is === 'too-large' && next === from + 1) throw failure;
    if (end.is === 'broken') await afterBreak(carrier, ++breaks, failure);
    if ((await carrier.there())?.has(commit) !== true) continue;
    // Only its answer was lost.
    carrier.track.found(bytes);
    carrier.through += 1;
    from = next;
  }
}

/** So many commits, oldest first, as make a part: at least one. Pure. */
export function howFar(rest: readonly number[], from: number, size: number): { next: number; bytes: number } {
  let next = from + 1;
  let bytes = rest[from] ?? 0;
  while (next < rest.length && bytes + (rest[next] ?? 0) <= size) bytes += rest[next++] ?? 0;
  return { next, bytes };
}

async function join({ ctx, scratch }: Carrier, commit: string, links: readonly string[]): Promise<string> {
  const tree = await gitLine(ctx.root, ['rev-parse', '--verify', `${commit}^{tree}`]);
  const { id, commit: bytes } = joinObject(tree, [...links, commit]);
  await writeScratch(scratch, 'commit', id, bytes);
  return id;
}
