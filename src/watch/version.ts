import type { Captured, FileStat, Save, Settled } from '../model/save.ts';
import { sameStat } from '../system/stat.ts';
import {
  isCaptured,
  isTake,
  type Known,
  type Named,
  type Rules,
  sortRest,
  type Tracked,
  type Version,
} from './known.ts';

/** How captured saves grow, become what is handed over, and are done with. Pure. */

/** Takes in what was captured. Of a package either all is taken or nothing; what moved has to become quiet anew. */
export function takeIn(known: Known, captured: readonly Captured[], moved: readonly string[], now: number): Known {
  const files = new Map(known.files);
  const torn = new Set<string>();
  for (const path of moved) {
    const file = files.get(path);
    if (file === undefined) continue;
    files.set(path, { ...file, since: now });
    torn.add(file.unit);
  }
  const version = openVersion(known, now);
  const entries = new Map(version.captured);
  for (const file of captured) {
    const tracked = files.get(file.path);
    if (tracked === undefined || tracked.stat === null || torn.has(tracked.unit)) continue;
    entries.set(file.path, { file, stat: tracked.stat, writing: known.open.has(file.path) });
  }
  if (entries.size === 0) return { ...known, files };
  return withLast({ ...known, files }, { ...version, captured: entries });
}

/** A session file that is gone, and stayed so for the quiet time, belongs to the save as well. */
export function withDeletions(known: Known, settled: readonly string[], now: number): Known {
  const gone = settled.filter((path) => {
    const file = known.files.get(path);
    return file !== undefined && file.stat === null && !isCaptured(known, path, file);
  });
  if (gone.length === 0) return known;
  const version = openVersion(known, now);
  return withLast(known, { ...version, deleted: new Set([...version.deleted, ...gone]) });
}

function openVersion({ versions }: Known, now: number): Version {
  const last = versions.at(-1);
  return last === undefined || last.sealed
    ? { captured: new Map(), deleted: new Set(), since: now, sealed: false }
    : last;
}

function withLast(known: Known, version: Version): Known {
  const sealed = known.versions.filter((one) => one.sealed);
  return { ...known, versions: [...sealed, version] };
}

/** What is handed over: the oldest captured save if there is one, and all else that has settled. */
export function nextSave(rules: Rules, known: Known, now: number): Save {
  const [version] = known.versions;
  const { ready, moving } = sortRest(rules, known, now);
  const save: Save = {
    captured: [...(version?.captured.values() ?? [])].map(({ file }) => file),
    settled: [],
    deleted: [...(version?.deleted ?? [])],
    incomplete: moving.filter(isTake).map(({ path }) => path),
    toFollow: [],
  };
  const budget = budgetOf(known);
  for (const { path, file } of ready) {
    if (file.stat === null) save.deleted.push(path);
    else if (budget.takes(file)) save.settled.push({ path, stat: file.stat });
    else if (file.kind === 'media') save.toFollow.push(path);
  }
  return save;
}

/** Is there room for anything of this? */
export const fitsAny = (known: Known, ready: readonly Named[]): boolean =>
  ready.some(({ file }) => budgetOf(known).takes(file));

/** Of these session files those for which there is room; of a package all or nothing. */
export function thatFit(known: Known, files: readonly Settled[]): Settled[] {
  const units = new Map<string, Settled[]>();
  for (const file of files) {
    const unit = known.files.get(file.path)?.unit ?? file.path;
    units.set(unit, [...(units.get(unit) ?? []), file]);
  }
  let left = known.room.sessions;
  return [...units.values()].flatMap((unit) => {
    const bytes = unit.reduce((sum, { stat }) => sum + Number(stat.size), 0);
    if (bytes > left) return [];
    left -= bytes;
    return unit;
  });
}

/** What may still be stored: there is room for so much, and in the end time for so much. */
function budgetOf({ room, ending }: Known): { takes: (file: Tracked) => boolean } {
  const left = { media: room.media, other: room.sessions, time: ending?.bytes ?? Number.POSITIVE_INFINITY };
  return {
    takes: ({ kind, stat }) => {
      // What is gone takes no room.
      if (stat === null) return true;
      const bytes = Number(stat.size);
      const of = kind === 'media' ? 'media' : 'other';
      if (bytes > left[of] || bytes > left.time) return false;
      left[of] -= bytes;
      left.time -= bytes;
      return true;
    },
  };
}

/** What was handed over is committed, or was so already. */
export function done(known: Known, save: Save, now: number): Known {
  const [version, ...versions] = known.versions;
  const handled = new Map<string, FileStat | null>(known.handled);
  for (const [path, { stat }] of version?.captured ?? []) handled.set(path, stat);
  for (const { path, stat } of save.settled) handled.set(path, stat);
  for (const path of save.deleted) handled.set(path, null);
  const files = new Map(known.files);
  for (const [path, { stat }] of known.files) {
    const was = handled.get(path);
    if (was !== undefined && sameStat(was, stat)) files.delete(path);
  }
  const taken = save.settled.reduce((sum, { stat }) => sum + Number(stat.size), 0);
  return {
    ...known,
    files,
    handled,
    versions,
    mediaOnlyAt: version === undefined ? now : known.mediaOnlyAt,
    retry: null,
    ending: known.ending && { bytes: known.ending.bytes - taken },
  };
}

/** Of what was handed over, these moved; null if nothing of it is known to be able to. */
export function unsettle(known: Known, paths: readonly string[], now: number): Known | null {
  const files = new Map(known.files);
  let found = false;
  for (const path of paths) {
    const file = files.get(path);
    if (file === undefined || file.kind === 'session') continue;
    files.set(path, { ...file, since: now });
    found = true;
  }
  return found ? { ...known, files } : null;
}
