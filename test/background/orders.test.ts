import * as fs from 'node:fs/promises';
import path from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { hearOrders } from '../../src/background/orders.ts';
import { tellByHand } from '../../src/project/by-hand.ts';
import { pause } from '../../src/project/pause.ts';
import { configPath, statePath } from '../../src/project/project.ts';
import { writeRecord } from '../../src/project/state.ts';
import { systemClock } from '../../src/system/clock.ts';
import { writeDurable } from '../../src/system/disk.ts';
import { projectWithRemote } from '../support/project.ts';

/** What a watch hears; its wait for an editor is over soon, and counted. */
async function hearing() {
  const { project } = await projectWithRemote();
  await fs.mkdir(path.dirname(statePath(project, 'x')), { recursive: true });
  const heard: string[] = [];
  let waits = 0;
  const sleep = async (_: number, signal?: AbortSignal) => {
    waits += 1;
    await systemClock.sleep(50, signal);
  };
  const over = new AbortController();
  const orders = hearOrders(project, {
    clock: { ...systemClock, sleep },
    signal: over.signal,
    files: () => heard.push('files'),
    lock: () => heard.push('lock'),
    trouble: ({ row }) => heard.push(row),
  });
  onTestFinished(() => orders.stop());
  const settings = async (text: string) => await writeDurable(path.join(project.root, configPath), text);
  const comes = async (what: string) => await expect.poll(() => heard, { timeout: 20_000 }).toContain(what);
  await systemClock.sleep(100);
  return { project, heard, orders, over, settings, comes, waits: () => waits };
}

test('git by hand, the lock and the settings are each heard as what they are; what changes nothing ends nothing', async () => {
  const { project, heard, orders, over, settings, comes, waits } = await hearing();
  await tellByHand(project);
  await comes('files');
  expect(heard).not.toContain('lock');
  await writeRecord(statePath(project, 'lock.json'), {});
  await comes('lock');
  // One that was over before anybody heard of it.
  await pause(project, 0, Date.now());
  await settings('{"v":1,"wacth":{}}');
  await comes('config-invalid');
  await settings('{ "v": 1 }');
  await expect.poll(waits, { timeout: 20_000 }).toBeGreaterThan(1);
  await systemClock.sleep(150);
  expect([orders.anew.aborted, heard.filter((one) => one === 'config-invalid').length]).toEqual([false, 1]);
  await settings('{"v":1,"branch":"other"}');
  await expect.poll(() => orders.anew.aborted, { timeout: 20_000 }).toBe(true);
  // What fails because it is over is no trouble.
  const before = waits();
  await settings('not JSON');
  await expect.poll(waits, { timeout: 20_000 }).toBeGreaterThan(before);
  over.abort();
  await systemClock.sleep(100);
  expect(heard.filter((one) => one === 'config-invalid' || one === 'internal')).toHaveLength(1);
});

test('a pause ends the watch at once, and what comes after its end is not heard', async () => {
  const { project, heard, orders, settings } = await hearing();
  await pause(project, null, Date.now());
  await expect.poll(() => orders.anew.aborted, { timeout: 20_000 }).toBe(true);
  orders.stop();
  const before = [...heard];
  await tellByHand(project);
  await settings('not JSON');
  await systemClock.sleep(200);
  expect(heard).toEqual(before);
});
