import type { DawProfile } from './profile.ts';

/** Nuendo is the same in this. */
export const cubase: DawProfile = {
  name: 'cubase',
  title: 'Cubase',
  sessions: ['.cpr', '.npr'],
  generated: ['Images/', '*.csh', '*-[0-9][0-9].bak', 'Auto Saves/'],
  programs: ['cubase', 'nuendo'],
};
