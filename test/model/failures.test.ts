import { expect, test } from 'vitest';
import { Failure } from '../../src/model/failures.ts';

test('the name of a file breaks no sentence into lines, nor steers the terminal', () => {
  const { message } = new Failure('would-overwrite', { files: 'new\nline.wav, \u001b[31mred.wav' });
  expect(message).toBe('The team’s versions change files that are changed here, too: new line.wav,  [31mred.wav.');
});
