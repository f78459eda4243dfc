import fc from 'fast-check';
import { expect, test } from 'vitest';
import { compare, decide } from '../../src/conflict/compare.ts';
import { genericProfile, profileNamed } from '../../src/daw/match.ts';
import type { DawProfile } from '../../src/daw/profile.ts';
import type { TreeEntry } from '../../src/git/tree.ts';
import { changes, type Files } from '../support/trees.ts';

const live = profileNamed('live') as DawProfile;

/** What becomes of `base` that one side made `ours` of and the other `theirs`. */
function meet(base: Files, ours: Files, theirs: Files, profile = live) {
  const [here, there] = [changes(base, ours), changes(base, theirs)];
  const compared = compare(profile, here, there);
  const after = (entries: ReadonlyMap<string, TreeEntry | null>): Files => {
    const files = { ...theirs };
    for (const [path, one] of entries)
      if (one === null) delete files[path];
      else files[path] = one.oid;
    return files;
  };
  return {
    joined: after(compared.entries),
    inCommon: compared.inCommon.map(({ name }) => name),
    mine: after(decide(compared, here, there, 'ours')),
    theirs: after(decide(compared, here, there, 'theirs')),
  };
}

const base = { 'A.als': 'a', 'B.als': 'b', 'Old.wav': 'old', '.gitignore': 'i' };

test('two sessions, and takes of other names, have nothing in common: the join holds both', () => {
  const { joined, inCommon } = meet(
    base,
    { ...base, 'A.als': 'ours', 'Take 1.wav': '1' },
    { ...base, 'B.als': 'theirs', 'Take 2.wav': '2' },
  );
  expect(inCommon).toEqual([]);
  expect(joined).toEqual({ ...base, 'A.als': 'ours', 'B.als': 'theirs', 'Take 1.wav': '1', 'Take 2.wav': '2' });
});

test('the same session is in common, also where one side deleted it', () => {
  expect(meet(base, { ...base, 'A.als': 'x' }, { ...base, 'A.als': 'y' }).inCommon).toEqual(['A.als']);
  const { 'A.als': _, ...without } = base;
  expect(meet(base, without, { ...base, 'A.als': 'y' }).inCommon).toEqual(['A.als']);
  expect(meet(base, { ...base, 'A.als': 'x' }, without).inCommon).toEqual(['A.als']);
  // The same bytes on both sides are no two versions.
  expect(meet(base, { ...base, 'A.als': 'x' }, { ...base, 'A.als': 'x' }).inCommon).toEqual([]);
});

test('a package is one session, whichever of its files each side has written; its takes are not', () => {
  const song = { 'Song.logicx/Alternatives/000/ProjectData': 'p', 'Song.logicx/Resources/Info.plist': 'i' };
  const ours = { ...song, 'Song.logicx/Alternatives/000/ProjectData': 'x' };
  const theirs = { ...song, 'Song.logicx/Resources/Info.plist': 'y' };
  const { inCommon, mine } = meet(song, ours, theirs);
  expect(inCommon).toEqual(['Song.logicx']);
  // Kept whole: never a file of the one with a file of the other.
  expect(mine).toEqual(ours);
  const take = { ...song, 'Song.logicx/Media/Take 1.wav': '1' };
  expect(meet(song, take, theirs)).toMatchObject({
    inCommon: [],
    joined: { ...theirs, 'Song.logicx/Media/Take 1.wav': '1' },
  });
});

test('takes of the same name with other bytes are in common, and the sessions go with their takes', () => {
  const ours = { ...base, 'A.als': 'ours', 'Take 1.wav': '1' };
  const theirs = { ...base, 'B.als': 'theirs', 'Take 1.wav': 'another' };
  const met = meet(base, ours, theirs);
  expect(met.inCommon).toEqual(['A.als', 'B.als', 'Take 1.wav']);
  // Never does a session play the other's take.
  expect(met.mine).toEqual({ ...ours, 'B.als': 'b' });
  expect(met.theirs).toEqual({ ...theirs, 'A.als': 'a' });
  expect(meet(base, { ...base, 'Take 1.wav': '1' }, { ...base, 'Take 1.wav': '1' }).inCommon).toEqual([]);
});

