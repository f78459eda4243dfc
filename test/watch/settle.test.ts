import { expect, test } from 'vitest';
import { inQuestion } from '../../src/watch/due.ts';
import { growingTakes } from '../../src/watch/known.ts';
import { begin } from '../../src/watch/settle.ts';
import { detailOf } from '../../src/watch/tell.ts';
import { overwritten, toOutlive } from '../../src/watch/version.ts';
import { Machine, nth } from './machine.ts';

test('a save is captured and committed once it has been quiet for 3 s, not before', () => {
  const m = new Machine();
  m.feed({ type: 'stirred' });
  expect(m.name).toBe('dirty');
  expect(m.watch(1, 3, { 'Song.als': 1 })).toBe('settling');
  expect(m.told).toEqual([]);
  expect(m.look(4, { 'Song.als': 1 })).toBe('clean');
  expect(m.told).toEqual(['Song.als@1']);
});

test('a save that becomes quiet while the look at it is still under way is due at once, not at the next scan', () => {
  const m = new Machine();
  m.look(0, { 'Song.als': 1 });
  m.look(2.9, { 'Song.als': 1 });
  // Asking git, the files and the processes took half a second; meanwhile nothing stirred.
  m.time = 3.4;
  expect(m.next).toBe(3);
});

test('a file that is written to again has to be quiet for 3 s anew', () => {
  const m = new Machine();
  m.look(0, { 'Song.als': 1 });
  m.look(2.9, { 'Song.als': 2 });
  expect(m.watch(3, 5, { 'Song.als': 2 })).toBe('settling');
  m.look(6, { 'Song.als': 2 });
  expect(m.told).toEqual(['Song.als@2']);
});

test('saves nearer than the quiet time are one, also those of two sessions', () => {
  const m = new Machine('ardour');
  m.look(0, { 'Song.ardour': 1 });
  m.watch(2, 4, { 'Song.ardour': 1, 'Song-mix2.ardour': 1 });
  expect(m.told).toEqual([]);
  m.look(5, { 'Song.ardour': 1, 'Song-mix2.ardour': 1 });
  expect(m.told).toEqual(['Song.ardour@1 Song-mix2.ardour@1']);
});

test('a second session that goes on being written joins the first, which was captured meanwhile', () => {
  const m = new Machine('ardour');
  m.look(0, { 'Song.ardour': 1 });
  m.look(2, { 'Song.ardour': 1, 'Song-mix2.ardour': 1 });
  m.look(3, { 'Song.ardour': 1, 'Song-mix2.ardour': 1 });
  m.watch(4, 6, { 'Song.ardour': 1, 'Song-mix2.ardour': 2 });
  expect(m.told).toEqual([]);
  m.look(7, { 'Song.ardour': 1, 'Song-mix2.ardour': 2 });
  expect(m.told).toEqual(['Song.ardour@1 Song-mix2.ardour@2']);
});

test('a finished take is waited for: the version is complete', () => {
  const m = new Machine();
  m.watch(0, 14, { 'Song.als': 1, 'Take.wav': 7 });
  expect(m.name).toBe('held: take-grows');
  m.look(15, { 'Song.als': 1, 'Take.wav': 7 });
  expect(m.told).toEqual(['Song.als@1 Take.wav@7']);
});

test('a newer save while a take grows: the waiting version is made first, without the take, and says so', () => {
  const m = new Machine();
  for (let at = 0; at < 11; at++) m.look(at, { 'Song.als': 1, 'Take.wav': 10 + at });
  expect(m.name).toBe('held: take-grows');
  m.look(11, { 'Song.als': 2, 'Take.wav': 21 });
  expect(m.told).toEqual(['Song.als@1 …Take.wav']);
  m.watch(12, 26, { 'Song.als': 2, 'Take.wav': 21 });
  expect(m.told).toEqual(['Song.als@1 …Take.wav', 'Song.als@2 Take.wav@21']);
  expect(m.name).toBe('clean');
});

test('a take that never ends holds a save for 2 minutes, no longer', () => {
  const m = new Machine();
  for (let at = 0; at < 123; at++) m.look(at, { 'Song.als': 1, 'Take.wav': 10 + at });
  expect(m.told).toEqual([]);
  m.look(123, { 'Song.als': 1, 'Take.wav': 133 });
  expect(m.told).toEqual(['Song.als@1 …Take.wav']);
});

test('a take that takes the place of one that was just removed is waited for as any other', () => {
  const m = new Machine();
  m.watch(0, 1, { 'Song.als': 1, 'Take.wav': null });
  for (let at = 2; at < 30; at++) m.look(at, { 'Song.als': 1, 'Take.wav': 1 + Math.floor(at / 6) });
  expect([m.told, m.name]).toEqual([[], 'held: take-grows']);
});

test('small files that never rest hold a save for 15 s, no longer', () => {
  const m = new Machine();
  for (let at = 0; at < 18; at++) m.look(at, { 'Song.als': 1, 'plugin.log': 10 + at });
  expect(m.told).toEqual([]);
  m.look(18, { 'Song.als': 1, 'plugin.log': 28 });
  expect(m.told).toEqual(['Song.als@1']);
});

test('a package is captured as one, when all of it is quiet', () => {
  const m = new Machine('logic');
  const data = 'Song.logicx/Alternatives/000/ProjectData';
  const plist = 'Song.logicx/Resources/ProjectInformation.plist';
  m.look(0, { [data]: 1 });
  m.watch(1, 3, { [data]: 1, [plist]: 1 });
  expect(m.name).toBe('settling');
  expect(m.captures).toEqual([]);
  m.slippery.add(plist);
  m.look(4, { [data]: 1, [plist]: 1 });
  expect(m.captures).toHaveLength(2);
  m.slippery.clear();
  // The half that was captured is not a version of its own.
  m.watch(5, 7, { [data]: 2, [plist]: 2 });
  expect(m.told).toEqual([]);
  m.look(8, { [data]: 2, [plist]: 2 });
  expect(m.told).toEqual([`${data}@2 ${plist}@2`]);
});

