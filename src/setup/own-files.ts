import { configPath } from '../project/project.ts';
import { anyCase, mediaPatterns } from '../daw/media.ts';
import type { DawProfile } from '../daw/profile.ts';
import { profiles, systemJunk } from '../daw/profiles.ts';
import { type PartialConfig, readConfig } from '../model/config.ts';
import { withBlock } from './block.ts';

/** What `init` puts into the folder: three files of a project, two of which may hold lines of the user's own. */
export interface OwnFile {
  path: string;
  /** The file as it should be, from what it is (null: there is none). Doing it twice is the same as once. */
  edit: (bytes: Buffer | null) => Buffer;
}

export interface Wanted {
  daw: DawProfile;
  /** What the team's settings must say; what they say already, or is the default, is not written. */
  settings: Pick<PartialConfig, 'branch' | 'daw' | 'remote'>;
  /** The settings as they lie in the folder; a version that has none yet starts from these. */
  settingsNow: Buffer | null;
}

export function ownFiles({ daw, settings, settingsNow }: Wanted): OwnFile[] {
  return [
    { path: '.gitattributes', edit: block(attributes()) },
    { path: '.gitignore', edit: block(ignores(daw)) },
    { path: configPath, edit: (bytes) => withSettings(bytes ?? settingsNow, settings) },
  ];
}

/** Latin-1 there and back keeps every byte of the user's lines, whatever their encoding. */
const block = (lines: readonly string[]) => (bytes: Buffer | null) =>
  Buffer.from(withBlock(bytes?.toString('latin1') ?? '', lines), 'latin1');

/** The lines of `.gitattributes`. Git minds the case of names; cameras and recorders write `.WAV`. */
export function attributes(): string[] {
  const sessions = profiles.flatMap((profile) => profile.sessions);
  const packages = profiles.flatMap((profile) => profile.packages ?? []);
  return [
    '# Audio and video: every byte as it is; searching takes for differences to other takes only costs time.',
    ...mediaPatterns().map((pattern) => `${pattern} -delta -text`),
    '# Sessions: every byte as it is, and never mixed line by line with what somebody else saved.',
    ...sessions.map((ending) => `*${anyCase(ending)} -text -merge`),
    ...packages.map((ending) => `**/*${anyCase(ending)}/** -text -merge`),
  ];
}

/** The lines of `.gitignore`. */
export function ignores(daw: DawProfile): string[] {
  return [
    ...(daw.generated.length > 0 ? [`# Written anew by ${daw.title} whenever it needs it`, ...daw.generated] : []),
    '# Left behind by systems and file servers',
    ...systemJunk,
    "# This computer's own notes; the settings are the team's",
    '.oxenvcs/*',
    `!${configPath}`,
  ];
}

/** The settings file with these settings in force. Bytes that say so already stay as they are. Throws `config-invalid`. */
function withSettings(bytes: Buffer | null, settings: Wanted['settings']): Buffer {
  const text = bytes?.toString('utf8') ?? null;
  const inForce = readConfig(text === null ? [] : [{ from: configPath, text }]);
  const missing = Object.entries(settings).filter(
    ([key, value]) => value !== undefined && inForce[key as keyof Wanted['settings']] !== value,
  );
  if (bytes !== null && missing.length === 0) return bytes;
  const before = text === null ? { v: 1 } : (JSON.parse(text.replace(/^\uFEFF/, '')) as object);
  return Buffer.from(`${JSON.stringify({ ...before, ...Object.fromEntries(missing) }, null, 2)}\n`);
}
