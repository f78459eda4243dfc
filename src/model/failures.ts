/**
 * The one table of what can go wrong for a user: a code (scripts), a sentence (what happened), a hint (what to do),
 * and whether trying again later can help. Exit codes hang on the code alone.
 */

export type Code =
  | 'LOCK_HELD'
  | 'LOCK_LOST'
  | 'STALE_BASE'
  | 'OFFLINE'
  | 'AUTH'
  | 'REMOTE_REFUSED'
  | 'CONFLICT'
  | 'NOT_A_PROJECT'
  | 'CONFIG_INVALID'
  | 'USAGE'
  | 'BUSY'
  | 'DAMAGED'
  | 'INTERNAL';

export const exitCodes: Record<Code, number> = {
  LOCK_HELD: 3,
  LOCK_LOST: 3,
  STALE_BASE: 3,
  OFFLINE: 4,
  CONFLICT: 5,
  AUTH: 6,
  REMOTE_REFUSED: 6,
  NOT_A_PROJECT: 7,
  USAGE: 2,
  CONFIG_INVALID: 2,
  BUSY: 1,
  DAMAGED: 1,
  INTERNAL: 1,
};

interface Row {
  code: Code;
  /** What happened. `{name}` is filled from the details. */
  say: string;
  /** What to do next. */
  hint: string;
  retryable?: true;
}