test('a package waits for a temporary file of any of its folders, also beside a file that has rested for long', () => {
  const m = new Machine('logic');
  const data = 'Song.logicx/Alternatives/000/ProjectData';
  const plist = 'Song.logicx/Resources/ProjectInformation.plist';
  for (let at = 0; at < 70; at++) m.look(at, { [data]: 1, [plist]: at + 1 });
  for (let at = 70; at < 90; at++)
    m.look(at, { [data]: 1, [plist]: 70 }, { temporary: { 'Song.logicx/Alternatives/000/x.tmp': at } });
  expect(m.captures).toEqual([]);
  m.watch(90, 93, { [data]: 90, [plist]: 70 });
  expect(m.told).toEqual([`${data}@90 ${plist}@70`]);
});

test('a temporary file beside a session delays it; one that was left behind does not', () => {
  const m = new Machine('ardour');
  m.watch(0, 5, { 'Song.ardour': null }, { temporary: { 'Song.tmp': 1 } });
  m.watch(6, 12, { 'Song.ardour': null }, { temporary: { 'Song.tmp': 2 } });
  expect(m.name).toBe('settling');
  m.watch(13, 16, { 'Song.ardour': 3 });
  expect(m.told).toEqual(['Song.ardour@3']);

  m.watch(20, 34, { 'Song.ardour': 4 }, { temporary: { 'old.tmp': 1 } });
  expect(m.told).toHaveLength(1);
  m.look(35, { 'Song.ardour': 4 }, { temporary: { 'old.tmp': 1 } });
  expect(m.told.at(-1)).toBe('Song.ardour@4');
  // From now on it is known to be old.
  m.watch(40, 43, { 'Song.ardour': 5 }, { temporary: { 'old.tmp': 1 } });
  expect(m.told.at(-1)).toBe('Song.ardour@5');
});

test('a temporary file that never rests delays a session for a minute, no longer', () => {
  const m = new Machine('ardour');
  for (let at = 0; at < 60; at++) m.look(at, { 'Song.ardour': 1 }, { temporary: { 'Song.tmp': at } });
  expect(m.told).toEqual([]);
  m.look(60, { 'Song.ardour': 1 }, { temporary: { 'Song.tmp': 60 } });
  expect(m.told).toEqual(['Song.ardour@1']);
});

test('a temporary file in another folder delays nothing', () => {
  const m = new Machine('ardour');
  m.watch(0, 3, { 'Song.ardour': 1 }, { temporary: { 'other/Song.tmp': 1 } });
  expect(m.told).toEqual(['Song.ardour@1']);
});

test('a session that is still open for writing is held; what follows before it is closed is the same save', () => {
  const m = new Machine();
  m.watch(0, 8, { 'Song.als': 1 }, { open: ['Song.als'] });
  expect(m.name).toBe('held: file-open');
  m.watch(9, 11, { 'Song.als': 2 }, { open: ['Song.als'] });
  m.watch(12, 13, { 'Song.als': 2 });
  expect(m.told).toEqual(['Song.als@2']);
});

test('an idle descriptor holds a session for a minute, no longer', () => {
  const m = new Machine();
  m.watch(0, 59, { 'Song.als': 1 }, { open: ['Song.als'] });
  expect(m.told).toEqual([]);
  m.look(60, { 'Song.als': 1 }, { open: ['Song.als'] });
  expect(m.told).toEqual(['Song.als@1']);
});

test('a session that has rested for a minute is a save, though it is open all the time and the version waits for a take', () => {
  const m = new Machine();
  for (let at = 0; at < 90; at++) m.look(at, { 'Song.als': 1, 'Take.wav': 10 + at }, { open: ['Song.als'] });
  expect(m.told).toEqual([]);
  m.look(90, { 'Song.als': 2, 'Take.wav': 100 }, { open: ['Song.als'] });
  expect(m.told).toEqual(['Song.als@1 …Take.wav']);
});

test('a session that was closed and is written again is a newer save', () => {
  const m = new Machine();
  m.watch(0, 5, { 'Song.als': 1, 'Take.wav': 1 }, { open: ['Song.als'] });
  m.look(6, { 'Song.als': 1, 'Take.wav': 1 });
  m.look(7, { 'Song.als': 2, 'Take.wav': 1 });
  expect(m.told).toEqual(['Song.als@1 …Take.wav']);
});

test('a captured session that is opened again is not waited for', () => {
  const m = new Machine();
  m.watch(0, 5, { 'Song.als': 1, 'Take.wav': 1 });
  m.watch(6, 15, { 'Song.als': 1, 'Take.wav': 1 }, { open: ['Song.als'] });
  expect(m.told).toEqual(['Song.als@1 Take.wav@1']);
});

test('a database is never taken while it is open, however long', () => {
  const m = new Machine('audacity');
  m.watch(0, 500, { 'Song.aup3': 1 }, { open: ['Song.aup3'] });
  expect(m.name).toBe('held: file-open');
  expect(m.told).toEqual([]);
  // Nobody tells that it was closed.
  expect(m.next).toBe(503);
  m.look(501, { 'Song.aup3': 1 });
  expect(m.told).toEqual(['Song.aup3@1']);
});

test('an open database does not hold up the sessions beside it', () => {
  const m = new Machine('live');
  m.watch(0, 18, { 'Voice.aup3': 1 }, { open: ['Voice.aup3'] });
  expect(m.watch(19, 21, { 'Song.als': 1, 'Voice.aup3': 1 }, { open: ['Voice.aup3'] })).toBe('settling');
  m.watch(22, 40, { 'Song.als': 1, 'Voice.aup3': 1 }, { open: ['Voice.aup3'] });
  expect(m.told).toEqual(['Song.als@1']);
});

