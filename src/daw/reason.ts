import type { DawProfile } from './profile.ts';

export const reason: DawProfile = {
  name: 'reason',
  title: 'Reason',
  sessions: ['.reason'],
  generated: [],
  programs: ['reason'],
  holdsAudio: true,
};
