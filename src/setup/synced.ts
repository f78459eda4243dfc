import path from 'node:path';
import { exists } from '../system/disk.ts';

/**
 * Folders that a service copies between computers, file by file. Such a service damages a repository inside them: it
 * copies refs and objects in any order, and keeps "conflicted copies" of them.
 */

/** Folders directly in the home folder that belong to a service. */
const inHome: [name: RegExp, service: string][] = [
  [/^Dropbox( \(.*\))?$/i, 'Dropbox'],
  [/^OneDrive( - .*)?$/i, 'OneDrive'],
  [/^(Google Drive|GoogleDrive)( \(.*\))?$/i, 'Google Drive'],
  [/^iCloudDrive$/i, 'iCloud Drive'],
];

/** Below `~/Library/CloudStorage` each service has a folder: `GoogleDrive-ann@band.example`, `OneDrive-Personal`. */
const cloudStorage: [name: RegExp, service: string][] = [
  [/^Dropbox/i, 'Dropbox'],
  [/^OneDrive/i, 'OneDrive'],
  [/^GoogleDrive/i, 'Google Drive'],
  [/^iCloud/i, 'iCloud Drive'],
];

/** Files that a service keeps at the top of the folder it copies, wherever that is. */
const markers: Record<string, string> = {
  '.dropbox': 'Dropbox',
  '.dropbox.cache': 'Dropbox',
  '.tmp.drivedownload': 'Google Drive',
  '.tmp.driveupload': 'Google Drive',
  '.nextcloudsync.log': 'Nextcloud',
  '.owncloudsync.log': 'ownCloud',
  '.stfolder': 'Syncthing',
};

/** Which service copies `dir`? `found`: the marker files on the way up from it, as absolute paths. Pure. */
export function syncedBy(dir: string, home: string, found: ReadonlySet<string>): string | null {
  const below = path.relative(home, dir).split(path.sep);
  if (below[0] !== '..' && !path.isAbsolute(below[0] ?? '')) {
    const [first = '', second, third] = below;
    if (first === 'Library' && second === 'Mobile Documents') return 'iCloud Drive';
    if (first === 'Library' && second === 'CloudStorage' && third !== undefined)
      return cloudStorage.find(([name]) => name.test(third))?.[1] ?? third;
    const service = inHome.find(([name]) => name.test(first))?.[1];
    if (service !== undefined) return service;
  }
  for (let at = dir; ; at = path.dirname(at)) {
    // In the home folder itself `.dropbox` is where Dropbox keeps its settings.
    if (at !== home)
      for (const [marker, service] of Object.entries(markers)) if (found.has(path.join(at, marker))) return service;
    if (path.dirname(at) === at) return null;
  }
}

/** Like `syncedBy`, looking for the marker files itself. */
export async function syncService(dir: string, home: string): Promise<string | null> {
  const found = new Set<string>();
  for (let at = dir; ; at = path.dirname(at)) {
    for (const marker of Object.keys(markers)) {
      const file = path.join(at, marker);
      // What cannot be looked at is not there for us.
      if (await exists(file).catch(() => false)) found.add(file);
    }
    if (path.dirname(at) === at) break;
  }
  return syncedBy(dir, home, found);
}

/** iCloud copies Desktop and Documents where the user has switched that on; from outside it cannot be seen. */
export function mayBeInICloud(dir: string, home: string, platform = process.platform): boolean {
  const first = path.relative(home, dir).split(path.sep)[0];
  return platform === 'darwin' && (first === 'Desktop' || first === 'Documents');
}