test('takes that are recorded into the session file need the patience of takes', () => {
  const m = new Machine('reason');
  m.watch(0, 14, { 'Song.reason': 1 });
  expect(m.told).toEqual([]);
  m.look(15, { 'Song.reason': 1 });
  expect(m.told).toEqual(['Song.reason@1']);
});

test('a take that is open for writing is not finished, though it rests', () => {
  const m = new Machine();
  m.watch(0, 30, { 'Song.als': 1, 'Take.wav': 1 }, { open: ['Take.wav'] });
  expect(m.name).toBe('held: take-grows');
  m.look(31, { 'Song.als': 1, 'Take.wav': 1 });
  expect(m.told).toEqual(['Song.als@1 Take.wav@1']);
});

test('what became quiet since the last look is not taken: nobody has asked who has it open', () => {
  const m = new Machine();
  m.watch(0, 14, { 'Song.als': 1, 'Take.wav': 1 }, { open: ['Take.wav'] });
  m.time = 20;
  m.feed({ type: 'end' });
  expect(m.told).toEqual(['Song.als@1 …Take.wav']);
});

test('a session that is missing for a moment is not deleted; one that stays away is', () => {
  const m = new Machine();
  m.watch(0, 2, { 'Song.als': null });
  m.watch(2.5, 6, { 'Song.als': 1 });
  expect(m.told).toEqual(['Song.als@1']);
  m.watch(10, 13, { 'Song.als': null, 'Renamed.als': 5, 'Old.wav': null });
  expect(m.told.at(-1)).toBe('Renamed.als@5 -Song.als -Old.wav');
});

test('a session that is deleted while its version waits keeps that version', () => {
  const m = new Machine();
  m.watch(0, 5, { 'Song.als': 1, 'Take.wav': 1 });
  m.look(6, { 'Song.als': null, 'Take.wav': 1 });
  expect(m.told).toEqual(['Song.als@1 …Take.wav']);
  m.watch(7, 15, { 'Song.als': null, 'Take.wav': 1 });
  expect(m.told.at(-1)).toBe('Take.wav@1 -Song.als');
});

test('a deletion that waits to be committed is committed once', () => {
  const m = new Machine();
  m.outcomes.push(...Array.from({ length: 4 }, () => ({ outcome: 'later', reason: 'a merge' }) as const));
  m.watch(0, 4, { 'Old.als': null });
  // Captured while the other waits.
  m.watch(5, 20, { 'Old.als': null, 'New.als': 1 });
  expect(m.told.slice(4)).toEqual(['-Old.als', 'New.als@1']);
});

test('a take that somebody has just removed is not called incomplete', () => {
  const m = new Machine();
  m.watch(0, 4, { 'Song.als': 1, 'Take.wav': 1 });
  m.look(5, { 'Song.als': 2, 'Take.wav': null });
  expect(m.told).toEqual(['Song.als@1']);
});

test('other files than media are followed until they rest, too', () => {
  const m = new Machine();
  m.look(0, { 'notes.txt': 1 });
  expect([m.name, m.next]).toEqual(['settling', 1]);
  expect([m.follow(20, { 'notes.txt': 1 }), m.next]).toEqual(['held: media-only', 600]);
});

test('what is waited for is told in words: one name, without its folder, and nothing that could break a line', () => {
  const m = new Machine();
  const detail = () => detailOf(m.state);
  expect(detail()).toBe('');
  m.look(0, { 'a/b/My\nSong 🎸.als': 1 });
  expect(detail()).toBe('being written: My Song 🎸.als');
  m.look(1, { 'a/b/My\nSong 🎸.als': 1, 'Other.als': 1, 'Third.als': 1 });
  expect(detail()).toBe('being written: My Song 🎸.als and 2 more');
  m.slow = true;
  m.watch(2, 4, { 'Song.als': 1 });
  m.look(5, { 'Song.als': 1 });
  expect(detail()).toBe('making a version');
  m.finish({ outcome: 'later', reason: 'a merge is under way' });
  expect(detail()).toBe('a merge is under way');
  m.watch(6, 7, { 'Song.als': 1 });
  m.finish();
  m.look(10, { 'Take.wav': 1 });
  expect(detail()).toMatch(/^audio is being written.*: Take\.wav$/);
});

test('what is waited for is told once, however often a save interrupts the wait, until all is clean; a recording as it begins and ends', () => {
  const m = new Machine('live', { growingTakeHoldSeconds: 600, mediaOnlyCommitMinutes: 1 });
  const told = () => m.events.splice(0).filter(({ event }) => event !== 'state');
  const waits = () =>
    m.events.flatMap((one) => (one.event === 'state' && one.state === 'held' ? [`${one.why} ${one.again}`] : []));
  // One take after the other grows, and a save comes.
  for (let at = 0; at < 60; at++)
    m.look(at, {
      'Take 1.wav': Math.min(at, 30) + 1,
      'Take 2.wav': at + 1,
      ...(at >= 20 ? { 'Song.als': at > 40 ? 2 : 1 } : {}),
    });
  expect(waits()).toEqual(['take-grows false', ...Array.from({ length: 3 }, () => 'take-grows true')]);
  expect(told()).toEqual([
    { event: 'changed', paths: ['Take 1.wav', 'Take 2.wav'] },
    { event: 'recording', takes: ['Take 1.wav', 'Take 2.wav'] },
  ]);
  m.watch(60, 140, { 'Take 1.wav': 31, 'Take 2.wav': 60, 'Song.als': 2 });
  expect(m.events.at(-1)).toEqual({ event: 'state', state: 'clean', why: null, detail: '', again: false });
  expect(told()).toEqual([{ event: 'recording', takes: [] }]);
  m.look(141, { 'Take 3.wav': 1 });
  expect(waits()).toEqual(['take-grows false']);
  expect(told()).toEqual([
    { event: 'changed', paths: ['Take 3.wav'] },
    { event: 'recording', takes: ['Take 3.wav'] },
  ]);
});

