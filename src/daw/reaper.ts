import type { DawProfile } from './profile.ts';

export const reaper: DawProfile = {
  name: 'reaper',
  title: 'REAPER',
  sessions: ['.rpp'],
  generated: ['*.rpp-bak', '*.RPP-bak', '*.rpp-undo', '*.RPP-UNDO', '*.reapeaks', '*.reapindex', 'Backups/'],
  programs: ['reaper'],
};
