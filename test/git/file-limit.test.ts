import { expect, test } from 'vitest';
import { fileLimitIn } from '../../src/git/file-limit.ts';

const MiB = 2 ** 20;

test.each([
  ["error: File Audio/Take 1.wav is 123.45 MB; this exceeds GitHub's file size limit of 100.00 MB", 100 * MiB],
  ['GitLab: You are attempting to check in one or more blobs which exceed the 100MiB limit:', 100 * MiB],
  ['GitLab: File "a.wav" is larger than the allowed size of 1.5 MiB. Use Git LFS to manage this file.', 1.5 * MiB],
  ['Your push has been blocked because it includes at least one file that is 100 MB or larger.', 100 * MiB],
  ['error: file a.wav is too large for this server', null],
])('a host that names its limit is understood, also one in its own words: %s', (line, bytes) => {
  expect(fileLimitIn(['error: Trace: 1f3a', line, 'error: GH001: Large files detected.'])).toEqual({ line, bytes });
});

test.each(['error: cannot lock ref', 'policy says no', 'error: the branch is protected'])(
  'another refusal is not taken for a limit of size: %s',
  (line) => expect(fileLimitIn([line])).toBeNull(),
);