test('media without a save wait for the next one, for 10 minutes at most', () => {
  const m = new Machine();
  m.watch(0, 16, { 'Take.wav': 1 });
  expect(m.name).toBe('held: media-only');
  expect(m.next).toBe(600);
  m.look(599, { 'Take.wav': 1 });
  expect(m.told).toEqual([]);
  m.look(600, { 'Take.wav': 1 });
  expect(m.told).toEqual(['Take.wav@1']);
});

test('versions of media only are at least 10 s apart', () => {
  const m = new Machine('live', { mediaQuietSeconds: 1, mediaOnlyCommitMinutes: 0.05 });
  m.watch(0, 3, { 'Take1.wav': 1 });
  expect(m.told).toEqual(['Take1.wav@1']);
  m.watch(4, 12, { 'Take2.wav': 1 });
  expect(m.told).toHaveLength(1);
  expect(m.next).toBe(13);
  m.look(13, { 'Take2.wav': 1 });
  expect(m.told).toEqual(['Take1.wav@1', 'Take2.wav@1']);
  // One of a save counts for nothing.
  m.watch(20, 23, { 'Song.als': 1 });
  m.watch(24, 27, { 'Take3.wav': 1 });
  expect(m.told.slice(2)).toEqual(['Song.als@1', 'Take3.wav@1']);
});

test('media do not become a version of their own while another take grows', () => {
  const m = new Machine();
  m.look(0, { 'Take1.wav': 1 });
  for (let at = 590; at < 700; at++) m.look(at, { 'Take1.wav': 1, 'Take2.wav': at });
  expect(m.told).toEqual([]);
  m.watch(700, 714, { 'Take1.wav': 1, 'Take2.wav': 699 });
  expect(m.told).toEqual(['Take1.wav@1 Take2.wav@699']);
});

test('while a version is made for minutes every save is captured, and becomes a version of its own, in order', () => {
  const m = new Machine();
  m.slow = true;
  m.watch(0, 15, { 'Song.als': 1, 'Take.wav': 1 });
  expect(m.name).toBe('committing');
  m.watch(16, 20, { 'Song.als': 2, 'Take.wav': 1 });
  m.watch(21, 25, { 'Song.als': 3, 'Take.wav': 1 });
  // And is told as nothing else all the time.
  expect(m.names.slice(m.names.indexOf('committing'))).toEqual(['committing']);
  expect(m.captures.map(({ stat }) => Number(stat.mtimeNs))).toEqual([1, 2, 3]);
  expect(m.told).toEqual(['Song.als@1 Take.wav@1']);
  m.finish();
  m.finish();
  m.finish();
  expect(m.told).toEqual(['Song.als@1 Take.wav@1', 'Song.als@2', 'Song.als@3']);
  expect(m.look(26, {})).toBe('clean');
});

test('sessions that are saved together while a version is made are one version', () => {
  const m = new Machine('ardour');
  m.slow = true;
  m.watch(0, 3, { 'Song.ardour': 1 });
  m.watch(4, 5, { 'Song.ardour': 2 });
  m.watch(6, 9, { 'Song.ardour': 2, 'Song-mix2.ardour': 1 });
  m.finish();
  expect(m.told).toEqual(['Song.ardour@1', 'Song.ardour@2 Song-mix2.ardour@1']);
});

test('a session that settles while a version is made that could not wait for it does not vanish into that version', () => {
  const m = new Machine();
  m.slow = true;
  for (let at = 0; at < 19; at++) m.look(at, { 'Song.als': 1, 'Other.als': 10 + at });
  expect(m.told).toEqual(['Song.als@1']);
  m.watch(19, 22, { 'Song.als': 1, 'Other.als': 28 });
  m.finish();
  expect(m.told).toEqual(['Song.als@1', 'Other.als@28']);
});

test('a version that cannot be made does not wait anew for its take when the next save is captured already', () => {
  const m = new Machine();
  m.slow = true;
  for (let at = 0; at < 19; at++) m.look(at, { 'Song.als': 1, 'Take.wav': 1, 'Other.als': 10 + at });
  m.watch(19, 22, { 'Song.als': 1, 'Take.wav': 1, 'Other.als': 28 });
  expect(m.told).toEqual(['Song.als@1 Take.wav@1']);
  m.finish({ outcome: 'moved', paths: ['Take.wav'] });
  m.finish();
  expect(m.told.slice(1)).toEqual(['Song.als@1 …Take.wav']);
});

test('a save over one that is still open while its version is made is a version of its own', () => {
  const m = new Machine();
  m.slow = true;
  m.watch(0, 61, { 'Song.als': 1 }, { open: ['Song.als'] });
  m.watch(62, 65, { 'Song.als': 2 }, { open: ['Song.als'] });
  m.finish();
  m.watch(66, 123, { 'Song.als': 2 }, { open: ['Song.als'] });
  expect(m.told).toEqual(['Song.als@1', 'Song.als@2']);
});

test('a session that is half written while another one is saved over and over gets into none of its versions', () => {
  const m = new Machine();
  m.watch(0, 5, { 'Mix.als': 1 }, { open: ['Mix.als'] });
  m.watch(6, 10, { 'Mix.als': 1, 'Song.als': 1 }, { open: ['Mix.als'] });
  m.watch(11, 15, { 'Mix.als': 1, 'Song.als': 2 }, { open: ['Mix.als'] });
  m.watch(16, 20, { 'Mix.als': 2, 'Song.als': 2 });
  expect(m.told).toEqual(['Song.als@1', 'Song.als@2 Mix.als@2']);
});

