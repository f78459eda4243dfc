import { setImmediate as turn } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { dice } from '../support/dice.ts';
import { rounds } from '../support/rounds.ts';
import { Machine } from './machine.ts';

/**
 * Simulated days of the detector, on a clock of our own: sessions of work with saves and takes, nights asleep, merges, files
 * that slip away. What it keeps in mind must not grow with the days, and every save that stood for a while is a version.
 */
test('weeks of work leave nothing behind: what is kept in mind stays small, and no save is passed over', async () => {
  const { roll, pick } = dice(9);
  const m = new Machine('ardour');
  const sessions = ['Song.ardour', 'Song-mix2.ardour'];
  const head = new Map<string, number>();
  const disk = new Map<string, number>();
  let [states, wanted] = [0, 0];
  const sizes: number[] = [];
  const heap: number[] = [];

  const differing = () => Object.fromEntries([...disk].filter(([name, state]) => head.get(name) !== state));
  const look = (at: number) => {
    const before = m.saves.length;
    const outcomes = [...m.outcomes];
    m.look(at, differing());
    for (const [i, save] of m.saves.slice(before).entries()) {
      if (outcomes[i] !== undefined) continue;
      for (const { path, oid } of save.captured) head.set(path, Number(oid.slice(oid.lastIndexOf('@') + 1)));
      for (const { path, stat } of save.settled) head.set(path, Number(stat.mtimeNs));
    }
  };
  const follow = (until: number) => {
    for (let at = m.next; at !== null && at <= until; at = m.next) look(Math.max(at, m.time + 0.001));
  };

  for (let day = 0; day < rounds(300); day++) {
    let now = day * 86_400 + 36_000;
    for (let save = 0; save < 60; save++) {
      if (roll() < 0.05) m.outcomes.push({ outcome: 'later', reason: 'a merge' });
      const name = pick(sessions);
      disk.set(name, ++states);
      wanted = states;
      if (roll() < 0.3) {
        // A take is recorded across the save, and kept or undone.
        const take = `Take ${states}.wav`;
        for (let flush = 0; flush < 8; flush++) {
          disk.set(take, ++states);
          look((now += 2.7));
        }
        if (roll() < 0.3) disk.delete(take);
      }
      look(now);
      // Closing the lid: nobody looks for hours.
      if (roll() < 0.02) now += 3 * 3600;
      now += 30 + roll() * 300;
      follow(now);
    }
    follow(now + 1200);
    look(now + 1201);
    expect(head.get(pick(sessions)) ?? 0).toBeGreaterThan(0);
    expect(Math.max(...sessions.map((name) => head.get(name) ?? 0))).toBeGreaterThanOrEqual(wanted);
    expect(differing()).toEqual({});
    const { known } = m.state;
    sizes.push(known.files.size + known.versions.length + known.handled.size + known.temporary.size);
    expect(m.name).toBe('clean');
    // The harness's own memory.
    m.saves.length = 0;
    m.captures.length = 0;
    m.events.length = 0;
    for (const name of disk.keys()) if (name.endsWith('.wav')) [disk, head].map((map) => map.delete(name));
    await turn();
    heap.push(process.memoryUsage().heapUsed);
  }
  expect(Math.max(...sizes)).toBe(0);
  // Garbage comes and goes; what stays would add up.
  const middle = (part: number[]) => part.toSorted((a, b) => a - b)[Math.floor(part.length / 2)] ?? 0;
  const third = Math.ceil(heap.length / 3);
  expect(middle(heap.slice(-third))).toBeLessThan(middle(heap.slice(0, third)) + 50_000_000);
});
