import { git, gitLine, tryGit } from '../git/run.ts';
import { gitFailure, sortFailure } from '../git/failures.ts';
import { Failure } from '../model/failures.ts';
import type { Captured, Save, Settled } from '../model/save.ts';
import { sameStat, statAll, unreadableAmong } from '../system/stat.ts';
import { putTakes } from './takes.ts';

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

  /** Gives git these paths to read. Gives those that it could not, for they moved or may not be read; then nothing is done. */
  const read = async (args: readonly string[], files: readonly Settled[]): Promise<string[]> => {
    const paths = files.map((one) => one.path);
    const options = { env: { ...env, GIT_LITERAL_PATHSPECS: '1' }, input: paths.join('\0') };
    const result = await tryGit(root, args, { ...options, ...(signal ? { signal } : {}) });
    if (result.exitCode === 0) return [];
    signal?.throwIfAborted();
    // A file that shrinks or vanishes under it makes git fail, or die by SIGBUS.
    const movedMeanwhile = await moved(root, settled);
    if (movedMeanwhile.length > 0) return movedMeanwhile;
    // A take that may not be read holds up no save: it is left out, as one that still grows.
    const unreadable = await unreadableAmong(root, paths);
    if (unreadable.length > 0) return unreadable;
    throw gitFailure(result, args);
  };

  try {
    const kinds = await kindsOf(root, settled);
    const torn = await putTakes(root, env, kinds.takes, read, signal);
    if (torn.length > 0) return torn;
    for (const { files, settings } of groups(kinds)) {
      if (files.length === 0) continue;
      const unread = await read([...settings, 'add', '--pathspec-from-file=-', '--pathspec-file-nul'], files);
      if (unread.length > 0) return unread;
    }
  } catch (error) {
    if (signal?.aborted === true)
      throw new Failure('busy', { detail: 'No time was left for the takes of this version' }, error);
    throw error;
  }
  // A file that grew under it gives exit 0 and a torn blob: only the stats tell.
  return await moved(root, settled);
}

/** From this size on (bytes) git streams a file into a pack of its own instead of holding it whole. */
const streamed = { media: 1_048_576n, other: 536_870_912n };

/** Of more files than this, small media go into the pack of the large ones, too: 1 ms a file for objects of their own, most of `init`. */
const fewFiles = 500;
/** No link's target is longer (bytes, everywhere): of a link git stores that, not what it points to. */
const longestLink = 4096n;

interface Kinds {
  /** Large media, or many, that are stored byte for byte. */
  takes: Settled[];
  /** Media that git stores: small ones, and those that a filter or the like of the user's makes into something else. */
  media: Settled[];
  other: Settled[];
}

/** By their attributes: `init` marks media with `-delta -text`. */
async function kindsOf(root: string, settled: readonly Settled[]): Promise<Kinds> {
  const kinds: Kinds = { takes: [], media: [], other: [] };
  if (settled.length === 0) return kinds;
  const input = settled.map(({ path }) => path).join('\0');
  const names = ['delta', 'text', 'filter', 'ident', 'working-tree-encoding'];
  const answer = (await git(root, ['check-attr', '-z', '--stdin', ...names], { input })).split('\0');
  const set = new Map<string, Set<string>>();
  for (let i = 0; i + 2 < answer.length; i += 3) {
    const [path = '', name = '', value = ''] = answer.slice(i, i + 3);
    if (value === 'unspecified') continue;
    set.set(path, (set.get(path) ?? new Set()).add(value === 'unset' ? `-${name}` : name));
  }
  const isLarge = ({ stat }: Settled) => stat.size > (settled.length > fewFiles ? longestLink : streamed.media);
  for (const file of settled) {
    const of = set.get(file.path) ?? new Set();
    const isRaw = of.has('-text') && ['filter', 'ident', 'working-tree-encoding'].every((name) => !of.has(name));
    if (!of.has('-delta')) kinds.other.push(file);
    else if (isRaw && isLarge(file)) kinds.takes.push(file);
    else kinds.media.push(file);
  }
  return kinds;
}

/**
 * What git stores. Small and large files go to it in turn: with fsyncMethod=batch git 2.39 fails where one call makes loose
 * objects and a pack ("unable to rename temporary file").
 */
function groups({ media, other }: Kinds): { files: Settled[]; settings: string[] }[] {
  const kinds = [
    // Audio hardly deflates.
    { files: media, above: streamed.media, settings: ['-c', 'core.compression=0'] },
    // Everything else must delta and deflate: 20 saves of a 21 MB text would cost 401 MB otherwise.
    { files: other, above: streamed.other, settings: [] },
  ];
  return kinds.flatMap(({ files, above, settings }) =>
    [false, true].map((isLarge) => ({
      settings: [...settings, '-c', `core.bigFileThreshold=${above}`],
      files: files.filter(({ stat }) => stat.size > above === isLarge),
    })),
  );
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
