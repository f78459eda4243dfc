import * as fs from 'node:fs/promises';
import path from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { type PublisherEvent, startPublisher } from '../../src/background/publisher.ts';
import { gitLine } from '../../src/git/run.ts';
import { readRescue } from '../../src/project/rescue.ts';
import { setAside } from '../../src/sync/set-aside.ts';
import { publishQueue } from '../../src/sync/publish.ts';
import { systemClock } from '../../src/system/clock.ts';
import { fileRemote, serverHook } from '../support/remotes.ts';
import { remoteMain, team, version } from '../support/team.ts';

test('what the remote turns down does not stay on a computer that nobody works at: it is on a rescue branch, and the next save that is taken ends that', async () => {
  const remote = await fileRemote();
  const [ann] = await team(remote.url, ['Ann']);
  if (!ann) throw new Error('one was asked for');
  await serverHook(remote, 'update', 'test "$1" != refs/heads/main');
  const before = await remoteMain(remote.dir);
  const tip = await version(ann);
  const events: PublisherEvent[] = [];
  const publisher = startPublisher(ann.project, systemClock, (event) => events.push(event));
  onTestFinished(() => publisher.stop());
  await expect.poll(() => events.at(-1), { timeout: 30_000 }).toMatchObject({ event: 'not-published', retryMs: null });
  publisher.setAside();
  const rescued = {
    event: 'published',
    commit: tip,
    waits: true,
    rescue: expect.stringContaining('oxenvcs/rescue/ann/'),
  };
  await expect.poll(() => events, { timeout: 30_000 }).toContainEqual(expect.objectContaining(rescued));
  await publisher.stop();
  const at = await gitLine(remote.dir, ['for-each-ref', '--format=%(objectname)', 'refs/heads/oxenvcs/rescue/ann/']);
  expect([at, await remoteMain(remote.dir)]).toEqual([tip, before]);
  expect(await readRescue(ann.project)).not.toBeNull();
  await fs.rm(path.join(remote.dir, 'hooks', 'update'));
  const next = await version(ann);
  const ports = {
    clock: systemClock,
    signal: new AbortController().signal,
    patienceMs: 0,
    urgency: 'by-hand',
  } as const;
  expect(await publishQueue(ann.project, ports)).toMatchObject([{ outcome: 'published', published: { rescue: null } }]);
  expect(await remoteMain(remote.dir)).toBe(next);
  expect(await readRescue(ann.project)).toBeNull();
  expect(await setAside(ann.project, ann.ctx)).toBe(false);
});