test('a save while a version of media only is made is not lost with it', () => {
  const m = new Machine();
  m.slow = true;
  m.watch(0, 16, { 'Take.wav': 1 });
  m.watch(600, 601, { 'Take.wav': 1 });
  m.watch(602, 606, { 'Take.wav': 1, 'Song.als': 1 });
  m.finish();
  expect(m.told).toEqual(['Take.wav@1', 'Song.als@1']);
});

test('a version that cannot be made after all takes in nothing of the save that came meanwhile, and waits no longer', () => {
  const m = new Machine();
  m.slow = true;
  m.watch(0, 15, { 'Song.als': 1, 'Take.wav': 1 });
  m.watch(16, 20, { 'Song.als': 2, 'Take.wav': 2 });
  m.finish({ outcome: 'moved', paths: ['Take.wav'] });
  m.finish();
  expect(m.told.slice(1)).toEqual(['Song.als@1 …Take.wav']);
  m.watch(21, 31, { 'Song.als': 2, 'Take.wav': 2 });
  expect(m.told.slice(2)).toEqual(['Song.als@2 Take.wav@2']);
});

test('a take that is gone before its version is made is not waited for', () => {
  const m = new Machine();
  m.slow = true;
  m.watch(0, 15, { 'Song.als': 1, 'Take.wav': 1 });
  m.look(16, { 'Song.als': 1 });
  m.finish({ outcome: 'moved', paths: ['Take.wav'] });
  expect(m.told.slice(1)).toEqual(['Song.als@1']);
});

test('a save whose stored bytes were pruned is captured anew where it still lies so, and holds up no later one', () => {
  const m = new Machine();
  m.slow = true;
  m.watch(0, 3, { 'Song.als': 1 });
  // While it is made the DAW saves again: of the first nothing is left.
  m.watch(4, 7, { 'Song.als': 2 });
  m.finish({ outcome: 'lost', paths: ['Song.als'] });
  m.watch(8, 8, { 'Song.als': 2 });
  m.finish({ outcome: 'lost', paths: ['Song.als'] });
  m.watch(9, 12, { 'Song.als': 2 });
  m.finish();
  expect(m.told).toEqual(['Song.als@1', 'Song.als@2', 'Song.als@2']);
  expect(m.captures.map(({ stat }) => stat.mtimeNs)).toEqual([1n, 2n, 2n]);
  expect(m.watch(13, 16, {})).toBe('clean');
});

test('captured saves outlive the process, but for one that is a version in a moment', () => {
  const m = new Machine();
  m.slow = true;
  const kept = () => toOutlive(m.rules, m.state.known, m.time * 1000).map(({ captured }) => captured[0]?.file.oid);
  m.watch(0, 5, { 'Song.als': 1, 'Take.wav': 1 });
  expect(kept()).toEqual(['Song.als@1']);
  m.watch(6, 15, { 'Song.als': 1, 'Take.wav': 1 });
  expect(m.name).toBe('committing');
  expect([kept(), m.next]).toEqual([[], 16]);
  // Saved over: now it lies nowhere else.
  const over = new Machine();
  over.slow = true;
  over.watch(0, 15, { 'Song.als': 1, 'Take.wav': 1, 'Old.als': null });
  over.look(15.5, { 'Song.als': 2, 'Take.wav': 1, 'Old.als': null });
  expect(toOutlive(over.rules, over.state.known, 15_500)).toMatchObject([
    { captured: [{ file: { oid: 'Song.als@1' } }], deleted: ['Old.als'] },
  ]);
  m.look(16, { 'Song.als': 1, 'Take.wav': 1 });
  expect(kept()).toEqual(['Song.als@1']);
  m.watch(17, 20, { 'Song.als': 2, 'Take.wav': 1 });
  expect(kept()).toEqual(['Song.als@1', 'Song.als@2']);
  m.finish();
  expect(kept()).toEqual([]);
});

test('of what outlived the process only what was saved over is taken up: the rest is captured anew', () => {
  const save = (n: number) => ({
    captured: [{ file: { path: 'Song.als', mode: '100644' as const, oid: `Song.als@${n}` }, stat: nth(n) }],
    deleted: ['Old.als'],
  });
  const takenUp = (lies: Record<string, number>) =>
    overwritten([save(1), save(2)], new Map(Object.entries(lies).map(([path, n]) => [path, nth(n)]))).map(
      ({ captured }) => captured.get('Song.als')?.file.oid,
    );
  expect(takenUp({ 'Song.als': 2 })).toEqual(['Song.als@1']);
  expect(takenUp({ 'Song.als': 3 })).toEqual(['Song.als@1', 'Song.als@2']);
  expect(takenUp({ 'Song.als': 2, 'Old.als': 1 })).toEqual(['Song.als@1', 'Song.als@2']);
  const m = new Machine();
  m.state = begin(overwritten([save(1), save(2)], new Map([['Song.als', nth(3)]])));
  m.watch(0, 3, { 'Song.als': 3 });
  expect(m.told).toEqual(['Song.als@1 -Old.als', 'Song.als@2 -Old.als', 'Song.als@3']);
});

