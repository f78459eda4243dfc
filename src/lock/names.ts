import { createHash } from 'node:crypto';

/**
 * Names of refs. On the remote: one lock a branch. Here: `mirror` is what was last fetched (pruned by the fetch),
 * `known` the furthest record that we have seen or made, which keeps the chain alive when the remote loses it.
 */

/** Where the remote lets us keep lock refs; the first that it allows (probe.ts). */
export const namespaces = ['refs/oxenvcs/locks/', 'refs/heads/oxenvcs/locks/', 'refs/tags/oxenvcs/locks/'] as const;
export type Namespace = (typeof namespaces)[number];

/**
 * A branch as one component of a ref: `locks/main` would block `locks/main/alt`. Dots are encoded too, since a ref may
 * not hold `..`, begin with a dot or end in `.lock`. What would be too long for the name of a file (255 bytes, of which git
 * takes five) ends in its hash.
 */
export function encodeBranch(branch: string): string {
  const wellFormed = Buffer.from(branch).toString();
  const encoded = encodeURIComponent(wellFormed).replace(
    /[.~*!'()]/g,
    (c) => `%${c.charCodeAt(0).toString(16).toUpperCase().padStart(2, '0')}`,
  );
  if (encoded.length <= 240) return encoded;
  return `${encoded.slice(0, 150)}%x${createHash('sha256').update(wellFormed).digest('hex')}`;
}

export const lockRef = (branch: string, namespace: Namespace = namespaces[0]): string =>
  namespace + encodeBranch(branch);
export const mirrorRef = (branch: string): string => `refs/oxenvcs/mirror/${encodeBranch(branch)}`;
export const knownRef = (branch: string): string => `refs/oxenvcs/known/${encodeBranch(branch)}`;
