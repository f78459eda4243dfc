import type { DawProfile } from './profile.ts';

/** Its saves were recorded; the lock file is Qt's. */
export const rosegarden: DawProfile = {
  name: 'rosegarden',
  title: 'Rosegarden',
  sessions: ['.rg'],
  generated: ['*.wav.pk'],
  programs: ['rosegarden'],
  openMark: '.~lock.NAME#',
};
