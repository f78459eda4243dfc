import type { DawProfile } from './profile.ts';

export const protools: DawProfile = {
  name: 'protools',
  title: 'Pro Tools',
  sessions: ['.ptx', '.ptf'],
  generated: ['WaveCache.wfm', 'Session File Backups/', 'Rendered Files/'],
  programs: ['pro tools', 'protools'],
};
