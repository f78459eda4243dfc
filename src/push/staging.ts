import type { Namespace } from '../lock/names.ts';

/**
 * Where parts lie on the remote until the push is done: `refs/oxenvcs/staging/<clone>-<YYYYMMDD>/<run>.<part>.<what>`, with a
 * number for `what` where it is a link. The remote is the truth about what has arrived. Pure.
 */
export interface Staged {
  ref: string;
  id: string;
  /** The folder that the ref lies in: of one clone, on one day. */
  folder: string;
  clone: string;
  /** `YYYYMMDD` */
  date: string;
  /** Tells parts apart: `<run>.<part>`. */
  part: string;
  /** `join`: links with a commit. `tip`: a commit of the branch, with all that belongs to it. */
  kind: 'link' | 'join' | 'tip';
}

/** A clone that has not come back for so many days has given up. */
const giveUpDays = 30;

/** Beside the locks, where the remote was found to let us keep refs. */
export const stagingPrefix = (namespace: Namespace): string => namespace.replace(/locks\/$/, 'staging/');

/** The folder of this clone for what it stages today: a transfer that goes on for weeks shows by its newer folders that it lives. */
export function stagingFolder(prefix: string, clone: string, now: number): string {
  const date = new Date(now).toISOString().slice(0, 10).replaceAll('-', '');
  return `${prefix}${clone.slice(0, 8)}-${date}/`;
}

export function stagedAmong(refs: ReadonlyMap<string, string>, prefix: string): Staged[] {
  const staged: Staged[] = [];
  for (const [ref, id] of refs) {
    const match = ref.startsWith(prefix)
      ? /^(([^/-]+)-(\d{8})\/)([^/.]+\.\d+)\.(\d+|join|tip)$/.exec(ref.slice(prefix.length))
      : null;
    if (match === null) continue;
    const [, folder = '', clone = '', date = '', part = '', what = ''] = match;
    const kind = what === 'join' || what === 'tip' ? what : 'link';
    staged.push({ ref, id, folder: prefix + folder, clone, date, part, kind });
  }
  return staged;
}

/**
 * The folders that may go once this clone's push is done: all of its own, and those of clones that never came back. Somebody else's
 * live one never: as long as one of a clone's folders is young, the transfer that they belong to may go on.
 */
export function overFolders(staged: readonly Staged[], own: string, now: number): string[] {
  const newest = new Map<string, string>();
  for (const { clone, date } of staged) if (date > (newest.get(clone) ?? '')) newest.set(clone, date);
  const limit = new Date(now - giveUpDays * 86_400_000).toISOString().slice(0, 10).replaceAll('-', '');
  const mine = own.slice(0, 8);
  const over = staged.filter(({ clone }) => clone === mine || (newest.get(clone) ?? '') < limit);
  return [...new Set(over.map(({ folder }) => folder))];
}
