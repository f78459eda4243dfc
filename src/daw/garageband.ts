import type { DawProfile } from './profile.ts';

export const garageband: DawProfile = {
  name: 'garageband',
  title: 'GarageBand',
  sessions: [],
  packages: ['.band'],
  generated: ['*.nosync/', 'Output/', 'Previews/', 'Autosave/'],
  programs: ['garageband'],
};