test('while no version can be made it backs off, and every save made meanwhile follows in order', () => {
  const m = new Machine();
  m.outcomes.push(...Array.from({ length: 6 }, () => ({ outcome: 'later', reason: 'a merge is under way' }) as const));
  m.watch(0, 3, { 'Song.als': 1 });
  expect(m.name).toBe('held: later');
  const tries = [m.time];
  for (let at = 4; at < 80; at++) {
    const before = m.saves.length;
    m.look(at, { 'Song.als': at < 20 ? 1 : at < 40 ? 2 : 3 });
    if (m.saves.length > before) tries.push(at);
  }
  // 1, 2, 4, 8, 16 and then 30 s apart.
  expect(tries).toEqual([3, 4, 6, 10, 18, 34, 64]);
  expect(m.told.slice(6)).toEqual(['Song.als@1', 'Song.als@2', 'Song.als@3']);
  expect(m.name).toBe('clean');
  // The next time it begins with a second again.
  m.outcomes.push({ outcome: 'later', reason: 'another merge' });
  m.watch(100, 104, { 'Song.als': 4 });
  expect([m.told.slice(9), m.name]).toEqual([['Song.als@4', 'Song.als@4'], 'clean']);
});

test('what moves while it is committed settles anew', () => {
  const m = new Machine();
  m.outcomes.push({ outcome: 'moved', paths: ['Take.wav'] });
  m.watch(0, 15, { 'Song.als': 1, 'Take.wav': 1 });
  expect(m.name).toBe('held: take-grows');
  m.watch(16, 31, { 'Song.als': 1, 'Take.wav': 2 });
  expect(m.told).toEqual(['Song.als@1 Take.wav@1', 'Song.als@1 Take.wav@2']);
});

test('a save that cannot wait is made without what moves', () => {
  const m = new Machine();
  m.outcomes.push({ outcome: 'moved', paths: ['Take.wav'] });
  m.watch(0, 14, { 'Song.als': 1, 'Take.wav': 1, 'Other.wav': 1 });
  m.look(15, { 'Song.als': 2, 'Take.wav': 1, 'Other.wav': 1 });
  expect(m.told).toEqual(['Song.als@1 Take.wav@1 Other.wav@1', 'Song.als@1 Other.wav@1 …Take.wav']);
});

test('a file that moved, but is not one of those handed over, does not make it try without end', () => {
  const m = new Machine();
  m.outcomes.push({ outcome: 'moved', paths: ['nobody knows.wav'] });
  m.watch(0, 3, { 'Song.als': 1 });
  expect(m.name).toBe('held: later');
  expect(m.saves).toHaveLength(1);
});

test('a session that moves while it is captured settles anew', () => {
  const m = new Machine();
  m.slippery.add('Song.als');
  m.watch(0, 3, { 'Song.als': 1 });
  m.slippery.clear();
  m.watch(4, 5, { 'Song.als': 2 });
  expect(m.told).toEqual([]);
  m.watch(6, 7, { 'Song.als': 2 });
  expect(m.told).toEqual(['Song.als@2']);
});

test('media are no version of their own while the session beside them cannot be stored for it keeps moving', () => {
  const m = new Machine();
  m.slippery.add('Song.als');
  m.watch(0, 40, { 'Song.als': 1, 'Take.wav': 1 });
  expect([m.told, m.name]).toEqual([[], 'settling']);
  m.slippery.clear();
  m.watch(41, 44, { 'Song.als': 1, 'Take.wav': 1 });
  expect(m.told).toEqual(['Song.als@1 Take.wav@1']);
});

test('a file that git goes on calling different is committed once, until it is written again', () => {
  const m = new Machine();
  m.outcomes.push({ outcome: 'nothing' });
  m.watch(0, 60, { 'Song.als': 1 });
  expect(m.saves).toHaveLength(1);
  expect(m.name).toBe('clean');
  m.watch(61, 64, { 'Song.als': 2 });
  expect(m.saves).toHaveLength(2);
  // The user takes the version back: the file differs from HEAD again, though nobody wrote it.
  m.look(65, {});
  m.watch(66, 69, { 'Song.als': 2 });
  expect(m.saves).toHaveLength(3);
});

test('what is reset to the last version before it settled makes none', () => {
  const m = new Machine();
  m.look(0, { 'Song.als': 1 });
  m.look(1, {});
  expect(m.name).toBe('clean');
  expect(m.saves).toEqual([]);
});

test('what was captured stays a version, even if the file is put back meanwhile', () => {
  const m = new Machine();
  m.watch(0, 5, { 'Song.als': 1, 'Take.wav': 1 });
  m.look(6, { 'Take.wav': 1 });
  expect(m.told).toEqual(['Song.als@1 …Take.wav']);
});

test('the end: what was captured is committed with the takes that have settled, what has not settled is left', () => {
  const m = new Machine();
  m.watch(0, 20, { 'Song.als': 1, 'Take1.wav': 1, 'Take2.wav': 1 }, { open: ['Take2.wav'] });
  expect(m.name).toBe('held: take-grows');
  m.time = 20.5;
  m.feed({ type: 'end' });
  expect(m.told).toEqual(['Song.als@1 Take1.wav@1 …Take2.wav']);
  m.look(20.6, { 'Other.als': 1 });
  expect(m.told).toHaveLength(1);
});

test('the end: media that wait for a save are committed, as far as there is time for them', () => {
  const m = new Machine();
  const files = { 'Small.wav': nth(1, 1000), 'Huge.wav': nth(1, 5e9) };
  m.watch(0, 16, files);
  m.feed({ type: 'end' });
  expect(m.told).toEqual(['Small.wav@1 +Huge.wav']);
  m.look(17, { 'Huge.wav': nth(1, 5e9) });
  expect(m.told).toHaveLength(1);

  const two = new Machine();
  two.watch(0, 16, { 'A.wav': nth(1, 2e8), 'B.wav': nth(1, 2e8) });
  two.feed({ type: 'end' });
  expect(two.told).toEqual(['A.wav@1 +B.wav']);
});

