import type { DawProfile } from './profile.ts';

/** Measured with Ardour 7.3. */
export const ardour: DawProfile = {
  name: 'ardour',
  title: 'Ardour',
  sessions: ['.ardour'],
  folders: ['interchange'],
  generated: ['*.bak', '*.tmp', '*.history', '*.pending', 'instant.xml', 'peaks/', 'analysis/', 'export/', 'dead*/'],
  programs: ['ardour', 'mixbus'],
};
