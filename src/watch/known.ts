import { holdsAudio, isDatabase, isMedia, isSession, packageOf } from '../daw/match.ts';
import type { DawProfile } from '../daw/profile.ts';
import type { Captured, FileStat, Save } from '../model/save.ts';
import { sameStat } from '../system/stat.ts';
import type { Times } from './times.ts';

/** What the detector knows between two looks, and what follows from it. Pure. Times are of a clock that never goes back. */

export interface Rules {
  times: Times;
  profile: DawProfile;
}

export interface Known {
  /** When the last look was: what has settled is judged as of then, for nobody knows what was written since. */
  lookedAt: number;
  /** What differs from HEAD and is not done with. */
  files: ReadonlyMap<string, Tracked>;
  /** Temporary files beside sessions. */
  temporary: ReadonlyMap<string, Tracked>;
  /** What is open for writing, of the files that have not changed for a while. */
  open: ReadonlySet<string>;
  /** What could not be stored, for it may not be read: nothing waits for it. */
  unreadable: ReadonlySet<string>;
  room: Room;
  /** Saves that were captured, oldest first. All but the last are sealed. */
  versions: readonly Version[];
  /** What a version is just being made of, be it of gigabytes: looks and captures go on meanwhile. */
  making: { save: Save; of: 'the oldest' | 'media only'; since: number } | null;
  /** What was committed, as it lay then: should git go on calling it different, it is done with all the same. */
  handled: ReadonlyMap<string, FileStat | null>;
  stirredAt: number;
  /** When the last version of media only was made. */
  mediaOnlyAt: number;
  /** No version could be made; it is tried again at `at`. */
  retry: { tries: number; at: number; reason: string } | null;
  /** We were told to end: so many bytes of media may still be taken along. */
  ending: { bytes: number } | null;
}

export interface Tracked {
  kind: 'session' | 'media' | 'other';
  /** What settles as one: a package, else the file itself. */
  unit: string;
  /** null: it is gone. */
  stat: FileStat | null;
  /** When it was first seen so. */
  since: number;
  /** For how long it must not change, ms. */
  quiet: number;
  database: boolean;
}

export interface Version {
  /** `writing`: it was open for writing whenever we looked since; if it changes, the same save goes on. */
  captured: ReadonlyMap<string, { file: Captured; stat: FileStat; writing: boolean }>;
  /** Session files that are gone. */
  deleted: ReadonlySet<string>;
  /** When its first file was captured. */
  since: number;
  /** A newer save has come: this one waits for nothing more. */
  sealed: boolean;
}

/** How things lie: what differs from HEAD (null: gone), temporary files beside sessions, what is open for writing, what may still not be read. */
export interface Look {
  files: ReadonlyMap<string, FileStat | null>;
  temporary: ReadonlyMap<string, FileStat>;
  open: ReadonlySet<string>;
  unreadable: ReadonlySet<string>;
  room: Room;
}

/** How many bytes may still be stored, so that what is recorded finds room; below 0: none. */
export interface Room {
  media: number;
  /** Of what is kept free the sessions, small and saved over and over, may use a part. */
  sessions: number;
}

export const plenty: Room = { media: Number.POSITIVE_INFINITY, sessions: Number.POSITIVE_INFINITY };

export const nothingKnown: Known = {
  lookedAt: Number.NEGATIVE_INFINITY,
  files: new Map(),
  temporary: new Map(),
  open: new Set(),
  unreadable: new Set(),
  room: plenty,
  versions: [],
  making: null,
  handled: new Map(),
  stirredAt: Number.NEGATIVE_INFINITY,
  mediaOnlyAt: Number.NEGATIVE_INFINITY,
  retry: null,
  ending: null,
};