test('the end: a session that is open for writing may be half of a save and is left; what is complete beside it is committed', () => {
  const m = new Machine();
  m.watch(0, 8, { 'Song.als': 1, 'Mix.als': 1 }, { open: ['Song.als'] });
  expect(m.name).toBe('held: file-open');
  m.feed({ type: 'end' });
  expect(m.told).toEqual(['Mix.als@1']);
  m.look(8.5, { 'Song.als': 1 }, { open: ['Song.als'] });
  expect(m.told).toHaveLength(1);
  // Its DAW, which ends as well, has closed it.
  m.look(8.6, { 'Song.als': 1 });
  expect(m.told).toEqual(['Mix.als@1', 'Song.als@1']);
});

test('the end: of a package that is being written nothing is committed, but a descriptor that is only kept open holds nothing back', () => {
  const m = new Machine('logic');
  const song = { 'Song.logicx/Alternatives/000/ProjectData': 1, 'Song.logicx/Resources/ProjectInformation.plist': 1 };
  m.watch(0, 8, song, { open: Object.keys(song).slice(0, 1) });
  m.feed({ type: 'end' });
  m.look(8.5, song, { open: Object.keys(song).slice(0, 1) });
  expect(m.told).toEqual([]);

  const idle = new Machine();
  idle.outcomes.push({ outcome: 'later', reason: 'a merge' });
  idle.watch(0, 60, { 'Song.als': 1 }, { open: ['Song.als'] });
  idle.feed({ type: 'end' });
  expect(idle.told).toEqual(['Song.als@1', 'Song.als@1']);
});

test('what was captured half written is no save that a kill must not take: at the next start it would be made a version', () => {
  const m = new Machine();
  const kept = () => toOutlive(m.rules, m.state.known, m.time * 1000).flatMap(({ captured }) => captured);
  m.watch(0, 8, { 'Song.als': 1, 'Mix.als': 1, 'Take.wav': 1 }, { open: ['Song.als', 'Take.wav'] });
  expect(kept().map(({ file }) => file.oid)).toEqual(['Mix.als@1']);
  m.look(9, { 'Song.als': 1, 'Mix.als': 1, 'Take.wav': 2 }, { open: ['Take.wav'] });
  expect(kept().map(({ file }) => file.oid)).toEqual(['Song.als@1', 'Mix.als@1']);
});

test('the end: a version whose takes take too long is made without them, once', () => {
  const m = new Machine();
  const files = { 'Song.als': 1, 'Take.wav': nth(1, 5e9), 'Empty.txt': nth(1, 0) };
  m.slow = true;
  m.watch(0, 16, files);
  m.feed({ type: 'end' });
  m.finish({ outcome: 'later', reason: 'no time was left for its takes' });
  expect(m.told).toEqual(['Song.als@1 Take.wav@1 Empty.txt@1', 'Song.als@1 Empty.txt@1 +Take.wav']);
  m.finish({ outcome: 'later', reason: 'a merge' });
  m.look(17, files);
  expect(m.saves).toHaveLength(2);
});

test('the end in the middle of a merge: it is tried once, and then it ends', () => {
  const m = new Machine();
  m.outcomes.push({ outcome: 'later', reason: 'a merge is under way' }, { outcome: 'later', reason: 'a merge' });
  m.watch(0, 3, { 'Song.als': 1 });
  m.feed({ type: 'end' });
  expect(m.saves).toHaveLength(2);
  m.look(4, { 'Song.als': 1 });
  expect(m.saves).toHaveLength(2);
});

test('all is clean again only when what stirred is as old as the quiet time: events come early', () => {
  const m = new Machine();
  m.feed({ type: 'stirred' });
  expect(m.look(0.1, {})).toBe('dirty');
  expect(m.next).not.toBeNull();
  expect(m.look(2.9, {})).toBe('dirty');
  expect(m.look(3, {})).toBe('clean');
  expect(m.next).toBeNull();
});

test('it wants to look as soon as a look can tell something new, and no sooner than needed', () => {
  const save = new Machine();
  save.look(0, { 'Song.als': 1 });
  save.look(0.7, { 'Song.als': 1 });
  save.follow(100, { 'Song.als': 1 });
  expect([save.told, save.time]).toEqual([['Song.als@1'], 3]);
  expect(save.next).toBeNull();

  const open = new Machine();
  open.look(0.5, { 'Song.als': 1 });
  open.follow(10, { 'Song.als': 1 }, { open: ['Song.als'] });
  open.look(10.1, { 'Song.als': 1 }, { open: ['Song.als'] });
  expect(open.next).toBe(13.1);
  open.look(59.1, { 'Song.als': 1 }, { open: ['Song.als'] });
  open.follow(62, { 'Song.als': 1 }, { open: ['Song.als'] });
  expect([open.told, open.time]).toEqual([['Song.als@1'], 60.5]);

  const leftover = new Machine();
  leftover.look(0.5, { 'Song.als': 1 }, { temporary: { 'x.tmp': 1 } });
  leftover.follow(61, { 'Song.als': 1 }, { temporary: { 'x.tmp': 1 } });
  expect([leftover.told, leftover.time]).toEqual([['Song.als@1'], 15.5]);

  const log = new Machine();
  log.look(0, { 'Song.als': 1, 'plugin.log': 1 });
  log.look(3, { 'Song.als': 1, 'plugin.log': 2 });
  log.look(17.5, { 'Song.als': 1, 'plugin.log': 3 });
  log.follow(18, { 'Song.als': 1, 'plugin.log': 4 });
  expect([log.told, log.time]).toEqual([['Song.als@1'], 18]);

  const held = new Machine();
  held.look(0, { 'Song.als': 1, 'Take.wav': 1 });
  held.follow(3, { 'Song.als': 1, 'Take.wav': 1 });
  for (const at of [18, 20.2]) held.look(at, { 'Song.als': 1, 'Take.wav': Math.ceil(at) });
  for (let i = 30; held.time < 123; i++) {
    const before = held.time;
    held.look(held.next ?? 0, { 'Song.als': 1, 'Take.wav': i });
    expect(held.time - before).toBeLessThan(1.01);
  }
  expect([held.told, held.time]).toEqual([['Song.als@1 …Take.wav'], 123]);

  const merge = new Machine();
  merge.outcomes.push({ outcome: 'later', reason: 'a merge' });
  merge.look(0, { 'Song.als': 1 });
  merge.follow(100, { 'Song.als': 1 });
  expect([merge.saves.length, merge.time]).toEqual([2, 4]);

  const media = new Machine();
  media.look(0, { 'Take.wav': 1 });
  let looks = 0;
  for (; media.next !== null; looks++) media.look(media.next, { 'Take.wav': 1 });
  expect([media.told, media.time]).toEqual([['Take.wav@1'], 600]);
  expect(looks).toBeLessThan(25);
});

