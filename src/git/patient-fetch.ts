/**
 * A fetch that may take long, as arguments of git: it tells that something comes, and a server that has sent nothing for
 * `quietMs` is given up.
 */
export const patientFetch = (quietMs: number, settings: readonly string[] = []): string[] => [
  ...[
    'protocol.version=2',
    'http.lowSpeedLimit=1',
    `http.lowSpeedTime=${Math.ceil(quietMs / 1000)}`,
    ...settings,
  ].flatMap((setting) => ['-c', setting]),
  'fetch',
  '--progress',
  '--no-tags',
  '--no-write-fetch-head',
  '--no-recurse-submodules',
];
