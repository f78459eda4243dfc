import type { FailureName } from '../model/failures.ts';

/** What the messages of git and ssh mean. */

export type Kind =
  | 'transient' // nothing was sent, or nothing was kept; try again later
  | 'ambiguous' // it may have arrived, or may arrive still
  | 'lost-race' // somebody else was first
  | 'policy' // the remote does not allow it
  | 'auth'
  | 'configuration'
  | 'local' // this computer: disk, rights, a lock file
  | 'permanent';

/** Matched against single lines of stderr; the first row that has a line wins. An address has no spaces, a name may. */
export const messages: [Kind, FailureName, RegExp][] = [
  // This computer: what follows from it on the connection is no news.
  [
    'local',
    'disk-full',
    /^(fatal|error): .*\b(writ|creat|open|clos|copy|append|mkdir|fsync|deflat|stor)\w*\b.*: (No space left on device|Disk quota exceeded)$/,
  ],
  ['local', 'disk-full', /^(fatal|error): (.* write error\. Out of diskspace|.*couldn't write '.*\.lock')$/],
  [
    'local',
    'no-rights',
    /^(fatal|error): .*\b(writ|creat|open|unlink|mkdir|renam)\w*\b.*: (Permission denied|Read-only file system|Operation not permitted)$/,
  ],
  ['local', 'no-rights', /^(fatal|error): insufficient permission for adding an object to repository database /],
  ['local', 'no-rights', /^(fatal|error): .*cannot lock ref '.*': unable to create directory for /],
  ['local', 'folder-vanished', /^fatal: Unable to read current working directory: No such file or directory$/],
  ['local', 'busy', /^(fatal|error): (.*: )?Unable to create '.*\.lock': File exists\.$/],
  [
    'local',
    'busy',
    /^(fatal|error): .*cannot lock ref '.*': (is at [0-9a-f]+ but expected [0-9a-f]+|reference already exists)$/,
  ],
  [
    'local',
    'repository-damaged',
    /^(fatal|error): (loose object [0-9a-f]+ .* is corrupt|object file .* is empty|packfile .* (is corrupt|cannot be accessed)|unable to read (tree |sha1 file of .* \()?[0-9a-f]{40,}\)?|bad (tree |commit )?object [0-9a-f]{40,}|.*: index file (smaller than expected|corrupt)|index file corrupt|bad index file sha1 signature)$/,
  ],
  [
    'local',
    'no-identity',
    /^fatal: (no (email|name) was given and auto-detection is disabled|unable to auto-detect (email address|name) .*|empty ident name .*)$/,
  ],
  ['configuration', 'not-a-project', /^fatal: not a git repository\b/],
  // Credentials
  ['auth', 'auth', /^fatal: Authentication failed for '\S*'$/],
  ['auth', 'auth', /^fatal: could not read (Username|Password) for '\S*': /],
  ['auth', 'auth', /^\S+@\S+: Permission denied \(/],
  ['auth', 'auth', /^(remote: )?ERROR: Permission to \S+ denied to /],
  ['auth', 'auth', /^Received disconnect from \S+ port \d+:2: Too many authentication failures/],
  [
    'auth',
    'proxy-auth',
    /^fatal: unable to access '\S*': (CONNECT tunnel failed, response 407|Received HTTP code 407 from proxy after CONNECT)$/,
  ],
  ['auth', 'host-key', /^Host key verification failed\.$/],
  // The address is wrong
  ['configuration', 'remote-not-found', /^fatal: repository '.*' (not found|does not exist)$/],
  ['configuration', 'remote-not-found', /' does not appear to be a git repository$/],
  [
    'configuration',
    'remote-not-found',
    /^(remote: )?ERROR: (Repository not found\.|The project you were looking for )/,
  ],
  ['configuration', 'remote-not-found', /^fatal: \S+\/info\/refs not valid: is this a git repository\?$/],
  // A page of somebody's that wants a login, or a repository that has moved.
  ['configuration', 'remote-misconfigured', /^fatal: unable to update url base from redirection:$/],
  ['configuration', 'remote-misconfigured', /^error: no DAV locking support on \S+$/],
  ['configuration', 'remote-misconfigured', /^git: 'remote-\S*' is not a git command\. /],
  ['configuration', 'remote-misconfigured', /^fatal: (unable to find remote helper for|transport) '\S*'/],
  ['configuration', 'not-trusted', /^fatal: (detected dubious ownership in repository at|unsafe repository) /],
  ['configuration', 'remote-misconfigured', /^fatal: strange (hostname|port|pathname) '.*' blocked$/],
  ['configuration', 'remote-misconfigured', /^fatal: the receiving end does not support (--atomic push|push options)$/],
  ['configuration', 'remote-misconfigured', /^(error|fatal): cannot run \S*(ssh|plink)\S*: No such file or directory$/],
  [
    'configuration',
    'remote-misconfigured',
    /^fatal: unable to access '\S*': .*([Cc]ertificate|SSL CA cert|SSL routines|unexpected TLS packet|TLS fatal alert|Unsupported protocol|illegal format|HTTP\/0\.9 when not allowed)/,
  ],
  ['permanent', 'git-failed', /^(fatal: invalid refspec '.*'|error: src refspec .* does not match any)$/],
  // It broke off in the middle
  ['ambiguous', 'remote-unclear', /^error: RPC failed; /],
  ['ambiguous', 'remote-unclear', /^fatal: (the remote end hung up unexpectedly|early EOF|protocol error: .*)$/],
  ['ambiguous', 'remote-unclear', /^(send-pack|fetch-pack): unexpected disconnect while reading sideband packet$/],
  // Whatever else kept git from the first answer: nothing was sent
  ['transient', 'offline', /^fatal: unable to access '\S*': /],
  ['transient', 'offline', /^fatal: unable to (connect to|look up) /],
  ['transient', 'offline', /^fatal: the remote end hung up upon initial contact$/],
  ['transient', 'offline', /^fatal: Could not read from remote repository\.$/],
  ['ambiguous', 'remote-unclear', /^error: \S+ died of signal \d+$/],
];

/** Said by the server's git (after "remote: ") about a ref or a pack that it could not take in. */
export const serverMessages: [Kind, FailureName, RegExp][] = [
  ['transient', 'remote-full', /^(fatal|error): .*: (No space left on device|Disk quota exceeded)$/],
  ['policy', 'too-large', /^fatal: pack exceeds maximum allowed size/],
  [
    'lost-race',
    'remote-moved',
    /^error: cannot lock ref '.*': (reference already exists|is at [0-9a-f]+ but expected [0-9a-f]+|unable to resolve reference '.*')$/,
  ],
  // Another push is writing that ref right now.
  ['transient', 'remote-busy', /^error: cannot lock ref '.*': Unable to create '.*\.lock': File exists/],
];
