import * as fs from 'node:fs/promises';
import path from 'node:path';
import { git } from '../../src/git/run.ts';

/** A session of so many bytes as text, and a change of it as a save makes: some lines differ, now and then there is one more. */
export function* textSession(bytes: number, random: () => number): Generator<string> {
  const lines: string[] = [];
  const line = (n: number) =>
    `<Region id="${n}" name="Audio ${n % 64}" position="a${Math.floor(random() * 1e8)}" length="a${Math.floor(random() * 1e6)}"/>`;
  for (let size = 0; size < bytes; size += 80) lines.push(line(lines.length));
  for (let n = 0; ; n++) {
    yield lines.join('\n');
    for (let i = 0; i < 20; i++) lines[Math.floor(random() * lines.length)] = line(i);
    if (n % 3 === 0) lines.splice(Math.floor(random() * lines.length), 0, line(n));
  }
}

/** Whether they outlive a power cut is no question here, and to wait for the disk three times a save took longer than all else. */
const hasty = ['-c', 'core.fsync=none'];

/** So many saves as versions on top of `main`, stored loose, as the watcher stores them. Gives their blobs, oldest first. */
export async function saves(
  root: string,
  count: number,
  bytes: number,
  random: () => number,
  branch = 'main',
): Promise<string[]> {
  const blobs: string[] = [];
  const scratch = path.join(root, '.git', 'scratch');
  await fs.mkdir(scratch, { recursive: true });
  const session = textSession(bytes, random);
  // Some at a time: a thousand saves are more than a disk of memory holds.
  for (let at = 0; at < count; at += 50) {
    const files: string[] = [];
    for (let i = at; i < Math.min(count, at + 50); i++) {
      files.push(path.join(scratch, String(i)));
      await fs.writeFile(files.at(-1) ?? '', String(session.next().value));
    }
    const stored = await git(root, [...hasty, 'hash-object', '-w', '--stdin-paths'], {
      input: `${files.join('\n')}\n`,
    });
    blobs.push(...stored.trim().split('\n'));
    for (const file of files) await fs.rm(file);
  }
  const commits = blobs.map(
    (blob, n) =>
      `commit refs/heads/${branch}\ncommitter Ann <ann@band.example> ${1_700_000_000 + n} +0000\ndata 5\nsaved\n` +
      `${n === 0 ? 'from refs/heads/main^0\n' : ''}M 100644 ${blob} Song.ardour\n\n`,
  );
  await git(root, [...hasty, '-c', 'fastimport.unpackLimit=100000', 'fast-import', '--quiet'], {
    input: commits.join(''),
  });
  return blobs;
}
