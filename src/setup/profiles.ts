/** A stand-in until the DAW profiles are there. */

export interface Daw {
  name: string;
  ignores: string[];
}

export const isPackage = (segment: string): boolean => /\.(logicx|band)$/i.test(segment);
export const mediaExtensions = ['wav', 'aif', 'aiff', 'flac', 'mp3', 'ogg', 'm4a', 'caf', 'bwf', 'rf64', 'w64'];
export const sessionExtensions = ['als', 'rpp', 'ardour'];
export const packageExtensions = ['logicx', 'band'];
export const junk = ['.DS_Store', '._*', 'Thumbs.db', 'desktop.ini'];
