import * as fs from 'node:fs/promises';
import path from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { askDaemon, reachDaemon } from '../../src/control/client.ts';
import { daemonFolder, recordFile } from '../../src/control/place.ts';
import { onLines, send } from '../../src/control/protocol.ts';
import { listen } from '../../src/daemon/listen.ts';
import { sandbox } from '../support/sandbox.ts';

const greeting = {
  oxenvcs: 1,
  pid: process.pid,
  token: 't',
  version: '1.2.3',
  program: '/p',
  builtAt: 0,
  startedAt: '',
};

/** What answers each request that comes, in what calls itself the background process; null: that hangs up. */
async function answering(answer: (id: number, what: string) => object | null | undefined, said: object = greeting) {
  const dir = await sandbox();
  Object.assign(process.env, { XDG_DATA_HOME: path.join(dir, 'data'), XDG_RUNTIME_DIR: path.join(dir, 'run') });
  const asked: string[] = [];
  const ear = await listen(
    't',
    (socket) => {
      send(socket, { id: 0, result: said });
      onLines(socket, (line) => {
        const { id, request } = JSON.parse(line) as { id: number; request: { do: string } };
        asked.push(request.do);
        const value = answer(id, request.do);
        if (value === null) socket.destroy();
        else if (value !== undefined) send(socket, value);
      });
    },
    null,
  );
  onTestFinished(async () => await ear.close());
  const record = { v: 1, pid: process.pid, token: 't', socket: ear.address };
  await fs.mkdir(daemonFolder(), { recursive: true });
  const write = async (over: object) => await fs.writeFile(recordFile(), JSON.stringify({ ...record, ...over }));
  await write({});
  return { asked, write };
}

const status = async (timeoutMs?: number) => await askDaemon({ do: 'status' }, timeoutMs);

test('what it answers with is given or thrown; a failure that only a newer one knows keeps its words', async () => {
  let answer: object | null | undefined = { result: { projects: [] } };
  await answering((id) => answer && { id, ...answer });
  expect(await status()).toEqual({ projects: [] });
  answer = { error: { row: 'folder-vanished', details: { dir: '/one' }, message: 'm' } };
  await expect(status()).rejects.toMatchObject({ row: 'folder-vanished', details: { dir: '/one' } });
  answer = { error: { row: 'of-tomorrow', details: {}, message: 'It rains' } };
  await expect(status()).rejects.toMatchObject({ row: 'internal', details: { detail: 'It rains' } });
  // Nothing, something else, and an end in the middle.
  const { pid } = process;
  for (answer of [undefined, { nonsense: 1 }, null])
    await expect(status(200)).rejects.toMatchObject({ row: 'daemon-hangs', details: { pid } });
});

test('answers that come in another order are each for who asked', async () => {
  const held: number[] = [];
  await answering((id, what) => {
    held.push(id);
    return what === 'look'
      ? { id: held[0], result: { projects: [{ project: '/1', state: 'lent', detail: '' }] } }
      : undefined;
  });
  const reached = await reachDaemon();
  if (reached.outcome !== 'connected') throw new Error(reached.outcome);
  const { connection } = reached;
  const first = connection.ask({ do: 'status' });
  const second = connection.ask({ do: 'look' }, 200);
  expect(await first).toMatchObject({ projects: [{ project: '/1' }] });
  await expect(second).rejects.toMatchObject({ row: 'daemon-hangs' });
  connection.close();
  await connection.closed;
});

test('one of another protocol is told to stop, and asked nothing else', async () => {
  const { asked } = await answering((id) => ({ id, result: {} }), { ...greeting, oxenvcs: 2, version: '9.9.9' });
  await expect(status()).rejects.toMatchObject({ row: 'daemon-other', details: { version: '9.9.9' } });
  expect(await askDaemon({ do: 'stop' })).toEqual({});
  expect(asked).toEqual(['stop']);
});

test('whoever answers without the token of the record, or is dead, is no background process; nor is a record that tells nothing', async () => {
  const { write } = await answering(() => undefined);
  const outcome = async () => (await reachDaemon(300)).outcome;
  for (const over of [{ token: 'another' }, { pid: 2 ** 22 + 1 }, { v: 2 }]) {
    await write(over);
    expect([await outcome(), await status()]).toEqual(['not-running', null]);
  }
  await answering(() => undefined, { ...greeting, version: 7 });
  expect(await outcome()).toBe('not-running');
});