const rows = {
  // Locks
  'lock-held': {
    code: 'LOCK_HELD',
    say: '{name} holds the lock of {branch}, on {host} since {since}.',
    hint: 'Ask them to release it, wait with `oxenvcs lock acquire --wait 10m`, or go on: your saves are kept as versions here and go out when it is free.',
    retryable: true,
  },
  'lock-held-aside': {
    code: 'LOCK_HELD',
    say: '{name} holds the lock of {branch}, which was taken from you, since {since}: your versions are kept on the remote as {rescue} meanwhile.',
    hint: 'Speak with {name}. They go out when the lock is free; if the team went on with the same session by then, `oxenvcs conflict list` says what to decide.',
    retryable: true,
  },
  'moved-or-copied': {
    code: 'LOCK_HELD',
    say: 'The lock of {branch} was taken in this folder before it was moved or copied, on {host} since {since}.',
    hint: 'Was it moved, and the old folder is gone? Then `oxenvcs lock acquire --moved`. Was it copied? Then the other folder has the lock.',
  },
  'lock-not-ours': {
    code: 'LOCK_LOST',
    say: 'The lock of {branch} is not held by this project folder.',
    hint: 'Take it with `oxenvcs lock acquire`.',
  },
  'lock-lost': {
    code: 'LOCK_LOST',
    say: 'The lock of {branch} was taken from you by {name}: {reason}.',
    hint: 'Your versions are kept here and nothing was overwritten. Speak with {name}; `oxenvcs lock acquire` takes the lock again when it is free, and `oxenvcs sync` sends what waits.',
  },
  'lock-newer': {
    code: 'LOCK_HELD',
    say: 'The lock of {branch} was written by a newer oxenvcs than this one.',
    hint: 'Update oxenvcs on this computer; until then the lock counts as held.',
  },
  'lock-damaged': {
    code: 'DAMAGED',
    say: 'The lock of {branch} on the remote cannot be read: {detail}.',
    hint: 'If nobody on the team holds it, free it with `oxenvcs lock break --force --reason "damaged"`.',
  },
  'stale-base': {
    code: 'STALE_BASE',
    say: 'The team published versions of {branch} that this folder does not have yet.',
    hint: 'Bring them in first with `oxenvcs sync`, then try again.',
  },

  // The remote
  offline: {
    code: 'OFFLINE',
    say: 'The remote cannot be reached: {detail}.',
    hint: 'Your versions are safe here and go out by themselves when the remote is back.',
    retryable: true,
  },
  'too-many-requests': {
    code: 'OFFLINE',
    say: 'The remote is asked too often, and wants to be left alone for a while: {detail}.',
    hint: 'Your versions are safe here and go out by themselves after that.',
    retryable: true,
  },
  'not-the-remote': {
    code: 'OFFLINE',
    say: 'Something answers at {remote}, but not as the remote that was there before: {detail}.',
    hint: 'If this network wants a login (a hotel, a train), open any page in a browser; your versions are safe here and go out by themselves. If the address has changed, set it with `oxenvcs init --remote URL`.',
    retryable: true,
  },
  auth: {
    code: 'AUTH',
    say: 'The remote refused the credentials: {detail}.',
    hint: 'Check the user, the access token or the SSH key for {remote}, then run `oxenvcs push`.',
  },
  'proxy-auth': {
    code: 'AUTH',
    say: 'The proxy on the way to the remote refused the credentials: {detail}.',
    hint: 'Check the proxy in your system’s settings (https_proxy) or in Git’s (`git config http.proxy`), then run `oxenvcs push`.',
  },
  'host-key': {
    code: 'AUTH',
    say: 'The SSH key of the server is not known here, or it has changed: {detail}.',
    hint: 'Ask whoever runs {remote} whether that is right. If it is: take the old key out (`ssh-keygen -R` with the server’s name), then connect to it once by hand with `ssh` and accept the new one.',
  },
  'remote-refused': {
    code: 'REMOTE_REFUSED',
    say: 'The remote refused the change: {detail}.',
    hint: 'Ask whoever runs {remote} to allow it (branch protection, hooks, quota).',
  },
  'too-large': {
    code: 'REMOTE_REFUSED',
    say: 'The remote does not take a push of this size: {detail}.',
    hint: 'Ask whoever runs {remote} for a higher limit, or set push.maxPartBytes below it.',
  },
  'file-too-large': {
    code: 'REMOTE_REFUSED',
    say: 'The remote does not take a file of this size: {detail}.',
    hint: 'Your versions are safe here. Move the file out of the project, or ask whoever runs {remote} for a higher limit; then run `oxenvcs push`.',
  },
  'lfs-failed': {
    code: 'REMOTE_REFUSED',
    say: 'The files that git-lfs keeps could not be uploaded: {detail}.',
    hint: 'Nothing was published, so that no version goes out without its files. Look with `git lfs push --all origin`; it is tried again by itself.',
    retryable: true,
  },
  'left-out': {
    code: 'REMOTE_REFUSED',
    say: '{file} ({size}) is larger than the remote takes ({limit}): it is only on this computer, and no version holds it.',
    hint: 'Bounce it in shorter pieces or as FLAC, or move to a host that takes it and set push.maxBlobBytes; everything else goes through.',
  },
  'remote-full': {
    code: 'REMOTE_REFUSED',
    say: 'The remote has no room left: {detail}.',
    hint: 'Ask whoever runs {remote} to make room; your versions are safe here and go out by themselves then.',
    retryable: true,
  },
  'remote-busy': {
    code: 'BUSY',
    say: 'On the remote Git is writing for somebody else, or was killed over it: {detail}.',
    hint: 'Your versions are safe here, and it is tried again by itself. If it lasts for more than some minutes, whoever runs {remote} has to remove that file.',
    retryable: true,
  },
  'not-there': {
    code: 'REMOTE_REFUSED',
    say: 'The remote took the push, but its branch {branch} is not at it now.',
    hint: 'Your versions are safe here; send them again with `oxenvcs push`. If it happens again, ask whoever runs {remote} what sets the branch back.',
    retryable: true,
  },
  'arrived-damaged': {
    code: 'REMOTE_REFUSED',
    say: 'What is at the remote is damaged or incomplete: {detail}.',
    hint: 'Your versions are safe here; send them again with `oxenvcs push`. If it happens again, ask whoever runs {remote} to check its disk.',
    retryable: true,
  },
  'remote-not-found': {
    code: 'CONFIG_INVALID',
    say: 'There is no Git repository at {remote}.',
    hint: 'Check the address, then set it with `oxenvcs init --remote URL`.',
  },
  'not-cloned': {
    code: 'OFFLINE',
    say: '{said}',
    hint: 'Nothing of it is here yet: run the same again when the remote can be reached.',
    retryable: true,
  },
  'not-cloned-auth': {
    code: 'AUTH',
    say: '{said}',
    hint: 'Check the user, the access token or the SSH key for it, and that you were invited; then run the same again.',
  },
  'not-cloned-address': {
    code: 'CONFIG_INVALID',
    say: '{said}',
    hint: 'Check the address, then run the same again.',
  },
  'remote-misconfigured': {
    code: 'CONFIG_INVALID',
    say: 'The remote {remote} cannot be used: {detail}.',
    hint: 'Check the address, then set it with `oxenvcs init --remote URL`.',
  },
  'not-trusted': {
    code: 'CONFIG_INVALID',
    say: 'Git does not use the repository of another user: {detail}.',
    hint: 'If it is right that it belongs to somebody else (an external disk), run `git config --global --add safe.directory PATH` with the path named above.',
  },
  'remote-unclear': {
    code: 'OFFLINE',
    say: 'The connection to the remote broke before it answered: {detail}.',
    hint: 'Nothing is lost; it is tried again by itself, or now with `oxenvcs push`.',
    retryable: true,
  },
  'remote-moved': {
    code: 'CONFLICT',
    say: 'Somebody published other versions of {branch} while this one waited.',
    hint: 'Your versions are kept here and nothing is overwritten. See `oxenvcs status`; where nothing is in common the two are joined by themselves.',
  },
  rescued: {
    code: 'CONFLICT',
    say: 'The team went on with {branch} without your versions: yours are on the remote as {rescue}, and here as they were.',
    hint: 'Nothing is overwritten. Speak with the others, then see `oxenvcs conflict list`; until it is resolved your saves go to that branch.',
  },
  diverged: {
    code: 'CONFLICT',
    say: 'The team and this folder both have versions of {branch} that the other lacks.',
    hint: 'Nothing is overwritten: yours are kept here. Run `oxenvcs sync`: it joins the two where they have nothing in common, and else says what to decide.',
  },
  conflict: {
    code: 'CONFLICT',
    say: '{mine} and {theirs} have both worked on {files}.',
    hint: 'Both versions are safe. Speak with each other, then `oxenvcs conflict resolve {id} --keep mine|theirs|both`.',
  },
  'no-conflict': {
    code: 'USAGE',
    say: 'There is no open conflict {id}.',
    hint: 'See `oxenvcs conflict list`; somebody may have resolved it.',
  },
  'not-published-yet': {
    code: 'BUSY',
    say: 'There are versions in this folder that the team does not have yet.',
    hint: 'Publish them first with `oxenvcs sync`, then try again.',
    retryable: true,
  },
  unrelated: {
    code: 'CONFLICT',
    say: 'The remote {remote} holds another project on {branch}: the two have never had a version in common.',
    hint: 'Nothing was sent. If the address is wrong, set the right one with `oxenvcs init --remote URL`; if the two belong together, clone the remote into another folder and copy into it what is new here.',
  },
  'branch-renamed': {
    code: 'CONFIG_INVALID',
    say: 'The remote has no branch {branch} any more: its versions are on {other} now.',
    hint: 'Your versions are kept here. Follow it with `git branch -m {branch} {other}`, then `oxenvcs init --branch {other}`.',
  },
  'not-checked-out': {
    code: 'USAGE',
    say: 'The branch {branch}, which is published, is not checked out: what is saved meanwhile stays on this computer.',
    hint: 'Go back to it with `git switch {branch}` when you are done here; to publish another one instead: `oxenvcs init --branch NAME`.',
  },
  'would-overwrite': {
    code: 'CONFLICT',
    say: 'The team’s versions change files that are changed here, too: {files}.',
    hint: 'Save and let `oxenvcs watch` make a version of yours first; nothing was brought in.',
  },
  'daw-runs': {
    code: 'BUSY',
    say: '{daw} is running, and may have the session in memory: its next save would overwrite what is brought in.',
    hint: 'Quit {daw}, then try again.',
    retryable: true,
  },
  'not-now': {
    code: 'BUSY',
    say: 'Not now: {detail}.',
    hint: 'Finish that in your Git program first.',
    retryable: true,
  },

  // Where a project may be
  'not-a-project': {
    code: 'NOT_A_PROJECT',
    say: '{dir} is not an oxenvcs project, nor is a folder above it.',
    hint: 'Make it one with `oxenvcs init`, or name one with `--project DIR`.',
  },
  'folder-missing': {
    code: 'USAGE',
    say: 'There is no folder {dir}.',
    hint: 'Check the name, or make the folder first.',
  },
  'not-a-folder': {
    code: 'USAGE',
    say: '{dir} is a file, not a folder.',
    hint: 'Name the folder that holds the session.',
  },
  'not-alone': {
    code: 'USAGE',
    say: 'The versions of {dir} are also those of another folder: it is a linked worktree, has some, or is a submodule.',
    hint: 'Leave it without --delete-history, or take it out with Git (`git worktree remove`, `git submodule deinit`).',
  },
  'folder-taken': {
    code: 'USAGE',
    say: '{dir} is there already, and not empty.',
    hint: 'Name another folder; or, if it holds the same song, `oxenvcs init "{dir}" --remote {url}`.',
  },
  'home-folder': {
    code: 'USAGE',
    say: '{dir} {relation} your home folder: everything in it would become part of the project.',
    hint: 'Name the folder of one song.',
  },
  'root-folder': {
    code: 'USAGE',
    say: '{dir} is the root of a disk: everything on it would become part of the project.',
    hint: 'Name the folder of one song.',
  },
  'inside-repository': {
    code: 'USAGE',
    say: '{dir} lies inside another Git repository, {outer}.',
    hint: 'Move the song out of it, or run `oxenvcs init` on {outer} itself.',
  },
  'bare-repository': {
    code: 'USAGE',
    say: '{dir} is a bare Git repository, not a folder with a session.',
    hint: 'Use it as a remote: `oxenvcs init SONG --remote {dir}`.',
  },
  'git-folder-gone': {
    code: 'USAGE',
    say: 'The file .git of {dir} points to {target}, which is not on this computer.',
    hint: 'Plug in the disk that holds it. If another computer wrote that file through a synced folder, delete it and run `oxenvcs init` again.',
  },
  'foreign-owner': {
    code: 'USAGE',
    say: '{dir} belongs to another user of this computer, and Git does not trust it.',
    hint: 'If it is yours, run `git config --global --add safe.directory "{dir}"` and try again.',
  },
  'remote-has-history': {
    code: 'CONFLICT',
    say: '{remote} already holds versions of {branch}, and {file} in this folder differs from them.',
    hint: 'Get the versions with `git clone {remote}` into another folder, run `oxenvcs init` there, then copy into it what is new here.',
  },
  'git-work-under-way': {
    code: 'BUSY',
    say: '{dir} cannot be set up now: {reason}.',
    hint: 'Finish or abort that in Git first, then run `oxenvcs init` again.',
  },
  'folder-read-only': {
    code: 'USAGE',
    say: '{dir} cannot be written to: {detail}.',
    hint: 'Change the rights of the folder, or copy the song to one of your own.',
  },
  'folder-vanished': {
    code: 'NOT_A_PROJECT',
    say: 'The project folder {dir} is gone.',
    hint: 'Plug the disk in again or move the folder back; what was published is safe on the remote.',
  },

  // Settings and usage
  'config-invalid': {
    code: 'CONFIG_INVALID',
    say: '{file}: {detail}.',
    hint: 'Mend it, or take it out to get the default.',
  },
  usage: { code: 'USAGE', say: '{detail}.', hint: 'See `oxenvcs {command} --help`.' },
  'no-such-entry': {
    code: 'USAGE',
    say: 'The queue has no entry {id}.',
    hint: 'See what it has with `oxenvcs queue list`.',
  },
  'no-command': { code: 'USAGE', say: '{detail}.', hint: 'See `oxenvcs --help`.' },
  'no-git': {
    code: 'CONFIG_INVALID',
    say: 'Git was not found.',
    hint: 'Install Git 2.32 or newer: macOS `xcode-select --install`, Debian `apt-get install git`, Windows https://git-scm.com.',
  },
  'old-git': {
    code: 'CONFIG_INVALID',
    say: 'Git {version} is too old.',
    hint: 'Install Git 2.32 or newer: macOS `xcode-select --install`, Debian `apt-get install git`, Windows https://git-scm.com.',
  },

  // This computer
  'disk-full': {
    code: 'INTERNAL',
    say: 'The disk is full: {detail}.',
    hint: 'Make room; your files are untouched and it carries on by itself.',
    retryable: true,
  },
  'name-unreadable': {
    code: 'USAGE',
    say: 'The name of {file} is not written in UTF-8, so the file comes into no version.',
    hint: 'Rename it; nothing else is affected.',
  },
  'name-not-on-windows': {
    code: 'USAGE',
    say: 'Windows cannot hold the name of {file}: it has {why}.',
    hint: 'If anybody on the team works on Windows, rename it now: the project cannot be brought in there.',
  },
  'name-twin': {
    code: 'USAGE',
    say: '{file} and {twin} are one name on a Mac and on Windows: capitals do not count there, nor how an accent is written.',
    hint: 'Rename one of them: on such a computer one would take the place of the other.',
  },
  'disk-low': {
    code: 'INTERNAL',
    say: 'Only {free} are left on the disk of {dir}; {reserve} are kept free for recordings, so new takes wait.',
    hint: 'Make room: {ours} of it is the history of this project, all else is not ours. What waits follows by itself (disk.reserveBytes).',
    retryable: true,
  },
  'vault-low': {
    code: 'INTERNAL',
    say: 'Only {free} are left on the disk of {dir}, where what is published is stored a second time; {needed} more would take of the {reserve} that are kept free for recordings.',
    hint: 'Make room there: your versions are safe in the project, and what waits follows by itself (disk.reserveBytes).',
    retryable: true,
  },
  'disk-runs-low': {
    code: 'INTERNAL',
    say: 'The disk of {dir} runs low: {free} are left.',
    hint: 'Make room in good time: {ours} of it is the history of this project, all else is not ours. Below {reserve} new takes wait, so that recordings have room (disk.reserveBytes).',
    retryable: true,
  },
  'no-rights': {
    code: 'INTERNAL',
    say: 'A file could not be used: {detail}.',
    hint: 'Check the rights of what is named there, and of the folders around it; in a project, of its .git folder, too.',
  },
  'in-the-way': {
    code: 'INTERNAL',
    say: 'There is a file where a folder should be, or the other way round: {detail}.',
    hint: 'Move it out of the way (.oxenvcs is a folder; .gitignore and .gitattributes are files), then try again.',
  },
  busy: {
    code: 'BUSY',
    say: '{detail}.',
    hint: 'Try again in a moment.',
    retryable: true,
  },
  'already-watched': {
    code: 'BUSY',
    say: '{dir} is being watched already (process {pid}).',
    hint: 'Leave that one running, or stop it first.',
  },
  'watched-elsewhere': {
    code: 'BUSY',
    say: '{dir} is being watched already, on the computer {host}.',
    hint: 'Leave that one running, or end it there. If that computer was switched off or has crashed, wait: from {until} on it counts as gone.',
  },
  'daemon-hangs': {
    code: 'BUSY',
    say: 'The background process (process {pid}) does not answer.',
    hint: 'End it and start a new one with `oxenvcs daemon restart`; what it had reported as done is on the disk.',
    retryable: true,
  },
  'daemon-other': {
    code: 'BUSY',
    say: 'The background process is of another version of oxenvcs ({version}).',
    hint: 'Start it anew with `oxenvcs daemon restart`.',
  },
  'service-refused': {
    code: 'INTERNAL',
    say: 'The system did not take the background process as a service: {detail}.',
    hint: 'Mend that, then run `oxenvcs daemon start` again; until then a project can be watched with `oxenvcs watch`.',
  },
  'daemon-not-started': {
    code: 'INTERNAL',
    say: 'The background process did not start: {detail}.',
    hint: 'See `oxenvcs daemon logs`; a project can be watched in the foreground with `oxenvcs watch`.',
  },
  'git-failed': {
    code: 'INTERNAL',
    say: 'Git failed: {detail}.',
    hint: 'Run again with --verbose to see the cause; nothing was lost.',
  },
  'no-identity': {
    code: 'INTERNAL',
    say: 'Git does not know who makes the versions here: {detail}.',
    hint: 'Tell it: `git config --global user.name "Your Name"` and `git config --global user.email you@example.com`.',
  },
  'stored-gone': {
    code: 'INTERNAL',
    say: 'What was just stored of {files} is gone: another Git has pruned the repository meanwhile.',
    hint: 'It is stored anew. `git gc` without --prune=now takes nothing that is needed.',
    retryable: true,
  },
  damaged: {
    code: 'DAMAGED',
    say: '{file} is damaged: {detail}.',
    hint: 'It was set aside under .oxenvcs/damaged/; nothing else is affected.',
  },
  'repository-damaged': {
    code: 'DAMAGED',
    say: 'The repository of {dir} is damaged: {detail}.',
    hint: 'Your files are untouched. Look with `git fsck`, or clone the project anew from the remote.',
  },
  interrupted: {
    code: 'INTERNAL',
    say: 'It was interrupted.',
    hint: 'Nothing was lost; run it again to go on.',
    retryable: true,
  },
  internal: {
    code: 'INTERNAL',
    say: 'Something unexpected went wrong: {detail}.',
    hint: 'Run again with --verbose and report what it prints; nothing was lost.',
  },
} satisfies Record<string, Row>;

