import * as fs from 'node:fs/promises';
import path from 'node:path';
import { expect, test } from 'vitest';
import { followLog, lastLines, openLog } from '../../src/system/log.ts';
import { sandbox } from '../support/sandbox.ts';

const long = 'x'.repeat(100_000);
const numbers = (lines: readonly string[]) => lines.map((line) => Number(/ {2}(\d+) /.exec(line)?.[1]));

test('a log of months takes three files at most, none of them large, and its last lines reach over the seam', async () => {
  const file = path.join(await sandbox(), 'log', 'daemon.log');
  const log = openLog(file);
  for (let n = 0; n < 45; n++) log.write(`${n} ${long}`);
  await log.written();
  const names = (await fs.readdir(path.dirname(file))).toSorted();
  expect(names).toEqual(['daemon.log', 'daemon.log.1', 'daemon.log.2']);
  for (const name of names) expect((await fs.stat(path.join(path.dirname(file), name))).size).toBeLessThan(1_048_577);
  expect(numbers(await lastLines(file, 12))).toEqual(Array.from({ length: 12 }, (_, n) => 33 + n));
  // No line break of what is said begins a line.
  log.write('46 a\nb');
  await log.written();
  expect((await lastLines(file, 1))[0]).toMatch(/ {2}46 a b$/);
});

test('whoever follows the log is told each line once, in order, also those at the end of a file that was set aside', async () => {
  const file = path.join(await sandbox(), 'daemon.log');
  const log = openLog(file);
  log.write('0 before');
  await log.written();
  const told: string[] = [];
  const over = new AbortController();
  let written = 1;
  // Between two looks three lines come, one of them after a rotation now and then; a half one is no line yet.
  const wait = async () => {
    if (written > 40) return over.abort();
    for (let n = 0; n < 3; n++) log.write(`${written++} ${long}`);
    await log.written();
  };
  await followLog(file, (line) => told.push(line), wait, over.signal);
  expect(numbers(told)).toEqual(Array.from({ length: 42 }, (_, n) => n + 1));
  const half = new AbortController();
  const steps = ['99 ha', 'lf \n'];
  const more: string[] = [];
  await followLog(
    file,
    (line) => more.push(line),
    async () => {
      const step = steps.shift();
      if (step === undefined) return half.abort();
      await fs.appendFile(file, step);
      expect(more).toEqual([]);
    },
    half.signal,
  );
  expect(more).toEqual(['99 half ']);
});
