import { expect, test } from 'vitest';
import { compare, decide } from '../../src/conflict/compare.ts';
import { copyName, sideBySide } from '../../src/conflict/copy.ts';
import { profileNamed } from '../../src/daw/match.ts';
import type { DawProfile } from '../../src/daw/profile.ts';
import { changes, type Files, treeOf } from '../support/trees.ts';

const live = profileNamed('live') as DawProfile;

function both(base: Files, mine: Files, other: Files, author = 'Ben'): Files {
  const [here, there] = [changes(base, mine), changes(base, other)];
  const compared = compare(live, here, there);
  const joined = treeOf(other);
  for (const [path, entry] of decide(compared, here, there, 'ours'))
    if (entry === null) joined.delete(path);
    else joined.set(path, entry);
  const { inCommon } = compared;
  const trees = { mine: treeOf(mine), other: treeOf(other), joined };
  const result = sideBySide({ ...trees, inCommon, author, daw: live, project: 'My Song' });
  return Object.fromEntries([...result].map(([path, { oid }]) => [path, oid]));
}

const base = { 'Sets/Song.als': '0', 'Sets/Loop.wav': 'l' };

test('where the audio is the same for both, the other’s session stands beside ours under its author’s name', () => {
  const mine = { ...base, 'Sets/Song.als': 'mine', 'Sets/A.wav': 'a' };
  const other = { ...base, 'Sets/Song.als': 'Ben’s', 'Sets/B.wav': 'b' };
  expect(both(base, mine, other)).toEqual({ ...mine, 'Sets/B.wav': 'b', 'Sets/Song (Ben).als': 'Ben’s' });
});

test('a package is copied whole, with the audio in it', () => {
  const song = { 'Song.logicx/P': '0', 'Song.logicx/Media/x.wav': 'x' };
  const mine = { ...song, 'Song.logicx/P': 'mine' };
  const other = { ...song, 'Song.logicx/P': 'Ben’s', 'Song.logicx/Media/x.wav': 'edited' };
  expect(both(song, mine, other)).toMatchObject({
    'Song.logicx/P': 'mine',
    'Song (Ben).logicx/P': 'Ben’s',
    'Song (Ben).logicx/Media/x.wav': 'edited',
  });
});

test('where a take of the same name has other bytes, the other’s whole version goes into a folder, and ours is as it was', () => {
  const mine = { ...base, 'Sets/Song.als': 'mine', 'Take 1.wav': 'mine' };
  const other = { ...base, 'Sets/Song.als': 'Ben’s', 'Take 1.wav': 'Ben’s', 'More.als': 'm' };
  expect(both(base, mine, other)).toEqual({
    ...mine,
    'Song (Ben)/Sets/Song.als': 'Ben’s',
    'Song (Ben)/Sets/Loop.wav': 'l',
    'Song (Ben)/Take 1.wav': 'Ben’s',
    'Song (Ben)/More.als': 'm',
  });
});

test.each([
  ['mine', { 'Sets/Loop.wav': 'edited' }, {}],
  ['theirs', {}, { 'Sets/Loop.wav': 'edited' }],
])('a loop that only one side has edited (%s) is played as each has it', (_who, here, there) => {
  const mine = { ...base, 'Sets/Song.als': 'mine', ...here };
  const other = { ...base, 'Sets/Song.als': 'Ben’s', ...there };
  const result = both(base, mine, other);
  expect(result['Sets/Loop.wav']).toBe(mine['Sets/Loop.wav']);
  expect(result['Song (Ben)/Sets/Loop.wav']).toBe(other['Sets/Loop.wav']);
});

test('settings stay one: they are the team’s, and are not copied', () => {
  const before = { ...base, '.gitignore': 'i', '.oxenvcs/config.json': 'c' };
  const mine = { ...before, 'Take 1.wav': 'mine', 'Sets/Song.als': 'mine' };
  const other = { ...before, 'Take 1.wav': 'Ben’s', '.gitignore': 'team', 'Sets/Song.als': 'Ben’s' };
  const result = both(before, mine, other);
  expect(result['.gitignore']).toBe('team');
  expect(Object.keys(result).filter((path) => path.startsWith('Song (Ben)/.'))).toEqual([]);
});

test('a session that one side deleted needs no second name', () => {
  const { 'Sets/Song.als': _, ...without } = base;
  expect(both(base, without, { ...base, 'Sets/Song.als': 'Ben’s' })).toEqual({ ...base, 'Sets/Song.als': 'Ben’s' });
  expect(both(base, { ...base, 'Sets/Song.als': 'mine' }, without)).toEqual({ ...base, 'Sets/Song.als': 'mine' });
});

test('a name that is taken, in any case, is not taken again', () => {
  const before = { ...base, 'sets/song (ben).ALS': 'older copy' };
  const result = both(before, { ...before, 'Sets/Song.als': 'mine' }, { ...before, 'Sets/Song.als': 'Ben’s' });
  expect(result['Sets/Song (Ben 2).als']).toBe('Ben’s');
});

test.each([
  ['Song', 'Ann / Studio: "A"', 'Song (Ann Studio A).als'],
  ['Song', ' .. ', 'Song (the other).als'],
  ['Song', 'Änn 🎸', 'Song (Änn 🎸).als'],
  ['Dir.x/Song', 'Ann\n(x)', 'Dir.x/Song (Ann x).als'],
])('any name of a person becomes a name that every file system takes: %s, %j', (stem, author, name) => {
  expect(copyName(stem, '.als', author)).toBe(name);
});

test('a name that is long already is cut, not refused by the disk', () => {
  const name = copyName('🎸'.repeat(61), '.als', 'Ann');
  expect(Buffer.byteLength(name)).toBeLessThanOrEqual(255);
  expect(name.endsWith('🎸 (Ann).als')).toBe(true);
});