/** Takes in a look. A session that changed after it was captured seals the version that waits. */
export function track(rules: Rules, known: Known, look: Look, now: number): Known {
  const files = new Map<string, Tracked>();
  const handled = new Map<string, FileStat | null>();
  for (const [path, stat] of look.files) {
    const done = known.handled.get(path);
    if (done !== undefined && sameStat(done, stat)) handled.set(path, stat);
    else files.set(path, follow(rules, known.files.get(path), path, stat, now));
  }
  const temporary = new Map<string, Tracked>();
  for (const [path, stat] of look.temporary)
    temporary.set(path, follow(rules, known.temporary.get(path), path, stat, now));
  const { open, room } = look;
  const unreadable = new Set([...look.unreadable].filter((path) => files.has(path)));
  const seen = { ...known, lookedAt: now, files, handled, temporary, open, unreadable, room };
  return { ...seen, versions: sealWhatIsOver(rules, known, seen, now) };
}

function follow({ times, profile }: Rules, old: Tracked | undefined, path: string, stat: FileStat | null, now: number) {
  if (old !== undefined && sameStat(old.stat, stat)) return old;
  if (old !== undefined) return { ...old, stat, since: now, quiet: quietOf(times, old.kind, path, stat) };
  const outer = packageOf(path);
  const session = isSession(profile, path);
  const kind = session ? 'session' : isMedia(path) ? 'media' : 'other';
  return {
    kind,
    unit: session && outer !== null ? outer : path,
    stat,
    since: now,
    quiet: quietOf(times, kind, path, stat),
    database: session && isDatabase(path),
  } satisfies Tracked;
}

function quietOf(times: Times, kind: Tracked['kind'], path: string, stat: FileStat | null): number {
  const audio = kind === 'media' || (kind === 'session' && holdsAudio(path));
  return audio && stat !== null ? times.mediaQuiet : times.quiet;
}

/** `before` is what was known before the look that gave `known`. */
function sealWhatIsOver(rules: Rules, before: Known, known: Known, now: number): Version[] {
  const version = before.versions.at(-1);
  if (version === undefined || version.sealed) return [...before.versions];
  const captured = new Map(version.captured);
  let sealed = false;
  for (const path of sessionPaths(before, known)) {
    const [old, current] = [before.files.get(path), known.files.get(path)];
    const entry = captured.get(path);
    if (old === current) {
      if (entry?.writing === true && !known.open.has(path)) captured.set(path, { ...entry, writing: false });
    } else if (entry?.writing === true && now - (old?.since ?? now) < rules.times.openPatience) captured.delete(path);
    // Saves that follow each other within the quiet time are one: only what was at rest begins a new one.
    else if (old === undefined || inVersion(version, path, old)) sealed = true;
  }
  const earlier = before.versions.slice(0, -1);
  if (captured.size + version.deleted.size === 0) return earlier;
  const rest = { ...version, captured };
  if (!sealed) return [...earlier, rest];
  // What is still being written when another save begins belongs to that one.
  const over = isMade(before, version) ? rest : withoutOpen(rules, known, rest, now);
  return over === null ? earlier : [...earlier, { ...over, sealed }];
}

/**
 * Of a version that waits, what is not open for writing as it was captured: in the end, or should this process be killed,
 * nobody would know whether the rest of it was still to come. It lies on the disk, and is captured anew. Null: nothing is left.
 */
function withoutOpen(rules: Rules, known: Known, version: Version, now: number): Version | null {
  const units = new Set<string>();
  for (const [path, { stat, writing }] of version.captured) {
    const file = known.files.get(path);
    if (file === undefined || !writing || !sameStat(stat, file.stat)) continue;
    if (isHeldOpen(rules, known, path, file, now)) units.add(file.unit);
  }
  const captured = new Map([...version.captured].filter(([path]) => !units.has(known.files.get(path)?.unit ?? path)));
  return captured.size + version.deleted.size === 0 ? null : { ...version, captured };
}

/** The same of all that wait. One that is sealed, or being made, is complete. */
export function completeVersions(rules: Rules, known: Known, now: number): readonly Version[] {
  const version = known.versions.at(-1);
  if (version === undefined || version.sealed || isMade(known, version)) return known.versions;
  const rest = withoutOpen(rules, known, version, now);
  return [...known.versions.slice(0, -1), ...(rest === null ? [] : [rest])];
}

