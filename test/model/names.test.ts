import { expect, test } from 'vitest';
import { oddNames, whyNotOnWindows } from '../../src/model/names.ts';

test.each([
  ['Take: 1.wav', 'the sign :'],
  ['Samples/what?.wav', 'the sign ?'],
  ['back\\slash.wav', 'the sign \\'],
  ['new\nline.wav', 'a control character'],
  ['Verse./Take.wav', 'a dot or a space at the end'],
  ['Take .wav/x ', 'a dot or a space at the end'],
  ['CON.wav', 'a name that Windows keeps for devices'],
  ['aux', 'a name that Windows keeps for devices'],
  ['Samples/lpt1.tar.gz', 'a name that Windows keeps for devices'],
])('%j cannot be held by Windows', (path, why) => {
  expect(whyNotOnWindows(path)).toBe(why);
});

test.each(['Take 1.wav', '.hidden/x', 'Console.wav', 'auxiliary', 'com10.wav', '🎸 Ünï (2).als', 'a.b.c/d'])(
  '%j is fine everywhere',
  (path) => {
    expect(whyNotOnWindows(path)).toBe(null);
  },
);

test('twins are one name on other computers, and names that are not UTF-8 none at all', () => {
  const nfd = 'Ü.wav'.normalize('NFD');
  const odd = oddNames(['take.wav', nfd, 'bad\uFFFD.wav', 'fine.wav'], ['Take.wav', 'Ü.wav', 'fine.wav', 'other.wav']);
  expect(odd.map(({ path, failure }) => [path, failure.row])).toEqual([
    ['take.wav', 'name-twin'],
    [nfd, 'name-twin'],
    ['bad\uFFFD.wav', 'name-unreadable'],
  ]);
  const both = ['Kick.wav', 'kick.wav'];
  expect(oddNames(both, both), 'a pair is told once').toHaveLength(1);
  const three = [...both, 'KICK.wav'];
  expect(
    oddNames(three, three).map(({ path }) => path),
    'and none of three is left out',
  ).toEqual(['Kick.wav', 'KICK.wav']);
});
