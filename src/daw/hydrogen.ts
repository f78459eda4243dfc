import type { DawProfile } from './profile.ts';

/** Its saves were recorded: truncated and written in place, in 2 ms. */
export const hydrogen: DawProfile = {
  name: 'hydrogen',
  title: 'Hydrogen',
  sessions: ['.h2song'],
  generated: ['*.autosave.h2song', '*.h2song.bak'],
  programs: ['hydrogen'],
};
