import { Failure } from './failures.ts';

/** What Windows keeps for devices, with any ending: `con.wav` can neither be made nor opened there. */
const devices = /^(con|prn|aux|nul|com[1-9¹²³]|lpt[1-9¹²³])(\.|$)/i;

/** Why Windows cannot hold a file of this path, for people; null: it can. Pure. */
export function whyNotOnWindows(path: string): string | null {
  for (const name of path.split('/')) {
    const sign = /[<>:"|?*\\]/.exec(name)?.[0];
    if (sign !== undefined) return `the sign ${sign}`;
    if (/\p{Cc}/u.test(name)) return 'a control character';
    if (/[. ]$/.test(name)) return 'a dot or a space at the end';
    if (devices.test(name)) return 'a name that Windows keeps for devices';
  }
  return null;
}

/** Not UTF-8: git gives its bytes, and what cannot be read of them becomes this sign. */
export const isUnreadable = (path: string): boolean => path.includes('\uFFFD');

/** What is one name on a Mac and on Windows: capitals do not count, nor the two ways to write `ä`. */
const folded = (path: string): string => path.normalize('NFC').toLowerCase();

/** What is wrong with the names of these files, among all of the project: it will be missed on another computer. Pure. */
export function oddNames(paths: readonly string[], all: readonly string[]): { path: string; failure: Failure }[] {
  const others = new Map<string, string[]>();
  for (const path of new Set([...all, ...paths])) others.set(folded(path), [...(others.get(folded(path)) ?? []), path]);
  const told = new Set<string>();
  return paths.flatMap((path) => {
    if (isUnreadable(path)) return [{ path, failure: new Failure('name-unreadable', { file: path }) }];
    const why = whyNotOnWindows(path);
    if (why !== null) return [{ path, failure: new Failure('name-not-on-windows', { file: path, why }) }];
    const twin = others.get(folded(path))?.find((other) => other !== path);
    // Of two new ones each is the other's twin.
    if (twin === undefined || told.has(JSON.stringify([twin, path]))) return [];
    told.add(JSON.stringify([path, twin]));
    return [{ path, failure: new Failure('name-twin', { file: path, twin }) }];
  });
}
