import { expect, test } from 'vitest';
import type { Captured, FileStat } from '../../src/model/save.ts';
import { captureAhead } from '../../src/watch/ahead.ts';
import { aboutToSettle } from '../../src/watch/due.ts';
import { Machine, nth } from './machine.ts';

/** Stores nothing, but says what of which state it was asked for. */
function store(answers: ('moved' | Error)[] = []) {
  const asked: string[] = [];
  const capture = async (path: string, stat: FileStat): Promise<Captured | 'moved'> => {
    asked.push(`${path}@${stat.mtimeNs}`);
    const answer = answers.shift();
    if (answer instanceof Error) throw answer;
    return answer ?? { path, mode: '100644', oid: asked.at(-1) ?? '' };
  };
  return { asked, ahead: captureAhead(capture) };
}
const file = (n: number, path = 'Song.als') => ({ path, stat: nth(n) });

test('what was stored ahead is not stored again, however often the file is about to settle', async () => {
  const { asked, ahead } = store();
  ahead.begin([file(1), file(1, 'Other.als')]);
  ahead.begin([file(1), file(1, 'Other.als')]);
  expect(await ahead.take(file(1))).toMatchObject({ oid: 'Song.als@1' });
  expect(await ahead.take(file(1, 'Other.als'))).toMatchObject({ oid: 'Other.als@1' });
  expect(asked).toEqual(['Song.als@1', 'Other.als@1']);
});

test('a file that changed after it was stored ahead is stored as it lies now', async () => {
  const { asked, ahead } = store();
  ahead.begin([file(1)]);
  expect(await ahead.take(file(2))).toMatchObject({ oid: 'Song.als@2' });
  ahead.begin([file(3)]);
  ahead.begin([]);
  expect(await ahead.take(file(3))).toMatchObject({ oid: 'Song.als@3' });
  // Its turn comes, though nobody wants it any more.
  await new Promise((done) => setImmediate(done));
  expect(asked.toSorted()).toEqual(['Song.als@1', 'Song.als@2', 'Song.als@3', 'Song.als@3']);
});

test('what goes wrong ahead is tried again, and only then told', async () => {
  const { asked, ahead } = store([new Error('no room'), 'moved', new Error('still no room')]);
  ahead.begin([file(1), file(1, 'Other.als')]);
  await expect(ahead.take(file(1))).rejects.toThrow('still no room');
  expect(await ahead.take(file(1, 'Other.als'))).toMatchObject({ oid: 'Other.als@1' });
  expect(asked).toEqual(['Song.als@1', 'Other.als@1', 'Song.als@1', 'Other.als@1']);
});

test('a session is stored in the last half second of its quiet time, a database or a take never ahead', () => {
  const m = new Machine('live');
  const files = { 'Song.als': 1, 'Voice.aup3': 1, 'Take.wav': 1 };
  m.look(0, files);
  expect(m.next).toBe(1);
  m.look(2.2, files);
  expect(m.next).toBe(2.5);
  const soon = () => aboutToSettle(m.rules, m.state.known);
  expect(soon()).toEqual([]);
  m.look(2.5, files);
  expect(soon()).toEqual([{ path: 'Song.als', stat: nth(1) }]);
  m.look(2.6, { ...files, 'Song.als': 2 });
  expect(soon()).toEqual([]);
  m.watch(3, 5.6, { ...files, 'Song.als': 2 });
  m.look(5.6, { ...files, 'Song.als': 2 });
  expect(m.captures).toEqual([{ path: 'Song.als', stat: nth(2) }]);
  m.look(14.6, { ...files, 'Song.als': 2 });
  expect(soon()).toEqual([]);
});

test('what may not be taken yet, or finds no room, is not stored ahead', () => {
  const m = new Machine('ardour');
  const soon = () => aboutToSettle(m.rules, m.state.known).map(({ path }) => path);
  m.look(0, { 'Song.ardour': 1 });
  m.look(2.5, { 'Song.ardour': 1 }, { room: { media: 0, sessions: 0 } });
  expect(soon()).toEqual([]);
  m.look(2.6, { 'Song.ardour': 1 }, { temporary: { 'Song.tmp': 1 } });
  expect(soon()).toEqual(['Song.ardour']);
  m.look(4, { 'Song.ardour': 1 }, { temporary: { 'Song.tmp': 2 } });
  expect([m.captures, soon()]).toEqual([[], []]);
});