test.each([
  ['take 1.wav', 'Take 1.wav'],
  ['Gitarre schön.wav'.normalize('NFC'), 'Gitarre schön.wav'.normalize('NFD')],
  ['Drums', 'Drums/Kick.wav'],
  ['drums/Kick.wav/x.wav', 'Drums/kick.wav'],
])('new names that cannot stand side by side on every disk are in common: %s, %s', (one, other) => {
  for (const [ours, theirs] of [
    [one, other],
    [other, one],
  ] as const) {
    const met = meet(base, { ...base, [ours]: '1' }, { ...base, [theirs]: '2' });
    expect(met.inCommon).toEqual([ours]);
    expect(met.mine).toEqual({ ...base, [ours]: '1' });
    expect(met.theirs).toEqual({ ...base, [theirs]: '2' });
  }
});

test('a take that one side deleted stays where the other side changed a session, and goes where it did not', () => {
  const { 'Old.wav': _, ...without } = base;
  expect(meet(base, without, { ...base, 'B.als': 'x' })).toMatchObject({ inCommon: [], joined: { 'Old.wav': 'old' } });
  expect(meet(base, { ...base, 'A.als': 'x' }, without)).toMatchObject({ inCommon: [], joined: { 'Old.wav': 'old' } });
  expect(meet(base, without, { ...base, 'New.wav': 'n' }).joined).toEqual({ ...without, 'New.wav': 'n' });
  expect(meet(base, { ...base, 'New.wav': 'n' }, without).joined).toEqual({ ...without, 'New.wav': 'n' });
  // Also where the other side wrote over it.
  expect(meet(base, without, { ...base, 'Old.wav': 'again' }).joined).toMatchObject({ 'Old.wav': 'again' });
  expect(meet(base, { ...base, 'Old.wav': 'again' }, without).joined).toMatchObject({ 'Old.wav': 'again' });
  // What lies in a package serves that package alone.
  const old = { ...base, 'Old.logicx/ProjectData': 'p', 'Old.logicx/Media/x.wav': 'x' };
  expect(meet(old, base, { ...old, 'B.als': 'x' }).joined).toEqual({ ...base, 'B.als': 'x' });
});

test('of settings that both changed the team’s are taken, and of other files both have in common what differs', () => {
  const ours = { ...base, '.gitignore': 'x', '.oxenvcs/config.json': 'x', 'A.als': 'x' };
  const theirs = { ...base, '.gitignore': 'y', '.oxenvcs/config.json': 'y' };
  expect(meet(base, ours, theirs)).toMatchObject({ inCommon: [], joined: { ...theirs, 'A.als': 'x' } });
  expect(meet(base, ours, theirs, genericProfile).inCommon).toEqual([]);
  expect(meet(base, { ...ours, 'words.txt': 'x' }, { ...theirs, 'words.txt': 'y' }).inCommon).toEqual(['words.txt']);
});

const names = ['A.als', 'B.als', 'x.wav', 'y.wav', 'S.logicx/P', 'S.logicx/Q', 'S.logicx/M/z.wav', 'words.txt'];
const anyFiles = fc.dictionary(fc.constantFrom(...names), fc.constantFrom('1', '2', '3'));

test('whatever two sides did: no bytes of either are missing, but for what the other changed and nobody needs', () => {
  fc.assert(
    fc.property(anyFiles, anyFiles, anyFiles, (before, ours, theirs) => {
      const met = meet(before, ours, theirs);
      for (const name of names) {
        // What only one side touched is as that side has it, unless a deletion is undone.
        const [b, o, t] = [before[name], ours[name], theirs[name]];
        if (met.inCommon.length === 0) {
          if (o !== b && t === b && o !== undefined) expect(met.joined[name]).toBe(o);
          if (t !== b && o === b && t !== undefined) expect(met.joined[name]).toBe(t);
          if (o === t && o !== undefined) expect(met.joined[name]).toBe(o);
          if (b !== undefined && o === b && t === b) expect(met.joined[name]).toBe(b);
          // Nothing is made up.
          expect([o, t, b]).toContain(met.joined[name]);
        }
        // Whichever side is kept, its own sessions are as it has them.
        if (met.inCommon.includes(name) && name.endsWith('.als')) {
          expect(met.mine[name]).toBe(o);
          expect(met.theirs[name]).toBe(t);
        }
      }
      // Both sides come to the same, but for the settings.
      const mirrored = meet(before, theirs, ours);
      expect(mirrored.inCommon).toEqual(met.inCommon);
      if (met.inCommon.length === 0) expect(mirrored.joined).toEqual(met.joined);
    }),
    { numRuns: 500 },
  );
});
