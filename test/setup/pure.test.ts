import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { withBlock } from '../../src/setup/block.ts';
import { identityFrom } from '../../src/setup/identity.ts';
import { aroundPackage } from '../../src/setup/place.ts';
import { isLocalPath, refsOf } from '../../src/setup/remote.ts';
import { mayBeInICloud, syncedBy } from '../../src/setup/synced.ts';
import { fileName } from '../../src/setup/vault.ts';

describe('the folder of a sync service is known', () => {
  const none = new Set<string>();
  it.each([
    ['/Users/ann/Library/Mobile Documents/com~apple~CloudDocs/Song', 'iCloud Drive'],
    ['/Users/ann/Library/CloudStorage/GoogleDrive-ann@band.example/My Drive/Song', 'Google Drive'],
    ['/Users/ann/Library/CloudStorage/OneDrive-Personal/Song', 'OneDrive'],
    ['/Users/ann/Library/CloudStorage/Dropbox/Song', 'Dropbox'],
    ['/Users/ann/Library/CloudStorage/Box-Box/Song', 'Box-Box'],
    ['/Users/ann/Dropbox/Song', 'Dropbox'],
    ['/Users/ann/Dropbox (The Band)/Music/Song', 'Dropbox'],
    ['/Users/ann/OneDrive - The Band/Song', 'OneDrive'],
    ['/Users/ann/Google Drive/Song', 'Google Drive'],
  ])('%s', (dir, service) => expect(syncedBy(dir, '/Users/ann', none)).toBe(service));

  it.each([
    '/Users/ann/Music/Song',
    '/Users/ann/Music/Dropbox ideas/Song',
    '/Users/ann/Music/Dropbox/Song',
    '/Users/ann/Dropbox ideas/Song',
    '/Users/anna/Dropbox/Song',
    '/Users/ann/Library/Audio/Song',
    '/Volumes/OneDrive/Song',
  ])('and not %s, which only sounds like one', (dir) => expect(syncedBy(dir, '/Users/ann', none)).toBeNull());

  it.each([
    ['/Volumes/Big/Box of songs/.dropbox.cache', 'Dropbox'],
    ['/Volumes/Big/.tmp.driveupload', 'Google Drive'],
    ['/Volumes/Big/Box of songs/Song/.stfolder', 'Syncthing'],
  ])('by the file %s, wherever it lies', (marker, service) =>
    expect(syncedBy('/Volumes/Big/Box of songs/Song', '/Users/ann', new Set([marker]))).toBe(service),
  );

  it('but not by the settings of Dropbox in the home folder: all of it would count', () => {
    expect(syncedBy('/home/ann/Music/Song', '/home/ann', new Set(['/home/ann/.dropbox']))).toBeNull();
  });

  it('and Desktop and Documents are doubtful on a Mac only', () => {
    expect(mayBeInICloud('/Users/ann/Documents/Song', '/Users/ann', 'darwin')).toBe(true);
    expect(mayBeInICloud('/Users/ann/Music/Song', '/Users/ann', 'darwin')).toBe(false);
    expect(mayBeInICloud('/home/ann/Documents/Song', '/home/ann', 'linux')).toBe(false);
  });
});

