import { git, tryGit } from '../git/run.ts';

/** Git's settings for a project, in its local configuration: they hold for every Git client that works in it. */
interface Setting {
  key: string;
  value: string;
  /** Only where it holds; without it, everywhere. */
  on?: NodeJS.Platform;
  /** Only in a repository that we made: in one with files in it, it could make them look changed. */
  newOnly?: true;
}

const settings: Setting[] = [
  // Git's default flushes neither objects nor what a commit rests on: after a power cut a commit could be gone.
  { key: 'core.fsync', value: 'committed,loose-object' },
  // One flush of the disk for many objects: 480 MB take 3.4 s instead of 2.8 s without any.
  { key: 'core.fsyncMethod', value: 'batch' },
  // Git tidies by itself after a fetch or a commit, also in the middle of a recording.
  { key: 'gc.auto', value: '0' },
  { key: 'maintenance.auto', value: 'false' },
  // File names with umlauts or emoji are shown as they are, not as \303\274.
  { key: 'core.quotePath', value: 'false' },
  // Every file comes back as the DAW wrote it: Git for Windows would else turn line ends.
  { key: 'core.autocrlf', value: 'false', newOnly: true },
  // HFS+ stores names in another Unicode form than everybody else; without this they would be two files for the team.
  { key: 'core.precomposeUnicode', value: 'true', on: 'darwin' },
  // What iCloud moves away has another ctime afterwards: git would read it to compare it, which fetches it back.
  { key: 'core.trustctime', value: 'false', on: 'darwin' },
  // Takes lie deep in DAW folders: more than 260 characters.
  { key: 'core.longPaths', value: 'true', on: 'win32' },
];

/** Those of a repository that is new on such a system. Pure. */
export const settingsFor = (platform: NodeJS.Platform): Pick<Setting, 'key' | 'value'>[] =>
  settings.filter(({ on }) => on === undefined || on === platform);

/** Sets what is not set yet in this repository; what the user has set there stays. Gives the keys that were set. */
export async function setSettings(
  root: string,
  { isNew }: { isNew: boolean },
  platform = process.platform,
): Promise<string[]> {
  const done: string[] = [];
  for (const { key, value, on, newOnly } of settings) {
    if ((on !== undefined && on !== platform) || (newOnly && !isNew)) continue;
    if ((await localSetting(root, key)) !== null) continue;
    await git(root, ['config', '--local', key, value]);
    done.push(key);
  }
  return done;
}

/** The repository's own value of a key (the last, where there are more), or null. */
export async function localSetting(root: string, key: string): Promise<string | null> {
  const result = await tryGit(root, ['config', '--local', '--get', key]);
  return result.exitCode === 0 ? result.stdout.toString('utf8').replace(/\r?\n$/, '') : null;
}
