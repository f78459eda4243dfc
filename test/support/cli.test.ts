import { expect, it } from 'vitest';
import { background, oxenvcs } from './cli.ts';
import { isRunning } from './processes.ts';
import { sandbox } from './sandbox.ts';

it('runs the program that was built', async () => {
  const { code, stdout, stderr, json } = await oxenvcs([], { cwd: await sandbox() });
  expect({ code, stdout }).toMatchObject({ code: expect.any(Number), stdout: '' });
  expect(stderr).not.toBe('');
  expect(json).toThrow('This is not one JSON document');
});

it('waits for a line of a program in the background, and says what it said if the line never comes', async () => {
  // A program of node's own stands in for one of ours that runs on.
  const env = { NODE_OPTIONS: `--import=data:text/javascript,${encodeURIComponent(standIn)}` };
  const watch = background([], { cwd: await sandbox(), env });
  expect(await watch.waitForLine(/^ready \d$/)).toBe('ready 1');
  await expect(watch.waitForLine(/never/, 50)).rejects.toThrow('ready 1');
  expect(isRunning(watch.pid)).toBe(true);
  expect(await watch.kill('SIGINT')).toEqual({ code: 130, signal: null });
  await expect(watch.waitForLine(/never/)).rejects.toThrow('It ended');
  expect(watch.lines).toContain('bye');
});

const standIn = `
process.on('SIGINT', () => { console.log('bye'); process.exit(130); });
setTimeout(() => console.error('ready 1'), 10);
await new Promise((resolve) => setTimeout(resolve, 600_000));`;