describe('a block of our lines in a file of the user', () => {
  // All sorts of files, with and without a last line end, CRLF, and half blocks that an edit left behind.
  const line = fc.constantFrom('', '*.wav', 'a b', '# oxenvcs: begin', '# oxenvcs: end', '# oxenvcs: ending', '\r');
  const text = fc
    .tuple(fc.array(line), fc.constantFrom('\n', '\r\n'), fc.boolean())
    .map(([lines, eol, last]) => lines.join(eol) + (last ? eol : ''));

  it('is the same after the second time', () => {
    fc.assert(
      fc.property(text, (before) => {
        const once = withBlock(before, ['one', 'two']);
        expect(withBlock(once, ['one', 'two'])).toBe(once);
      }),
    );
  });

  it('leaves every line of the user as it was', () => {
    const before = '*.bak\r\n# mine\r\n';
    expect(withBlock(before, ['one']).startsWith(before)).toBe(true);
    expect(withBlock('no end', ['one'])).toMatch(/^no end\n\n# oxenvcs: begin.*\none\n# oxenvcs: end\n$/);
  });

  it('is replaced where it stands, between lines of the user', () => {
    const before = `above\n\n${withBlock('', ['old'])}below\n`;
    const after = withBlock(before, ['new', 'newer']);
    expect(after.split('\n')).toEqual([
      'above',
      '',
      expect.stringMatching(/begin/),
      'new',
      'newer',
      '# oxenvcs: end',
      'below',
      '',
    ]);
  });

  it('does not swallow the lines after a begin that lost its end', () => {
    const torn = '# oxenvcs: begin (torn)\nmine\n';
    const twice = withBlock(withBlock(torn, ['one']), ['two']);
    expect(twice.startsWith(torn)).toBe(true);
    expect(twice.match(/^two$/gm)).toHaveLength(1);
    expect(twice).not.toContain('one');
  });

  it('takes the line ends of the file', () => {
    expect(withBlock('a\r\n', ['one'])).not.toMatch(/[^\r]\n/);
  });
});

describe('an identity from the account', () => {
  it.each([
    [{ username: 'ann', fullName: 'Ann Lee,,,', hostname: 'studio' }, 'Ann Lee', 'ann@studio.local'],
    [{ username: 'ann', fullName: '', hostname: 'Anns-Mac.local' }, 'ann', 'ann@Anns-Mac.local'],
    [{ username: 'ann', fullName: '&', hostname: 'studio' }, 'Ann', 'ann@studio.local'],
    [{ username: 'zoë k', fullName: 'Zoë <K>\n', hostname: 'Zoës iMac' }, 'Zoë K', 'zoe-k@Zoes-iMac.local'],
    [{ username: '', fullName: '…', hostname: '' }, '…', 'musician@localhost.local'],
    [{ username: '', fullName: '. ,', hostname: '' }, 'Musician', 'musician@localhost.local'],
    [{ username: '音楽', fullName: '音楽家', hostname: '録音' }, '音楽家', 'musician@localhost.local'],
  ])('%o', (account, name, email) => expect(identityFrom(account)).toEqual({ name, email }));
});

it('inside a package the folder around it is meant', () => {
  expect(aroundPackage('/Music/Band/Song.logicx')).toBe('/Music/Band');
  expect(aroundPackage('/Music/Band/Song.LOGICX/Alternatives/000')).toBe('/Music/Band');
  expect(aroundPackage('/Music/Old.band/Media/Song.logicx')).toBe('/Music');
  expect(aroundPackage('/Song.logicx')).toBe('/');
  expect(aroundPackage('/Music/Band/logicx')).toBeNull();
});

it('a path is told from an address of another computer as Git does', () => {
  for (const path of ['/srv/team.git', '../team.git', 'team.git', './a:b', '/a/b:c'])
    expect(isLocalPath(path)).toBe(true);
  for (const url of ['git@host:team.git', 'host:team', 'https://host/x.git', 'file:///srv/x.git', 'ssh://h/x'])
    expect(isLocalPath(url)).toBe(false);
  expect(isLocalPath('D:\\team.git', 'win32')).toBe(true);
});

it('only the ref that was asked for counts, not one that ends alike', () => {
  const [a, b, c] = ['a', 'b', 'c'].map((digit) => digit.repeat(40));
  const text = `ref: refs/heads/live\tHEAD\n${a}\tHEAD\n${b}\trefs/heads/x/refs/heads/main\n${c}\trefs/remotes/up/HEAD\n`;
  expect(refsOf(text, 'main')).toEqual({ tip: null, head: { branch: 'live', tip: a } });
  expect(refsOf(`${a}\trefs/heads/main\n`, 'main')).toEqual({ tip: a, head: null });
});

it('a vault is named after the song, in a name that every disk takes', () => {
  expect(fileName('My Song')).toBe('My-Song');
  expect(fileName('../..')).toBe('project');
  expect(fileName('Lied Nr. 5: „Ähre“ 🎹\n')).toBe('Lied-Nr.-5-Ähre');
  expect(fileName('x'.repeat(100))).toHaveLength(40);
});
