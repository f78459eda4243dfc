import { randomFillSync } from 'node:crypto';
import * as fs from 'node:fs/promises';
import path from 'node:path';
import { sandbox } from '../../test/support/sandbox.ts';
import { oxenvcs } from '../../test/support/cli.ts';
import { git, gitLine } from '../../src/git/run.ts';

/** A take of 24 bits and 48 kHz: a tone with noise in its lower bits, as a microphone gives it. */
export function take(bytes: number, seed: number): Buffer {
  const data = Buffer.alloc(bytes);
  randomFillSync(data);
  for (let at = 0, n = 0; at + 3 <= bytes; at += 3, n++)
    data.writeInt8(Math.round(90 * Math.sin((n * (220 + seed * 7) * 2 * Math.PI) / 48_000)), at + 2);
  return data;
}

/**
 * A project whose first version is small, with `takes` in the second, which no remote has yet. `how`: set up and committed
 * by oxenvcs, or by git with its defaults.
 */
export async function songWithTakes(
  takes: number,
  bytes: number,
  how: 'ours' | 'defaults' = 'ours',
): Promise<{ song: string; base: string; tip: string }> {
  const dir = await sandbox();
  const song = path.join(dir, 'song');
  await fs.mkdir(song);
  await fs.writeFile(path.join(song, 'Song.als'), 'one');
  if (how === 'ours') {
    const made = await oxenvcs(['init', song, '--no-hooks'], { cwd: dir });
    if (made.code !== 0) throw new Error(made.stderr);
  } else {
    await git(song, ['init', '--quiet', '-b', 'main']);
    await git(song, ['add', '--all']);
    await git(song, ['commit', '--quiet', '-m', 'one']);
  }
  const base = await gitLine(song, ['rev-parse', 'HEAD']);
  for (let n = 0; n < takes; n++) await fs.writeFile(path.join(song, `take ${n}.wav`), take(bytes, n));
  const settings = how === 'ours' ? ['-c', 'core.compression=0', '-c', 'core.bigFileThreshold=1m'] : [];
  await git(song, [...settings, 'add', '--all']);
  await git(song, ['commit', '--quiet', '-m', 'takes']);
  return { song, base, tip: await gitLine(song, ['rev-parse', 'HEAD']) };
}

/** Empties the remote but for the first version; nothing that the song knew of it is left. */
export async function startAnew(song: string, base: string, bare: string): Promise<void> {
  await dropRefs(bare, 'refs');
  await fs.rm(path.join(bare, 'objects'), { recursive: true, force: true });
  for (const name of ['pack', 'info']) await fs.mkdir(path.join(bare, 'objects', name), { recursive: true });
  await git(song, ['push', '--quiet', bare, `${base}:refs/heads/main`]);
  await dropRefs(song, 'refs/oxenvcs');
  await git(song, ['update-ref', 'refs/remotes/origin/main', base]);
  await fs.rm(path.join(song, '.oxenvcs', 'state'), { recursive: true, force: true });
  // A project in use knows who has the lock.
  await oxenvcs(['lock', 'status'], { cwd: song });
}

async function dropRefs(dir: string, below: string): Promise<void> {
  const deletions = await git(dir, ['for-each-ref', '--format=delete %(refname)', below]);
  await git(dir, ['update-ref', '--stdin'], { input: deletions });
}
