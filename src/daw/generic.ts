import type { DawProfile } from './profile.ts';

/** Software that is not known: careful. Every file but media counts as a session, and a save is whatever has become quiet. */
export const generic: DawProfile = {
  name: 'generic',
  title: 'unknown software',
  sessions: [],
  anySession: true,
  generated: ['*.tmp', '*.bak', '*~'],
  programs: [],
  // As LibreOffice and Qt's programs name it.
  openMark: '.~lock.NAME#',
};