export type FailureName = keyof typeof rows;
/** For records of failures on the disk. */
export const failureNames = Object.keys(rows) as FailureName[];

export const isFailureName = (name: string): name is FailureName => Object.hasOwn(rows, name);

export type Details = Record<string, string | number | boolean | null>;

/** A failure that the user can meet: a row of the table, filled in. `cause` is what `--verbose` adds. */
export class Failure extends Error {
  override readonly name = 'Failure';
  readonly row: FailureName;
  readonly code: Code;
  readonly hint: string;
  readonly retryable: boolean;
  readonly details: Details;

  constructor(row: FailureName, details: Details = {}, cause?: unknown) {
    const { code, say, hint, retryable }: Row = rows[row];
    super(fill(say, details), { cause });
    this.row = row;
    this.code = code;
    this.hint = fill(hint, details);
    this.retryable = retryable ?? false;
    this.details = details;
  }

  get exitCode(): number {
    return exitCodes[this.code];
  }

  /** The `error` object of the JSON contract. */
  toJSON(): Record<string, unknown> {
    const { code, message, hint, retryable, details } = this;
    return { code, message, hint, retryable, details };
  }
}

/** What was thrown, as a row: a Failure stays itself, a system error gets its row, all else is `internal`. */
export function asFailure(thrown: unknown): Failure {
  if (thrown instanceof Failure) return thrown;
  const detail = thrown instanceof Error ? thrown.message : String(thrown);
  const code = String((thrown as NodeJS.ErrnoException | null)?.code);
  // The system's own words name a temporary file, another one each time.
  if (code === 'ENOSPC') return new Failure('disk-full', { detail: 'there is no room left' }, thrown);
  if (code === 'EDQUOT') return new Failure('disk-full', { detail: 'the quota is used up' }, thrown);
  if (['EACCES', 'EPERM', 'EROFS'].includes(code)) return new Failure('no-rights', { detail }, thrown);
  if (['ENOTDIR', 'EISDIR'].includes(code)) return new Failure('in-the-way', { detail }, thrown);
  return new Failure('internal', { detail }, thrown);
}

/** For `.catch()`: that the disk is full becomes `value`; anything else is thrown on. */
export function ifDiskFull<T>(value: T): (error: unknown) => T {
  return (error) => {
    if (asFailure(error).row === 'disk-full') return value;
    throw error;
  };
}

function fill(text: string, details: Details): string {
  const shown = (key: string): string => {
    // Names of files may hold anything, and a sentence is one line; nor does a name steer the terminal.
    const value = String(details[key] ?? key).replace(/\p{Cc}+/gu, ' ');
    // Times travel as ISO 8601; people read their own clock.
    return /^\d{4}-\d\d-\d\dT[\d:.]+Z$/.test(value) ? localTime(value) : value;
  };
  // A detail that is a whole sentence brings its own full stop, or asks.
  return text.replace(/\{(\w+)\}/g, (_, key: string) => shown(key)).replace(/([.?])\.$/, '$1');
}

/** As the person's clock shows it, to the minute: `2026-11-24 10:02`. */
export function localTime(iso: string): string {
  return new Date(iso).toLocaleString('sv-SE', { dateStyle: 'short', timeStyle: 'short' });
}
