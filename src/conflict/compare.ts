import { isMedia, isSession, packageOf } from '../daw/match.ts';
import type { DawProfile } from '../daw/profile.ts';
import { sameEntry, type TreeChange, type TreeEntry } from '../git/tree.ts';
import { configPath } from '../project/project.ts';

/**
 * What two histories have in common since they parted. Pure. `ours` is what would be joined to the team's branch, `theirs`
 * what the branch holds: each side as a list of what it changed.
 *
 * In common are: the same session (of a package all but its media count as one), any other file that both changed to
 * different bytes (take names repeat between machines), names that are one name on some disks. Where audio is in common,
 * the sessions of both sides are so, too: each of them plays its own. A file that one side deleted stays if the other
 * side changed it, or changed a session that may use it. Of the settings files the team's are taken.
 */
export interface Compared {
  /** What the join of the two holds where it differs from theirs (null: nothing), but for what is in common. */
  entries: ReadonlyMap<string, TreeEntry | null>;
  inCommon: readonly InCommon[];
}

export interface InCommon {
  /** As a person names it: a file, or a package. */
  name: string;
  isSession: boolean;
  /** Of the files it is made of those that either side changed. */
  paths: readonly string[];
}

export function compare(profile: DawProfile, ours: readonly TreeChange[], theirs: readonly TreeChange[]): Compared {
  const [mine, yours] = [byPath(ours), byPath(theirs)];
  const [mySessions, yourSessions] = [sessionsIn(profile, ours), sessionsIn(profile, theirs)];
  const entries = new Map<string, TreeEntry | null>();
  const inCommon = new Map<string, InCommon>();
  const meet = (name: string, isOne: boolean, paths: readonly string[]) => {
    const known = inCommon.get(name)?.paths ?? [];
    inCommon.set(name, { name, isSession: isOne, paths: [...new Set([...known, ...paths])] });
  };

  for (const name of new Set([...mySessions.keys(), ...yourSessions.keys()])) {
    const [here, there] = [mySessions.get(name), yourSessions.get(name)];
    if (here !== undefined && there !== undefined && !sameChanges(here, there))
      meet(
        name,
        true,
        [...here, ...there].map(({ path }) => path),
      );
    else for (const { path, next } of here ?? []) entries.set(path, next);
  }
  for (const change of ours) {
    const { path, next } = change;
    if (isPartOfSession(profile, path)) continue;
    const other = yours.get(path);
    if (other === undefined) {
      if (next !== null || !mayUse(yourSessions, path)) entries.set(path, next);
    } else if (!sameEntry(next, other.next) && !isSettings(path) && next !== null)
      if (other.next === null) entries.set(path, next);
      else meet(path, false, [path]);
  }
  for (const { path, old, next } of theirs)
    if (next === null && !mine.has(path) && !isPartOfSession(profile, path) && mayUse(mySessions, path))
      entries.set(path, old);

  for (const [one, other] of clashes(entries, yours)) {
    entries.delete(one);
    meet(one, isSession(profile, one), [one, other]);
  }
  if ([...inCommon.values()].some(({ paths }) => paths.some(isMedia)))
    for (const sessions of [mySessions, yourSessions])
      for (const [name, changes] of sessions) {
        if (sameChanges(mySessions.get(name) ?? [], yourSessions.get(name) ?? [])) continue;
        for (const { path } of changes) entries.delete(path);
        meet(
          name,
          true,
          changes.map(({ path }) => path),
        );
      }
  return { entries, inCommon: [...inCommon.values()].toSorted((a, b) => (a.name < b.name ? -1 : 1)) };
}

/** The join's entries with what is in common decided for one side. */
export function decide(
  { entries, inCommon }: Compared,
  ours: readonly TreeChange[],
  theirs: readonly TreeChange[],
  keep: 'ours' | 'theirs',
): Map<string, TreeEntry | null> {
  const decided = new Map(entries);
  if (keep === 'theirs') return decided;
  const [mine, yours] = [byPath(ours), byPath(theirs)];
  for (const path of inCommon.flatMap(({ paths }) => paths)) {
    // What only they changed is for us as it was before.
    const own = mine.get(path);
    decided.set(path, own === undefined ? (yours.get(path)?.old ?? null) : own.next);
  }
  return decided;
}

const byPath = (changes: readonly TreeChange[]): Map<string, TreeChange> =>
  new Map(changes.map((change) => [change.path, change]));

/** The team's own files that say how the project is kept: two who changed them have not worked on the same music. */
export const isSettings = (path: string): boolean =>
  path === configPath || /(^|\/)\.(gitattributes|gitignore|gitmodules|lfsconfig)$/.test(path);

const isPartOfSession = (profile: DawProfile, path: string): boolean => !isSettings(path) && isSession(profile, path);

/** Changed sessions by their names, each with its changed files. */
function sessionsIn(profile: DawProfile, changes: readonly TreeChange[]): Map<string, TreeChange[]> {
  const found = new Map<string, TreeChange[]>();
  for (const change of changes) {
    if (!isPartOfSession(profile, change.path)) continue;
    const name = packageOf(change.path) ?? change.path;
    found.set(name, [...(found.get(name) ?? []), change]);
  }
  return found;
}

function sameChanges(a: readonly TreeChange[], b: readonly TreeChange[]): boolean {
  const other = byPath(b);
  return (
    a.length === b.length &&
    a.every(({ path, next }) => sameEntry(next, other.get(path)?.next ?? null) && other.has(path))
  );
}

/** May one of these changed sessions use that file? One in a package serves the package alone. */
function mayUse(sessions: ReadonlyMap<string, readonly TreeChange[]>, path: string): boolean {
  const outer = packageOf(path);
  return [...sessions].some(
    ([name, changes]) => (outer === null || outer === name) && changes.some(({ next }) => next !== null),
  );
}

/** New files of ours and theirs whose names are the same on a disk that does not tell case or Unicode forms, or a file where the other has a folder. */
function clashes(
  entries: ReadonlyMap<string, TreeEntry | null>,
  yours: ReadonlyMap<string, TreeChange>,
): [ours: string, theirs: string][] {
  const files = new Map<string, string>();
  const folders = new Map<string, string>();
  for (const [path, { next }] of yours) {
    if (next === null) continue;
    files.set(folded(path), path);
    for (const folder of foldersOf(folded(path))) folders.set(folder, path);
  }
  const found: [string, string][] = [];
  for (const [path, entry] of entries) {
    if (entry === null) continue;
    const name = folded(path);
    const other = [name, ...foldersOf(name)].map((one) => files.get(one)).find((one) => one !== undefined);
    const met = other !== undefined && other !== path ? other : folders.get(name);
    if (met !== undefined) found.push([path, met]);
  }
  return found;
}

/** As a disk sees it that takes `Take.wav` for `take.wav`. */
const folded = (path: string): string => path.normalize('NFC').toLowerCase();

function foldersOf(path: string): string[] {
  const parts = path.split('/');
  return parts.slice(1).map((_, i) => parts.slice(0, i + 1).join('/'));
}
