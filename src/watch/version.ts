import type { Captured, FileStat, Save } from '../model/save.ts';
import { sameStat } from '../system/stat.ts';
import { isCaptured, type Known, type Rules, sortRest, type Version } from './known.ts';

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
    incomplete: moving.filter(({ file }) => file.kind === 'media' && file.stat !== null).map(({ path }) => path),
  };
  let left = known.ending?.bytes ?? null;
  for (const { path, file } of ready) {
    if (file.stat === null) save.deleted.push(path);
    else if (left === null) save.settled.push({ path, stat: file.stat });
    else if (file.stat.size > left) save.incomplete.push(path);
    else {
      save.settled.push({ path, stat: file.stat });
      left -= file.stat.size;
    }
  }
  return save;
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
  const taken = save.settled.reduce((sum, { stat }) => sum + stat.size, 0n);
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
