import type { DawProfile } from './profile.ts';

export const logic: DawProfile = {
  name: 'logic',
  title: 'Logic Pro',
  sessions: [],
  packages: ['.logicx'],
  generated: ['*.nosync/', 'Freeze Files/', 'Autosave/', 'Project File Backups/', 'Bounces/'],
  programs: ['logic pro'],
};
