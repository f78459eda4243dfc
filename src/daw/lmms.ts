import type { DawProfile } from './profile.ts';

/** Its saves were recorded: the old file becomes `.bak`, `.new` takes its place; for 0.4 ms there is none at all. */
export const lmms: DawProfile = {
  name: 'lmms',
  title: 'LMMS',
  sessions: ['.mmpz', '.mmp'],
  generated: ['*.mmpz.bak', '*.mmp.bak', '*.mmpz.new', '*.mmp.new'],
  programs: ['lmms'],
};
