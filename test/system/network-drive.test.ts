import { expect, it } from 'vitest';
import { linuxNetwork, macNetwork, networkDrive } from '../../src/system/network-drive.ts';

it('network drives are known by their number, or by what the system calls them', () => {
  expect([0x6969, -11317950, 0xfe534d42, 0xef53].map(linuxNetwork)).toEqual(['NFS', 'SMB', 'SMB', null]);
  const mounts = [
    '/dev/disk3s1 on / (apfs, sealed, local)',
    '//ann@nas._smb._tcp.local/music on /Volumes/My (odd) music (smbfs, nodev, nosuid)',
    'nas:/songs on /Volumes/songs (nfs)',
  ].join('\n');
  expect(macNetwork(mounts, '/Users/ann/Song')).toBe(null);
  expect(macNetwork(mounts, '/Volumes/My (odd) music/Song')).toBe('SMB');
  expect(macNetwork(mounts, '/Volumes/songs')).toBe('NFS');
  expect(macNetwork(mounts, '/Volumes/songs of others')).toBe(null);
});

it('a path of Windows that begins with a server lies on a network, one with a letter does not', async () => {
  expect(await networkDrive('\\\\nas\\music\\Song', 'win32')).toBe('SMB');
  expect(await networkDrive('C:\\Song', 'win32')).toBe(null);
});
