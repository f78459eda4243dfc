import { generic } from './generic.ts';
import { isMedia } from './media.ts';
import type { DawProfile } from './profile.ts';
import { profiles, systemJunk } from './profiles.ts';

/** All paths here are relative to the project, with `/`. */

/** The profile of that name; undefined for a name that is not known. */
export const profileNamed = (name: string): DawProfile | undefined => profiles.find((profile) => profile.name === name);

/** The careful one, for software that is not known. */
export const genericProfile = generic;

/**
 * Finds the DAW from the paths in a folder. Session files tell, then typical folders; among several the one with the
 * most signs.
 */
export function detectDaw(paths: readonly string[]): DawProfile {
  let best: DawProfile = generic;
  let most = 0;
  for (const profile of profiles) {
    const sessions = paths.filter((path) => hasSessionName(profile, path) && !isGenerated(profile, path));
    const signs = sessions.length * 10 + paths.filter((path) => inTypicalFolder(profile, path)).length;
    if (signs > most) [best, most] = [profile, signs];
  }
  return best;
}

/**
 * Does writing this file mean that somebody saved? The session of any DAW counts, so that a wrong guess at the DAW, or a
 * second one in the folder, never lets a save wait.
 */
export function isSession(profile: DawProfile, path: string): boolean {
  if (isMedia(path) || isGenerated(profile, path)) return false;
  return profile.anySession === true || profiles.some((one) => hasSessionName(one, path));
}

/** The DAWs that may have one of these paths in memory: the project's, and those of any other session. */
export const dawsOf = (profile: DawProfile, paths: readonly string[]): DawProfile[] => [
  ...new Set([profile, ...profiles.filter((one) => paths.some((path) => hasSessionName(one, path)))]),
];

/** Is the session file of this path a database, to be left alone while anybody has it open? */
export const isDatabase = (path: string): boolean =>
  profiles.some((one) => one.database === true && hasSessionName(one, path));

/** Are takes recorded into this session file? */
export const holdsAudio = (path: string): boolean =>
  profiles.some((one) => one.holdsAudio === true && hasSessionName(one, path));

/** The package (a folder that is a document) that a path lies in, or null. */
export function packageOf(path: string): string | null {
  const segments = path.split('/');
  const at = segments.slice(0, -1).findIndex((name) => packageEndings.some((ending) => endsWith(name, ending)));
  return at < 0 ? null : segments.slice(0, at + 1).join('/');
}

/** Is it something that the DAW or the system generates, which is neither watched nor versioned? */
export function isGenerated(profile: DawProfile, path: string): boolean {
  const segments = path.split('/');
  return matcher(profile).some(({ folder, pattern }) =>
    (folder ? segments.slice(0, -1) : segments.slice(-1)).some((segment) => pattern.test(segment)),
  );
}

/** Like `isGenerated`, for a folder itself. */
export const isGeneratedFolder = (profile: DawProfile, path: string): boolean => isGenerated(profile, `${path}/x`);

/** What a DAW writes before it puts it in the place of its session. */
export const isTemporary = (path: string): boolean => /\.(tmp|temp|new)$/i.test(path);

export { isMedia };

const packageEndings = profiles.flatMap((profile) => profile.packages ?? []);

const endsWith = (name: string, ending: string): boolean => name.toLowerCase().endsWith(ending);

function hasSessionName(profile: DawProfile, path: string): boolean {
  if (profile.sessions.some((ending) => endsWith(path, ending))) return true;
  const outer = packageOf(path);
  return outer !== null && !isMedia(path) && (profile.packages ?? []).some((ending) => endsWith(outer, ending));
}

interface Rule {
  folder: boolean;
  pattern: RegExp;
}

const rules = new Map<DawProfile, Rule[]>();

function matcher(profile: DawProfile): Rule[] {
  const known = rules.get(profile);
  if (known) return known;
  const made = [...profile.generated, ...systemJunk].map((line) => {
    const folder = line.endsWith('/');
    const name = folder ? line.slice(0, -1) : line;
    const source = name.replace(/[.+^${}()|\\]/g, '\\$&').replace(/\*/g, '.*');
    return { folder, pattern: new RegExp(`^${source}$`, 's') };
  });
  rules.set(profile, made);
  return made;
}

function inTypicalFolder(profile: DawProfile, path: string): boolean {
  const segments = path.split('/').slice(0, -1);
  return (profile.folders ?? []).some((folder) => segments.includes(folder));
}
