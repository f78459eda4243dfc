import { type Blobs, closeLinks, idsInTree, linkObjects } from './links.ts';
import type { Link } from './parts.ts';

export interface Resumed {
  /** Still to be sent. */
  waiting: Link[];
  /** On the remote already, and part of the plan. */
  matched: Link[];
  /** On the remote already, and known here from before; what of the plan they hold, bytes. */
  known: { id: string; bytes: number }[];
}

/**
 * Which links a push of `media` needs, and which of them the remote has. Pure. `staged`: the ids of the links that lie on
 * the remote, whoever put them there; `trees`: the trees of those that are known here. What these hold leaves the plan,
 * also when the plan has changed since; the rest is closed into links anew and matched by its ids, for the same work gives
 * the same links in another clone too.
 */
export function resume(
  media: Blobs,
  staged: ReadonlySet<string>,
  trees: ReadonlyMap<string, Buffer>,
  linkBytes: number,
): Resumed {
  const { known, left } = withoutKnown(media, trees);
  const resumed: Resumed = { waiting: [], matched: [], known };
  const sizes = left.map((place) => media.sizes[place] ?? 0);
  for (const { blobs, bytes } of closeLinks(sizes, linkBytes)) {
    const closed = { blobs: blobs.map((place) => left[place] ?? 0) };
    const objects = () => linkObjects(media, closed);
    const link = { id: objects().id, bytes, objects };
    resumed[staged.has(link.id) ? 'matched' : 'waiting'].push(link);
  }
  return resumed;
}

function withoutKnown(media: Blobs, trees: ReadonlyMap<string, Buffer>): { known: Resumed['known']; left: number[] } {
  const all = media.sizes.map((_, place) => place);
  if (trees.size === 0) return { known: [], left: all };
  const places = new Map(all.map((place) => [rawId(media, place), place]));
  const held = new Set<number>();
  const known: Resumed['known'] = [];
  for (const [id, tree] of trees) {
    const blobs = [...idsInTree(tree, media.idBytes)].flatMap((raw) => places.get(raw.toString('latin1')) ?? []);
    if (blobs.length === 0) continue; // overtaken: nothing of it is wanted any more
    known.push({ id, bytes: blobs.reduce((sum, blob) => sum + (held.has(blob) ? 0 : (media.sizes[blob] ?? 0)), 0) });
    for (const blob of blobs) held.add(blob);
  }
  return { known, left: all.filter((place) => !held.has(place)) };
}

const rawId = ({ ids, idBytes }: Blobs, place: number): string =>
  ids.toString('latin1', place * idBytes, (place + 1) * idBytes);
