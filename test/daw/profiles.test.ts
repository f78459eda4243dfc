import { expect, test } from 'vitest';
import {
  detectDaw,
  genericProfile,
  holdsAudio,
  isDatabase,
  isGenerated,
  isGeneratedFolder,
  isMedia,
  isSession,
  isTemporary,
  packageOf,
  profileNamed,
} from '../../src/daw/match.ts';
import type { DawProfile } from '../../src/daw/profile.ts';
import { profiles, systemJunk } from '../../src/daw/profiles.ts';
import { git } from '../../src/git/run.ts';
import { repository, sandbox, write } from '../support/sandbox.ts';

/** A project folder of each DAW, sorted by what becomes of each file. */
const trees: Record<string, { sessions: string[]; media: string[]; others: string[]; generated: string[] }> = {
  logic: {
    sessions: [
      'Song.logicx/Alternatives/000/ProjectData',
      'Song.logicx/Alternatives/000/MetaData.plist',
      'Song.logicx/Alternatives/000/WindowImage.jpg',
      'Song.logicx/Resources/ProjectInformation.plist',
    ],
    media: ['Song.logicx/Media/Audio Files/Take#01.wav', 'Audio Files/Take#02.aif'],
    others: ['Impulse Responses/Room.SDIR', 'Alchemy Samples/a.azs'],
    generated: [
      'Song.logicx/Alternatives/000/Undo Data.nosync/1.undo',
      'Song.logicx/Alternatives/000/Autosave/ProjectData',
      'Song.logicx/Alternatives/000/Project File Backups/03/ProjectData',
      'Song.logicx/Media/Freeze Files.nosync/F1.aif',
      'Freeze Files/F1.aif',
      'Bounces/Song.wav',
    ],
  },
  garageband: {
    sessions: ['Song.band/projectData', 'Song.band/Alternatives/000/ProjectData'],
    media: ['Song.band/Media/Take.aif'],
    others: ['notes.txt'],
    generated: ['Song.band/Output/Output.aif', 'Song.band/Previews/Preview.jpg', 'Song.band/Autosave/projectData'],
  },
  live: {
    sessions: ['Song.als', 'Other Song.ALS'],
    media: ['Samples/Recorded/0001 1-Audio.aif', 'Samples/Imported/Kick.wav'],
    others: ['Ableton Project Info/Project8_1.cfg', 'Samples/Imported/Kick.wav.asd'],
    generated: [
      'Backup/Song [2026-11-20 120000].als',
      'Song.als.tmp',
      '.DS_Store',
      'Samples/._Kick.wav',
      '.Song.als.icloud',
    ],
  },
  protools: {
    sessions: ['Song.ptx', 'Old.ptf'],
    media: ['Audio Files/Gtr_01.wav', 'Video Files/clip.mov'],
    others: ['Clip Groups/verse.grp'],
    generated: ['WaveCache.wfm', 'Session File Backups/Song.bak.001.ptx', 'Rendered Files/x.wav'],
  },
  reaper: {
    sessions: ['Song.RPP', 'alt.rpp'],
    media: ['Media/01-Gtr.wav', 'Video.mp4'],
    others: ['Song.txt'],
    generated: [
      'Song.rpp-bak',
      'Song.RPP-bak',
      'Song.RPP-UNDO',
      'Media/01-Gtr.wav.reapeaks',
      'x.reapindex',
      'Backups/Song-2026.rpp',
    ],
  },
  flstudio: {
    sessions: ['Song.flp'],
    media: ['Samples/clap.wav'],
    others: ['Song.zip'],
    generated: ['Backup/Song (autosaved at 16h00).flp'],
  },
  cubase: {
    sessions: ['Song.cpr', 'Film.npr'],
    media: ['Audio/Gtr_01.wav', 'Edits/e.wav', 'Freeze/f.wav'],
    others: ['Track Pictures/a.png', 'Song.bak'],
    generated: ['Images/Gtr_01.peak', 'Song.csh', 'Song-01.bak', 'Auto Saves/Song-02.cpr'],
  },
  bitwig: {
    sessions: ['Song.bwproject'],
    media: ['samples/kick.wav', 'recordings/take.wav', 'bounce/b.wav'],
    others: ['plugin-states/1.vstpreset'],
    generated: ['auto-backups/Song 2026.bwproject'],
  },
  studioone: {
    sessions: ['Song.song'],
    media: ['Media/Gtr.wav', 'Bounces/b.wav', 'Mixdown/m.wav'],
    others: ['Song.txt'],
    generated: ['History/Song (Autosave).song', 'Cache/Audio/c.tmp'],
  },
  reason: { sessions: ['Song.reason'], media: ['bounce.wav'], others: ['readme.txt'], generated: ['Thumbs.db'] },
  ardour: {
    sessions: ['Song.ardour', 'Song-mix2.ardour'],
    media: ['interchange/Song/audiofiles/Take1_Gtr-1.wav', 'interchange/Song/audiofiles/-dash.wav'],
    others: ['plugins/1/state.ttl', 'interchange/Song/midifiles/MIDI 1-1.mid'],
    generated: [
      'Song.ardour.bak',
      'Song.tmp',
      'Song.history',
      'Song.history.bak',
      'Song.pending',
      'instant.xml',
      'peaks/1.peak',
      'analysis/1.note',
      'export/Song.wav',
      'dead/Take.wav',
    ],
  },
  audacity: {
    sessions: ['Song.aup3'],
    media: ['mix.mp3'],
    others: ['labels.txt'],
    generated: ['Song.aup3-wal', 'Song.aup3-shm'],
  },
  rosegarden: {
    sessions: ['Song.rg'],
    media: ['audio/take-1.wav'],
    others: ['notes.txt'],
    generated: ['audio/take-1.wav.pk', '.~lock.Song.rg#'],
  },
  lmms: {
    sessions: ['Song.mmpz', 'a folder/🎸 neu.mmp'],
    media: ['samples/kick.ogg'],
    others: ['presets/bass.xpf'],
    generated: ['Song.mmpz.bak', 'Song.mmpz.new', 'Song.mmp.bak'],
  },
  hydrogen: {
    sessions: ['Song.h2song'],
    media: ['kit/snare.flac'],
    others: ['pattern.h2pattern', 'kit/drumkit.xml'],
    generated: ['.Song.autosave.h2song', 'Song.h2song.bak'],
  },
  generic: {
    sessions: ['Song.hydrogen', 'Song.mscz', 'a folder/🎸 neu.seq'],
    media: ['take.flac'],
    others: [],
    generated: ['Song.tmp', 'Song.rg~', '.~lock.Song.rg#', 'Song.bak'],
  },
};

