import { isSession } from '../daw/match.ts';
import type { DawProfile } from '../daw/profile.ts';
import { sameEntry, type TreeEntry } from '../git/tree.ts';
import { type InCommon, isSettings } from './compare.ts';

/**
 * How both versions of a session lie side by side, each playing its own audio, without a session being touched: DAWs find
 * audio by its path from the session. Pure.
 *
 * Where every other file is the same for both, the other's session stands beside ours under its author's name:
 * `Song (Ann).als`, `Song (Ann).logicx`. Where a file of the same name is not the same, that would play the wrong take: then all of
 * the other's version goes into a folder, `Song (Ann)/`, in which every path is as its session knows it. That doubles the
 * files on the disk, but not in the repository, nor on the way to it.
 */

type Tree = ReadonlyMap<string, TreeEntry>;

export interface Both {
  mine: Tree;
  other: Tree;
  /** What a join holds in which what is in common is as in mine. */
  joined: Tree;
  inCommon: readonly InCommon[];
  author: string;
  daw: DawProfile;
  /** For the folder, where it is not a session that is in common. */
  project: string;
}

/** The whole version with both in it. */
export function sideBySide(both: Both): Map<string, TreeEntry> {
  return sharesAudio(both) ? beside(both) : inFolder(both);
}

/** Is every file that may belong to a session the same in the join as in each of the two? */
function sharesAudio({ mine, other, joined, inCommon, daw }: Both): boolean {
  if (inCommon.some((one) => !one.isSession)) return false;
  return [mine, other].every((tree) =>
    [...tree].every(
      ([path, entry]) =>
        isSettings(path) ||
        // Sessions do not play each other.
        isSession(daw, path) ||
        inCommon.some(({ name }) => path.startsWith(`${name}/`)) ||
        sameEntry(entry, joined.get(path) ?? null),
    ),
  );
}

function beside({ other, joined, inCommon, author }: Both): Map<string, TreeEntry> {
  const result = new Map(joined);
  for (const { name } of inCommon) {
    const theirs = [...other].filter(([path]) => path === name || path.startsWith(`${name}/`));
    // What only the other has needs no second name.
    const copy = holds(joined, name) ? freeName(result, ...stemOf(name), author) : name;
    for (const [path, entry] of theirs) result.set(copy + path.slice(name.length), entry);
  }
  return result;
}

/** A file of that name, or a package. */
const holds = (tree: Tree, name: string): boolean =>
  tree.has(name) || [...tree.keys()].some((path) => path.startsWith(`${name}/`));

function inFolder({ mine, other, joined, inCommon, author, project }: Both): Map<string, TreeEntry> {
  const settings = [...joined].filter(([path]) => isSettings(path));
  const result = new Map([...[...mine].filter(([path]) => !isSettings(path)), ...settings]);
  const sessions = inCommon.filter((one) => one.isSession).map(({ name }) => name);
  const named = sessions.find((name) => holds(mine, name) && holds(other, name)) ?? sessions[0];
  const session = named?.split('/').at(-1) ?? project;
  const folder = freeName(result, stemOf(session)[0], '', author);
  for (const [path, entry] of other) if (!isSettings(path)) result.set(`${folder}/${path}`, entry);
  return result;
}

/** `Sets/Song`, `.als` → `Sets/Song (Ann).als`, or `Song (Ann 2).als` where that is taken, on any kind of disk. */
function freeName(taken: ReadonlyMap<string, unknown>, stem: string, ending: string, author: string): string {
  const folded = new Set([...taken.keys()].flatMap((path) => pathsIn(inAnyCase(path))));
  for (let n = 1; ; n++) {
    const copy = copyName(stem, ending, n === 1 ? author : `${author} ${n}`);
    if (!folded.has(inAnyCase(copy))) return copy;
  }
}

const inAnyCase = (path: string): string => path.normalize('NFC').toLowerCase();

/** A path and the folders it lies in. */
const pathsIn = (path: string): string[] => path.split('/').map((_, i, parts) => parts.slice(0, i + 1).join('/'));

/** `Sets/Song.als` → `Sets/Song`, `.als` */
function stemOf(name: string): [stem: string, ending: string] {
  const stem = name.replace(/(?<=[^/])\.[^./]*$/, '');
  return [stem, name.slice(stem.length)];
}

/** File systems take names of 255 bytes; some programs add an ending of their own. */
const longest = 230;

/** The name of a copy: `Song`, `.als`, `Ann` → `Song (Ann).als`. Any name of a person, and any length, will do. */
export function copyName(stem: string, ending: string, author: string): string {
  const plain = author
    .replace(/[\p{Cc}/\\:*?"<>|()]+/gu, ' ')
    .replace(/\s+/g, ' ')
    .trim();
  const who = ` (${
    letters(plain)
      .slice(0, 40)
      .join('')
      .replace(/[. ]+$/, '') || 'the other'
  })`;
  const folder = stem.slice(0, stem.lastIndexOf('/') + 1);
  let file = letters(stem.slice(folder.length));
  while (file.length > 1 && Buffer.byteLength(file.join('') + who + ending) > longest) file = file.slice(0, -1);
  return `${folder}${file.join('')}${who}${ending}`;
}

/** As people count them: an emoji is one. */
const letters = (text: string): string[] => Array.from(new Intl.Segmenter().segment(text), ({ segment }) => segment);
