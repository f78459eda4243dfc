/** What the watch stage hands to the commit stage: one consistent state that the DAW wrote. Paths are relative to the project, with `/`. */
export interface Save {
  /** Session files, whose bytes were put into the object store the moment they had settled. */
  captured: Captured[];
  /** Everything else that has settled (media, presets…), with the lstat it settled at. */
  settled: Settled[];
  deleted: string[];
  /** Takes that still grow: the version is made without them and says so. */
  incomplete: string[];
  /** Takes that have settled, but for which there is no room on the disk, or no time in the end, or that may not be read: they follow. */
  toFollow: string[];
  /** Larger than the remote takes, or takes that the user has staged by hand: the version says that it lacks them, too. */
  leftOut?: string[];
}

export interface Captured {
  path: string;
  mode: '100644' | '100755' | '120000';
  /** The blob. */
  oid: string;
}

/** A save that was captured and is no version yet: each file as it lay then; and session files that were gone. */
export interface PendingSave {
  captured: { file: Captured; stat: FileStat }[];
  deleted: string[];
}

export interface Settled {
  path: string;
  stat: FileStat;
}

/** What tells that a file has changed (bigint lstat). */
export interface FileStat {
  size: bigint;
  mtimeNs: bigint;
  ino: bigint;
}

/** What became of a save that was handed over. */
export type Committed =
  | { outcome: 'committed'; commit: string }
  /** Nothing differs from the version before. */
  | { outcome: 'nothing' }
  /** These files moved while they were staged, or may not be read; no commit was made. */
  | { outcome: 'moved'; paths: string[]; unreadable?: string[] }
  /** What was captured of these files is gone from the object store, pruned by somebody's git; no commit was made. */
  | { outcome: 'lost'; paths: string[] }
  /** Not now: a merge or rebase, a foreign index.lock, a detached HEAD. Try again. */
  | { outcome: 'later'; reason: string };