const cases = profiles.map((profile) => ({
  name: profile.name,
  profile,
  ...(trees[profile.name] as (typeof trees)['live']),
}));

test.each(cases)('the files of $name are sorted right', ({ profile, sessions, media, others, generated }) => {
  const sorted = (paths: string[]) =>
    paths.map((path) => {
      if (isGenerated(profile, path)) return `${path}: generated`;
      if (isSession(profile, path)) return `${path}: session`;
      return `${path}: ${isMedia(path) ? 'media' : 'other'}`;
    });
  expect(sorted(sessions)).toEqual(sessions.map((path) => `${path}: session`));
  expect(sorted(media)).toEqual(media.map((path) => `${path}: media`));
  expect(sorted(others)).toEqual(others.map((path) => `${path}: other`));
  expect(sorted(generated)).toEqual(generated.map((path) => `${path}: generated`));
});

test.each(cases)(
  '$name is found from its folder, and by its name',
  ({ profile, sessions, media, others, generated }) => {
    const found = detectDaw([...generated, ...others, ...media, ...sessions]);
    expect(found).toBe(profile);
    expect(detectDaw(sessions)).toBe(profile);
    expect(profileNamed(profile.name)).toBe(profile);
  },
);

// What git leaves out and what is not watched must be the same, or saves are watched for that can never be committed.
test.each(cases)('git ignores for $name what is not watched, and nothing else', async ({ profile, ...tree }) => {
  const dir = await repository(await sandbox(), { '.gitignore': [...profile.generated, ...systemJunk].join('\n') });
  const all = [...tree.sessions, ...tree.media, ...tree.others, ...tree.generated];
  await write(dir, Object.fromEntries(all.map((path) => [path, 'x'])));
  const listed = await git(dir, ['ls-files', '-z', '--others', '--exclude-standard']);
  expect(listed.split('\0').filter(Boolean).toSorted()).toEqual(
    [...tree.sessions, ...tree.media, ...tree.others].toSorted(),
  );
});

test('a pattern is a valid .gitignore line of the two forms that are understood', () => {
  for (const line of [...profiles.flatMap((profile) => profile.generated), ...systemJunk])
    expect(line).toMatch(/^[^/!#\s?\\][^/!?\\]*\/?$/);
});

test('a folder is matched by whole names only', () => {
  const live = profileNamed('live') as DawProfile;
  expect(isGeneratedFolder(live, 'Backup')).toBe(true);
  expect(isGeneratedFolder(live, 'Samples/Backup')).toBe(true);
  expect(isGeneratedFolder(live, 'Backup Vocals')).toBe(false);
  expect(isGenerated(live, 'My Backup/Song.als')).toBe(false);
  expect(isGenerated(live, 'Backup')).toBe(false);
});

test('a wrong guess at the DAW never lets a save wait', () => {
  const live = profileNamed('live') as DawProfile;
  expect(isSession(live, 'Song.rpp')).toBe(true);
  expect(isSession(live, 'Song.logicx/Alternatives/000/ProjectData')).toBe(true);
  expect(isSession(live, 'notes.txt')).toBe(false);
});

test('folders alone tell a DAW, and without any sign it is the careful profile', () => {
  expect(detectDaw(['interchange/Song/audiofiles/a.wav']).name).toBe('ardour');
  expect(detectDaw(['a.wav', 'b.txt'])).toBe(genericProfile);
  expect(detectDaw([])).toBe(genericProfile);
  expect(profileNamed('cakewalk')).toBeUndefined();
  // Backups of another DAW tell nothing.
  expect(detectDaw(['Backup/x.als', 'Backup/y.als', 'Song.rpp']).name).toBe('reaper');
});

test('a package is one document, wherever it lies', () => {
  expect(packageOf('a/Song.logicx/Media/x.wav')).toBe('a/Song.logicx');
  expect(packageOf('Song.LOGICX/x')).toBe('Song.LOGICX');
  expect(packageOf('Song.logicx')).toBeNull();
  expect(packageOf('Song.band.txt')).toBeNull();
});

test('sessions that takes are recorded into, databases and temporary files are told apart', () => {
  expect([holdsAudio('a.reason'), holdsAudio('a.aup3'), holdsAudio('a.als')]).toEqual([true, true, false]);
  expect([isDatabase('a.AUP3'), isDatabase('a.reason')]).toEqual([true, false]);
  expect([isTemporary('a/Song.tmp'), isTemporary('Song.als'), isTemporary('Song.rg~')]).toEqual([true, false, false]);
});
