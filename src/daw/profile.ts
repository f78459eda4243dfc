/** What one DAW writes, as data. Patterns match the path below the project, segment by segment, never the project's own path. */
export interface DawProfile {
  /** As in `--daw NAME`. */
  name: string;
  /** For people. */
  title: string;
  /** Endings of session files, with the dot. Writing one of these is a save. */
  sessions: readonly string[];
  /** Endings of folders that are one document. All session data of such a package counts as one unit. */
  packages?: readonly string[];
  /** Other session data inside a package, by file name. */
  packageSessions?: readonly string[];
  /** Folders whose presence tells this DAW. */
  folders?: readonly string[];
  /**
   * What it generates and nobody needs to keep: lines as in .gitignore, in the two simplest forms: `name/` (a folder,
   * at any depth) and `pattern` (a file name with `*`, at any depth).
   */
  generated: readonly string[];
  /** The session is a database that changes at every edit: committed only while nobody has it open. */
  database?: true;
}
