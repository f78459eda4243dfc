import type { DawProfile } from './profile.ts';

export const audacity: DawProfile = {
  name: 'audacity',
  title: 'Audacity',
  sessions: ['.aup3'],
  generated: ['*.aup3-wal', '*.aup3-shm'],
  programs: ['audacity'],
  holdsAudio: true,
  database: true,
};
