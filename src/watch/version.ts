import type { Captured, FileStat, PendingSave, Save, Settled } from '../model/save.ts';
import { sameStat } from '../system/stat.ts';
import {
  completeVersions,
  isCaptured,
  isMade,
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
  // Until the next look tells what is left.
  const room = { ...known.room };
  for (const file of captured) {
    const tracked = files.get(file.path);
    if (tracked === undefined || tracked.stat === null || torn.has(tracked.unit)) continue;
    room.sessions -= Number(tracked.stat.size);
    entries.set(file.path, { file, stat: tracked.stat, writing: known.open.has(file.path) });
  }
  if (entries.size === 0) return { ...known, files };
  return withLast({ ...known, files, room }, { ...version, captured: entries });
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

function openVersion(known: Known, now: number): Version {
  const last = known.versions.at(-1);
  return last === undefined || last.sealed || isMade(known, last)
    ? { captured: new Map(), deleted: new Set(), since: now, sealed: false }
    : last;
}

function withLast(known: Known, version: Version): Known {
  const before = known.versions.filter((one) => one.sealed || isMade(known, one));
  return { ...known, versions: [...before.map((one) => ({ ...one, sealed: true })), version] };
}

/**
 * The captured saves that must outlive this process, oldest first: the DAW may save over them any moment. One that is
 * just being made will be a version in a moment, as a rule, and until then it still lies as it was captured.
 */
export function toOutlive(rules: Rules, known: Known, now: number): PendingSave[] {
  const { making } = known;
  const versions = completeVersions(rules, known, now);
  const [first] = versions;
  const inAMoment = making?.of === 'the oldest' && first?.sealed === false;
  if (inAMoment && now - making.since < rules.times.moment) return [];
  return versions.map(({ captured, deleted }) => ({
    captured: [...captured.values()].map(({ file, stat }) => ({ file, stat })),
    deleted: [...deleted],
  }));
}

/** Of what outlived the process before this one: all that is not captured anew anyhow, for it still lies so (`now`). */
export function overwritten(saves: readonly PendingSave[], now: ReadonlyMap<string, FileStat | null>): Version[] {
  const lies = (path: string) => now.get(path) ?? null;
  const isThere = ({ captured, deleted }: PendingSave) =>
    captured.every(({ file, stat }) => sameStat(stat, lies(file.path))) && deleted.every((path) => lies(path) === null);
  const last = saves.at(-1);
  const gone = last !== undefined && isThere(last) ? saves.slice(0, -1) : saves;
  return gone.map(({ captured, deleted }) => ({
    captured: new Map(captured.map(({ file, stat }) => [file.path, { file, stat, writing: false }])),
    deleted: new Set(deleted),
    since: Number.NEGATIVE_INFINITY,
    sealed: true,
  }));
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
    toFollow: [...known.unreadable].filter((path) => known.files.get(path)?.kind === 'media'),
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
export function done(known: Known, { save, of }: NonNullable<Known['making']>, now: number): Known {
  const [version, versions] =
    of === 'the oldest' ? [known.versions[0], known.versions.slice(1)] : [undefined, known.versions];
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
    making: null,
    mediaOnlyAt: version === undefined ? now : known.mediaOnlyAt,
    retry: null,
    ending: known.ending && { bytes: known.ending.bytes - taken },
  };
}

/** Of what was handed over, these moved, or are gone; null if nothing of it is known to be able to. */
export function unsettle(known: Known, paths: readonly string[], now: number): Known | null {
  const files = new Map(known.files);
  const handedOver = new Map(known.making?.save.settled.map(({ path, stat }) => [path, stat]));
  let found = false;
  for (const path of paths) {
    const settled = handedOver.get(path);
    if (settled === undefined) continue;
    const file = files.get(path);
    // A look may have seen it move meanwhile.
    if (file !== undefined && sameStat(file.stat, settled)) files.set(path, { ...file, since: now });
    found = true;
  }
  return found ? { ...known, files, making: null } : null;
}
