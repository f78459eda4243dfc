/** What `git push --progress` says of what it writes. */
export interface Written {
  /** So far; rounded by git to three digits or so. */
  bytes: number;
  /** All of it has left this process. What the remote makes of it is not known yet. */
  done: boolean;
}

/** `Writing objects: 100% (3/3), 1.20 MiB | 2.00 MiB/s, done.` Null: the line says something else. */
export function writtenIn(line: string): Written | null {
  const match = /^Writing objects: +\d+% \(\d+\/\d+\)(?:, ([\d.]+) (bytes|KiB|MiB|GiB))?.*?(, done\.)?$/.exec(line);
  if (match === null) return null;
  const unit = { bytes: 1, KiB: 2 ** 10, MiB: 2 ** 20, GiB: 2 ** 30 }[match[2] ?? ''] ?? 0;
  return { bytes: Math.round(Number(match[1] ?? 0) * unit), done: match[3] !== undefined };
}