/** Is it being made just now? Then nothing is added to it any more, and nothing taken away. */
export const isMade = ({ making, versions }: Known, version: Version): boolean =>
  making?.of === 'the oldest' && versions[0] === version;

function sessionPaths(...all: Known[]): Set<string> {
  const paths = new Set<string>();
  for (const { files } of all) for (const [path, { kind }] of files) if (kind === 'session') paths.add(path);
  return paths;
}

/** Is the file, as it lies now, part of that version? */
function inVersion(version: Version, path: string, { stat }: Tracked): boolean {
  const entry = version.captured.get(path);
  return stat === null ? version.deleted.has(path) : entry !== undefined && sameStat(entry.stat, stat);
}

/** Is the session file, as it lies now, part of a version that waits? */
export const isCaptured = (known: Known, path: string, file: Tracked): boolean =>
  known.versions.some((version) => inVersion(version, path, file));

export const isQuiet = ({ since, quiet }: Tracked, now: number): boolean => now - since >= quiet;

/** Does somebody have it open for writing, and not just an idle descriptor? */
export function isHeldOpen({ times }: Rules, known: Known, path: string, file: Tracked, now: number): boolean {
  return known.open.has(path) && (file.database || now - file.since < times.openPatience);
}

/**
 * The session files of all units that have settled as a whole. In the end what somebody has open for writing has not: it may
 * be half of a save, of which nobody would see the rest; it stays on the disk, for the next start.
 */
export function settledUnits(rules: Rules, known: Known, now: number): string[] {
  const sessions = [...known.files].filter(([, { kind }]) => kind === 'session');
  const moving = new Set<string>();
  for (const [path, file] of sessions) {
    const open = (file.database || known.ending !== null) && isHeldOpen(rules, known, path, file, now);
    if (open || !isQuiet(file, now) || isBeingReplaced(rules, known, path, file, now)) moving.add(file.unit);
  }
  return sessions.flatMap(([path, { unit }]) => (moving.has(unit) ? [] : [path]));
}

/** Is there a fresh temporary file beside it? One that has not changed for a long time is a leftover. */
export function isBeingReplaced({ times }: Rules, known: Known, path: string, file: Tracked, now: number): boolean {
  if (now - file.since >= times.openPatience) return false;
  for (const [name, { since }] of known.temporary)
    if (now - since < times.mediaQuiet && (folderOf(name) === folderOf(path) || name.startsWith(`${file.unit}/`)))
      return true;
  return false;
}

const folderOf = (path: string): string => path.slice(0, path.lastIndexOf('/') + 1);

/** Media and other files: those that may be committed as they lie, and those that may not yet. */
export function sortRest(rules: Rules, known: Known, now: number): { ready: Named[]; moving: Named[] } {
  const sorted = { ready: [] as Named[], moving: [] as Named[] };
  for (const [path, file] of known.files) {
    if (file.kind === 'session' || known.unreadable.has(path)) continue;
    const isReady = isQuiet(file, now) && !isHeldOpen(rules, known, path, file, now);
    sorted[isReady ? 'ready' : 'moving'].push({ path, file });
  }
  return sorted;
}

export interface Named {
  path: string;
  file: Tracked;
}

export const isTake = ({ file }: Named): boolean => file.kind === 'media' && file.stat !== null;

/** Takes that grow, or have only just ceased to; those recorded into a session file count, while that is written. */
export function growingTakes(rules: Rules, known: Known): Named[] {
  const now = known.lookedAt;
  const sessions = [...known.files]
    .filter(([path, file]) => file.kind === 'session' && holdsAudio(path) && file.stat !== null && !isQuiet(file, now))
    .map(([path, file]) => ({ path, file }));
  return [...sortRest(rules, known, now).moving.filter(isTake), ...sessions];
}
