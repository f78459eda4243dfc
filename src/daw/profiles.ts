import type { DawProfile } from './profile.ts';

/** All profiles; facts and their certainty are in the table that they were taken from: manuals, ignore files, and Ardour measured. */

const logic: DawProfile = {
  name: 'logic',
  title: 'Logic Pro',
  sessions: [],
  packages: ['.logicx'],
  packageSessions: [
    'ProjectData',
    'MetaData.plist',
    'ProjectInformation.plist',
    'DisplayState.plist',
    'DisplayStateArchive',
  ],
  generated: ['*.nosync/', 'Freeze Files/', 'Autosave/', 'Project File Backups/', 'Bounces/'],
};

const garageband: DawProfile = {
  name: 'garageband',
  title: 'GarageBand',
  sessions: [],
  packages: ['.band'],
  packageSessions: ['projectData', 'ProjectData', 'MetaData.plist', 'ProjectInformation.plist'],
  generated: ['Output/', 'Previews/', 'Autosave/', '*.nosync/'],
};

const live: DawProfile = {
  name: 'live',
  title: 'Ableton Live',
  sessions: ['.als'],
  folders: ['Ableton Project Info'],
  // Not *.asd: it can hold warp markers that somebody set by hand.
  generated: ['Backup/', '*.als.tmp'],
};

const protools: DawProfile = {
  name: 'protools',
  title: 'Pro Tools',
  sessions: ['.ptx', '.ptf'],
  generated: ['WaveCache.wfm', 'Session File Backups/', 'Rendered Files/'],
};

const reaper: DawProfile = {
  name: 'reaper',
  title: 'REAPER',
  sessions: ['.rpp'],
  generated: ['*.rpp-bak', '*.RPP-UNDO', '*.rpp-undo', '*.reapeaks', '*.reapindex', 'Backups/'],
};

const flstudio: DawProfile = {
  name: 'flstudio',
  title: 'FL Studio',
  sessions: ['.flp'],
  generated: ['Backup/'],
};

const cubase: DawProfile = {
  name: 'cubase',
  title: 'Cubase',
  sessions: ['.cpr', '.npr'],
  generated: ['Images/', '*.csh', '*-[0-9][0-9].bak', 'Auto Saves/'],
};

const bitwig: DawProfile = {
  name: 'bitwig',
  title: 'Bitwig Studio',
  sessions: ['.bwproject'],
  generated: ['auto-backups/'],
};

const studioone: DawProfile = {
  name: 'studioone',
  title: 'Studio One',
  sessions: ['.song'],
  generated: ['History/', 'Cache/'],
};

const reason: DawProfile = { name: 'reason', title: 'Reason', sessions: ['.reason'], generated: [] };

const ardour: DawProfile = {
  name: 'ardour',
  title: 'Ardour',
  sessions: ['.ardour'],
  folders: ['interchange'],
  generated: ['*.bak', '*.tmp', '*.history', '*.pending', 'instant.xml', 'peaks/', 'analysis/', 'export/', 'dead*/'],
};

const audacity: DawProfile = {
  name: 'audacity',
  title: 'Audacity',
  sessions: ['.aup3'],
  generated: ['*.aup3-wal', '*.aup3-shm'],
  database: true,
};

/** Software that is not known: careful. Every file counts, and a save is whatever has become quiet. */
const generic: DawProfile = {
  name: 'generic',
  title: 'unknown software',
  sessions: [],
  generated: ['*.tmp', '*.bak', '*~'],
};

export const profiles: readonly DawProfile[] = [
  logic,
  garageband,
  live,
  protools,
  reaper,
  flstudio,
  cubase,
  bitwig,
  studioone,
  reason,
  ardour,
  audacity,
  generic,
];

/** What systems and file servers leave in any folder. */
export const systemJunk = [
  '.DS_Store',
  '._*',
  'Thumbs.db',
  'desktop.ini',
  '.smbdelete*',
  '.TemporaryItems/',
  '.Trashes/',
  '.fseventsd/',
] as const;
