import { git, gitLine, tryGit } from '../git/run.ts';
import { gitFailure, sortFailure } from '../git/failures.ts';
import { Failure } from '../model/failures.ts';
import type { Captured, Save, Settled } from '../model/save.ts';
import { sameStat, statAll, unreadableAmong } from '../system/stat.ts';

/**
 * Puts a save into an index file (`index`, absolute) of our own: what the user staged by hand is neither swept in nor
 * lost. Gives the paths that moved meanwhile; then the index is of no use.
 * Takes of gigabytes take minutes: when the signal is aborted it throws `busy`.
 */
export async function stage(root: string, index: string, save: Save, signal?: AbortSignal): Promise<string[]> {
  const env = { GIT_INDEX_FILE: index };
  await git(root, ['update-index', '-z', '--index-info'], {
    env,
    input: indexInfo(save.captured, await gone(root, save)),
  });
  return await addSettled(root, env, save.settled, signal);
}

function indexInfo(captured: Captured[], gone: string[]): string {
  return [...gone, ...captured.map(({ mode, oid, path }) => `${mode} ${oid} 0\t${path}\0`)].join('');
}

/** Git takes an id of the repository's own length alone, also where it means nothing. */
async function gone(root: string, { captured, deleted }: Save): Promise<string[]> {
  if (deleted.length === 0) return [];
  const { length } = captured[0]?.oid ?? (await gitLine(root, ['rev-parse', 'HEAD']));
  return deleted.map((path) => `0 ${'0'.repeat(length)} 0\t${path}\0`);
}

async function addSettled(
  root: string,
  env: Record<string, string>,
  settled: Settled[],
  signal: AbortSignal | undefined,
): Promise<string[]> {
  const movedBefore = await moved(root, settled);
  if (movedBefore.length > 0) return movedBefore;
  const media = await withoutDelta(root, settled);
  for (const { paths, settings } of groups(settled, media)) {
    if (paths.length === 0) continue;
    const args = [...settings, 'add', '--pathspec-from-file=-', '--pathspec-file-nul'];
    const input = paths.map((one) => one.path).join('\0');
    const options = { env: { ...env, GIT_LITERAL_PATHSPECS: '1' }, input, ...(signal ? { signal } : {}) };
    const result = await tryGit(root, args, options);
    if (result.exitCode === 0) continue;
    if (signal?.aborted === true)
      throw new Failure('busy', { detail: 'No time was left for the takes of this version' });
    // A file that shrinks or vanishes under it makes git fail, or die by SIGBUS.
    const movedMeanwhile = await moved(root, settled);
    if (movedMeanwhile.length > 0) return movedMeanwhile;
    // A take that may not be read holds up no save: it is left out, as one that still grows.
    const unreadable = await unreadableAmong(
      root,
      paths.map((one) => one.path),
    );
    if (unreadable.length > 0) return unreadable;
    throw gitFailure(result, args);
  }
  // A file that grew under it gives exit 0 and a torn blob: only the stats tell.
  return await moved(root, settled);
}

/** From this size on (bytes) git streams a file into a pack of its own instead of holding it whole. */
const streamed = { media: 1_048_576n, other: 536_870_912n };

/**
 * Small and large files go to git in turn: with fsyncMethod=batch git 2.39 fails where one call makes loose objects and a
 * pack ("unable to rename temporary file").
 */
function groups(settled: readonly Settled[], media: ReadonlySet<string>) {
  const kinds = [
    // Audio hardly deflates: 2.6 s instead of 17 s for 480 MB.
    { isMedia: true, above: streamed.media, settings: ['-c', 'core.compression=0'] },
    // Everything else must delta and deflate: 20 saves of a 21 MB text would cost 401 MB otherwise.
    { isMedia: false, above: streamed.other, settings: [] },
  ];
  return kinds.flatMap(({ isMedia, above, settings }) =>
    [false, true].map((isLarge) => ({
      settings: [...settings, '-c', `core.bigFileThreshold=${above}`],
      paths: settled.filter(({ path, stat }) => media.has(path) === isMedia && stat.size > above === isLarge),
    })),
  );
}

/** Which of these carry the `-delta` attribute: that is how `init` marks media. */
async function withoutDelta(root: string, settled: Settled[]): Promise<Set<string>> {
  if (settled.length === 0) return new Set();
  const input = settled.map(({ path }) => path).join('\0');
  const answer = (await git(root, ['check-attr', '-z', '--stdin', 'delta'], { input })).split('\0');
  const found = new Set<string>();
  for (let i = 0; i + 2 < answer.length; i += 3) if (answer[i + 2] === 'unset') found.add(answer[i] ?? '');
  return found;
}

async function moved(root: string, settled: Settled[]): Promise<string[]> {
  const now = await statAll(
    root,
    settled.map(({ path }) => path),
  );
  return settled.filter(({ path, stat }) => !sameStat(now.get(path) ?? null, stat)).map(({ path }) => path);
}

/** Fills in the stats of these files in an index, else every later `git status` would read them again. */
export async function refresh(root: string, env: Record<string, string>, paths: string[]): Promise<void> {
  if (paths.length === 0) return;
  const args = ['add', '--refresh', '--pathspec-from-file=-', '--pathspec-file-nul'];
  const options = { env: { ...env, GIT_LITERAL_PATHSPECS: '1' }, input: paths.join('\0') };
  const result = await tryGit(root, args, options);
  // A file that is gone again cannot be refreshed; what was captured stands all the same.
  if (result.exitCode !== 0 && sortFailure(result).kind === 'local') throw gitFailure(result, args);
}
