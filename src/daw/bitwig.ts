import type { DawProfile } from './profile.ts';

export const bitwig: DawProfile = {
  name: 'bitwig',
  title: 'Bitwig Studio',
  sessions: ['.bwproject'],
  generated: ['auto-backups/'],
  programs: ['bitwig'],
};
