import { ardour } from './ardour.ts';
import { audacity } from './audacity.ts';
import { bitwig } from './bitwig.ts';
import { cubase } from './cubase.ts';
import { flstudio } from './flstudio.ts';
import { garageband } from './garageband.ts';
import { generic } from './generic.ts';
import { hydrogen } from './hydrogen.ts';
import { live } from './live.ts';
import { lmms } from './lmms.ts';
import { logic } from './logic.ts';
import type { DawProfile } from './profile.ts';
import { protools } from './protools.ts';
import { reaper } from './reaper.ts';
import { reason } from './reason.ts';
import { rosegarden } from './rosegarden.ts';
import { studioone } from './studioone.ts';

/** Every DAW that is known by name. What each writes is from manuals, public ignore files and forums; Ardour was measured. */
export const profiles: readonly DawProfile[] = [
  logic,
  garageband,
  live,
  protools,
  reaper,
  flstudio,
  cubase,
  bitwig,
  studioone,
  reason,
  ardour,
  audacity,
  rosegarden,
  lmms,
  hydrogen,
  generic,
];

/** What systems, file servers and office programs leave in any folder; lines as in `generated`. */
export const systemJunk = [
  '.DS_Store',
  '._*',
  'Thumbs.db',
  'desktop.ini',
  '.smbdelete*',
  '.~lock.*',
  '.TemporaryItems/',
  '.Trashes/',
  '.fseventsd/',
  // What iCloud leaves in the place of a file that it has moved away: `.Song.als.icloud`.
  '.*.icloud',
] as const;
