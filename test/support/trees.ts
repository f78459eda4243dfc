import type { TreeChange, TreeEntry } from '../../src/git/tree.ts';

/** A version for tests that need no repository: path → what stands for the bytes. */
export type Files = Record<string, string>;

const entry = (text: string | undefined): TreeEntry | null =>
  text === undefined ? null : { mode: '100644', oid: text };

export const treeOf = (files: Files): Map<string, TreeEntry> =>
  new Map(Object.entries(files).map(([path, oid]) => [path, { mode: '100644', oid }]));

/** What one side made of `base`. */
export const changes = (base: Files, side: Files): TreeChange[] =>
  [...new Set([...Object.keys(base), ...Object.keys(side)])]
    .filter((path) => base[path] !== side[path])
    .map((path) => ({ path, old: entry(base[path]), next: entry(side[path]) }));
