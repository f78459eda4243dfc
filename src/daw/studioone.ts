import type { DawProfile } from './profile.ts';

export const studioone: DawProfile = {
  name: 'studioone',
  title: 'Studio One',
  sessions: ['.song'],
  generated: ['History/', 'Cache/'],
  programs: ['studio one'],
};
