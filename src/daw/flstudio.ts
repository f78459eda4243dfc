import type { DawProfile } from './profile.ts';

export const flstudio: DawProfile = {
  name: 'flstudio',
  title: 'FL Studio',
  // It can save a .zip too, but a .zip in a folder tells nothing.
  sessions: ['.flp'],
  generated: ['Backup/'],
  programs: ['fl64', 'fl studio', 'fl.exe'],
};
