import type { DawProfile } from './profile.ts';

export const live: DawProfile = {
  name: 'live',
  title: 'Ableton Live',
  sessions: ['.als'],
  folders: ['Ableton Project Info'],
  // Not *.asd: it can hold warp markers that somebody set by hand.
  generated: ['Backup/', '*.als.tmp'],
  programs: ['live', 'ableton live'],
};
