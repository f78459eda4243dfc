/** What one DAW writes, as data. Patterns match the path below the project, segment by segment, never the project's own path. */
export interface DawProfile {
  /** As in `--daw NAME`. */
  name: string;
  /** For people. */
  title: string;
  /** Endings of session files, with the dot, in lower case. Writing one of these is a save. */
  sessions: readonly string[];
  /** Every file but media counts as a session. */
  anySession?: true;
  /** Endings of folders that are one document. All of it but its media counts as one session. */
  packages?: readonly string[];
  /** Folders whose presence tells this DAW. */
  folders?: readonly string[];
  /**
   * What it generates and nobody needs to keep: lines as in .gitignore, in the two simplest forms: `name/` (a folder,
   * at any depth) and `pattern` (a file name with `*` and `[0-9]`, at any depth).
   */
  generated: readonly string[];
  /** How its program's file name begins, in lower case; for finding out whether it runs. */
  programs: readonly string[];
  /** The lock file that it keeps beside a session while it is open: `.~lock.NAME#`, NAME being the session's file name. */
  openMark?: string;
  /** Takes are recorded into the session file itself: it needs the patience of a take. */
  holdsAudio?: true;
  /** The session is a database that changes at every edit: committed only while nobody has it open. */
  database?: true;
}
