import type { DawProfile } from './profile.ts';
import { profiles, systemJunk } from './profiles.ts';

/** The profile of that name; undefined for a name that is not known. */
export const profileNamed = (name: string): DawProfile | undefined => profiles.find((profile) => profile.name === name);

/** The careful one, for software that is not known. */
export const genericProfile = profiles.at(-1) as DawProfile;

/**
 * Finds the DAW from the paths in a folder (relative, `/`). Session files tell, then typical folders; among several the
 * one with the most signs.
 */
export function detectDaw(paths: readonly string[]): DawProfile {
  let best = genericProfile;
  let most = 0;
  for (const profile of profiles) {
    const signs =
      paths.filter((path) => isSession(profile, path)).length * 10 +
      paths.filter((path) => inTypicalFolder(profile, path)).length;
    if (signs > most) [best, most] = [profile, signs];
  }
  return best;
}

/** Does writing this file mean that the user saved? */
export function isSession(profile: DawProfile, path: string): boolean {
  const lower = path.toLowerCase();
  if (profile.sessions.some((ending) => lower.endsWith(ending))) return !isGenerated(profile, path);
  const file = path.slice(path.lastIndexOf('/') + 1);
  return (
    packageOf(profile, path) !== null && (profile.packageSessions ?? []).includes(file) && !isGenerated(profile, path)
  );
}

/** The package (a folder that is a document) that a path lies in, or null. */
export function packageOf(profile: DawProfile, path: string): string | null {
  const segments = path.split('/');
  const at = segments.findIndex((segment) =>
    (profile.packages ?? []).some((ending) => segment.toLowerCase().endsWith(ending)),
  );
  return at < 0 || at === segments.length - 1 ? null : segments.slice(0, at + 1).join('/');
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

/** Temporary siblings that a DAW writes before it replaces its session. */
export const isTemporary = (path: string): boolean => /\.(tmp|temp)$|~$/i.test(path);

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
    return { folder, pattern: new RegExp(`^${source}$`) };
  });
  rules.set(profile, made);
  return made;
}

function inTypicalFolder(profile: DawProfile, path: string): boolean {
  const segments = path.split('/');
  return (profile.folders ?? []).some((folder) => segments.includes(folder));
}