test('only of files that lie still it is asked who has them open', () => {
  const m = new Machine();
  m.watch(0, 5, { 'Song.als': 1, 'Take.wav': 1 });
  const now = new Map([
    ['Song.als', nth(1)],
    ['Take.wav', nth(1)],
  ]);
  expect(inQuestion(m.state.known, now, 5000)).toEqual(['Song.als']);
  expect(inQuestion(m.state.known, now, 15_000)).toEqual(['Song.als', 'Take.wav']);
  expect(inQuestion(m.state.known, new Map([['Song.als', nth(2)]]), 15_000)).toEqual([]);
});

test('with unknown software every file but media is a session', () => {
  const m = new Machine('generic');
  m.watch(0, 3, { 'Song.h2song': 1 });
  expect(m.told).toEqual(['Song.h2song@1']);
});

test('what is kept free of the disk is not used for takes: the save is versioned without them, and they follow', () => {
  const m = new Machine();
  const takes = { 'Big.wav': nth(1, 1000), 'Small.wav': nth(1, 100), 'Mid.wav': nth(1, 450) };
  const files = { 'Song.als': nth(1, 10), ...takes, 'preset.fxp': nth(1, 30) };
  m.watch(0, 15, files, { room: { media: 500, sessions: 2000 } });
  // One beside the other there is no room for the third.
  expect(m.told).toEqual(['Song.als@1 Small.wav@1 preset.fxp@1 +Big.wav +Mid.wav']);
  expect(m.look(16, { 'Big.wav': nth(1, 1000) }, { room: { media: 400, sessions: 1900 } })).toBe('held: no-room');
  // Nobody tells when there is room again.
  expect(m.next).toBe(46);
  m.watch(46, 700, { 'Big.wav': nth(1, 1000) });
  expect(m.told.at(-1)).toBe('Big.wav@1');
});

test('a session for which there is no room waits, a package as a whole, and says so; nothing is stored of it', () => {
  const m = new Machine('logic');
  const data = 'Song.logicx/Alternatives/000/ProjectData';
  const plist = 'Song.logicx/Resources/ProjectInformation.plist';
  const files = { [data]: nth(1, 90), [plist]: nth(1, 20) };
  const room = { media: -5, sessions: 100 };
  expect(m.watch(0, 10, files, { room })).toBe('held: no-room');
  expect([m.captures, m.told]).toEqual([[], []]);
  expect(m.look(11, { ...files, 'Other.als': nth(1, 30) }, { room })).toBe('held: no-room');
  m.watch(12, 30, { ...files, 'Other.als': nth(1, 30) }, { room });
  expect(m.told).toEqual(['Other.als@1']);
  m.look(60, files);
  expect(m.told.at(-1)).toBe(`${data}@1 ${plist}@1`);
  // Each alone would find room.
  const two = new Machine();
  const both = { 'A.als': nth(1, 60), 'B.als': nth(1, 60) };
  two.watch(0, 3, both, { room });
  two.watch(4, 20, both, { room: { media: -65, sessions: 40 } });
  expect(two.captures.map(({ path }) => path)).toEqual(['A.als']);
});

test('what is gone takes no room', () => {
  const m = new Machine('live', { mediaOnlyCommitMinutes: 0.1 });
  m.watch(0, 20, { 'Old.wav': null }, { room: { media: -5, sessions: -5 } });
  expect(m.told).toEqual(['-Old.wav']);
});

test('a take that could not be read, and differs no more, is waited for no longer', () => {
  const m = new Machine('live', { mediaOnlyCommitMinutes: 0.1 });
  m.outcomes.push({ outcome: 'moved', paths: ['Secret.wav'], unreadable: ['Secret.wav'] });
  m.watch(0, 20, { 'Secret.wav': 1 }, { unreadable: ['Secret.wav'] });
  expect(m.name).toBe('held: no-rights');
  m.look(21, {}, { unreadable: ['Secret.wav'] });
  expect(m.name).toBe('clean');
});

test('a take that grows is known, in whatever file it is recorded, until it rests', () => {
  const growing = (m: Machine) => growingTakes(m.rules, m.state.known).map(({ path }) => path);
  const m = new Machine('reason');
  m.look(0, { 'Song.reason': 1, 'Song.als': 1, 'Take.wav': 1, 'Old.wav': null, 'Old.reason': null });
  expect(growing(m)).toEqual(['Take.wav', 'Song.reason']);
  m.watch(1, 14, { 'Song.reason': 1, 'Take.wav': 1, 'Old.wav': null }, { open: ['Take.wav'] });
  expect(growing(m)).toEqual(['Take.wav', 'Song.reason']);
  m.look(15, { 'Song.reason': 1, 'Take.wav': 1 }, { open: ['Take.wav'] });
  m.look(16, { 'Take.wav': 1 }, { open: ['Take.wav'] });
  expect(growing(m)).toEqual(['Take.wav']);
  // Left open, and idle.
  m.look(61, { 'Take.wav': 1 }, { open: ['Take.wav'] });
  expect(growing(m)).toEqual([]);
});
