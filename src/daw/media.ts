/** Audio and video: large, hardly compressible, never a session. Endings without the dot, lower case. */
export const mediaEndings = [
  'wav',
  'wave',
  'bwf',
  'rf64',
  'w64',
  'aif',
  'aiff',
  'aifc',
  'caf',
  'flac',
  'mp3',
  'm4a',
  'aac',
  'ogg',
  'opus',
  'wma',
  'wv',
  'ape',
  'sd2',
  'rex',
  'rx2',
  'mov',
  'mp4',
  'm4v',
  'avi',
  'mkv',
  'webm',
] as const;

const endings = new Set<string>(mediaEndings);

/** By its ending alone: is this a take, a sample, a video? */
export function isMedia(path: string): boolean {
  const dot = path.lastIndexOf('.');
  return dot > path.lastIndexOf('/') && endings.has(path.slice(dot + 1).toLowerCase());
}

/** The same for `.gitattributes`: Git minds the case of names; cameras and recorders write `.WAV`. */
export const mediaPatterns = (): string[] => mediaEndings.map((ending) => `*.${anyCase(ending)}`);

export const anyCase = (ending: string): string =>
  ending.replace(/[a-z]/gi, (letter) => `[${letter.toLowerCase()}${letter.toUpperCase()}]`);
