import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { FileStat } from '../../src/model/save.ts';
import { begin } from '../../src/watch/settle.ts';
import { overwritten, toOutlive } from '../../src/watch/version.ts';
import { Machine, nth, times } from './machine.ts';

/**
 * A folder in which random things happen: saves of two sessions, takes that grow, files that vanish, a Git that cannot
 * be used for a while; looks come late, events get lost, the computer sleeps. All times in s.
 */
type Happening =
  | { what: 'save'; file: string }
  | { what: 'delete'; file: string }
  | { what: 'take'; file: string; flushes: number }
  | { what: 'open' | 'close'; file: string }
  | { what: 'temporary' }
  | { what: 'slip'; file: string }
  /** The next version takes so long, s. */
  | { what: 'slow'; takes: number }
  /** Told to end, and begun anew. */
  | { what: 'restart' }
  | { what: 'later' | 'moved' | 'nothing' };

interface Planned {
  /** After the one before. */
  wait: number;
  /** The event comes through. */
  heard: boolean;
  happening: Happening;
}

const sessions = ['Song.ardour', 'Song-mix2.ardour'];
const takes = ['Take1.wav', 'Take2.wav'];
const file = fc.constantFrom(...sessions, ...takes, 'preset.ttl');
const happening: fc.Arbitrary<Happening> = fc.oneof(
  { weight: 6, arbitrary: fc.record({ what: fc.constant('save' as const), file: fc.constantFrom(...sessions) }) },
  fc.record({ what: fc.constant('save' as const), file }),
  fc.record({ what: fc.constant('delete' as const), file }),
  {
    weight: 2,
    arbitrary: fc.record({ what: fc.constant('take' as const), file: fc.constantFrom(...takes), flushes: fc.nat(60) }),
  },
  fc.record({ what: fc.constantFrom('open' as const, 'close' as const), file }),
  fc.record({ what: fc.constant('temporary' as const) }),
  fc.record({ what: fc.constant('slip' as const), file }),
  fc.record({ what: fc.constant('slow' as const), takes: fc.integer({ min: 1, max: 100 }) }),
  fc.record({ what: fc.constant('restart' as const) }),
  fc.record({ what: fc.constantFrom('later' as const, 'moved' as const, 'nothing' as const) }),
);
/** Not doubles: most of those that are drawn are as good as zero. */
const seconds = (most: number) => fc.integer({ min: 0, max: most * 1000 }).map((ms) => ms / 1000);
const wait = fc.oneof(seconds(4), seconds(200));
const plan = (of: fc.Arbitrary<Happening>, heard = fc.boolean(), after = wait): fc.Arbitrary<Planned[]> =>
  fc.array(fc.record({ wait: after, heard, happening: of }), { maxLength: 30 });

class Folder {
  private machine = new Machine('ardour');
  time = 0;
  private states = 0;
  private readonly files = new Map<string, { stat: FileStat | null; at: number }>();
  /** What a version holds of each file. */
  private readonly head = new Map<string, string>();
  private temporary: number | null = null;
  /** Since when. */
  private readonly open = new Map<string, number>();
  /** The version that is being made: when it was handed over, and when it ends. */
  private made: { from: number; at: number } | null = null;
  private slowBy: number | null = null;
  private flushes: { file: string; at: number }[] = [];
  /** Each state that a session was saved in, and when. */
  readonly saves: { file: string; state: string; at: number }[] = [];
  /** The states of sessions that versions hold, in order, with the time of the version. */
  readonly versions: { file: string; state: string; at: number; savedAt: number }[] = [];

  /** By how much each look is late. */
  private late: () => number;

  constructor(late: () => number) {
    this.late = late;
  }

  /** States that were written over by whoever had the session open for writing all the time: halves of a save, perhaps. */
  readonly halves: string[] = [];

  private write(name: string): void {
    const { stat = null, at = 0 } = this.files.get(name) ?? {};
    if (this.isWriting(name, at)) this.halves.push(`${name}@${stateOf(stat)}`);
    this.states += 1;
    this.files.set(name, { stat: nth(this.states, this.states * 1000), at: this.time });
    if (sessions.includes(name)) this.saves.push({ file: name, state: String(this.states), at: this.time });
  }

  /** Lets it happen. Says whether a session was touched, which wakes the watcher at once. */
  happen(happening: Happening): boolean {
    switch (happening.what) {
      case 'save':
        this.write(happening.file);
        return sessions.includes(happening.file);
      case 'delete':
        if (this.files.get(happening.file)?.stat) this.files.set(happening.file, { stat: null, at: this.time });
        return sessions.includes(happening.file);
      case 'take':
        for (let i = 0; i < happening.flushes; i++)
          this.flushes.push({ file: happening.file, at: this.time + i * 2.73 });
        this.flushes.sort((a, b) => a.at - b.at);
        return false;
      case 'open':
        if (!this.open.has(happening.file)) this.open.set(happening.file, this.time);
        return false;
      case 'close':
        this.open.delete(happening.file);
        return false;
      case 'temporary':
        this.temporary = ++this.states;
        return false;
      case 'slip':
        this.machine.slippery.add(happening.file);
        return false;
      case 'slow':
        this.slowBy = happening.takes;
        return false;
      case 'restart':
        this.restart();
        return false;
      case 'later':
        this.machine.outcomes.push({ outcome: 'later', reason: 'a merge' });
        return false;
      case 'moved':
        this.machine.outcomes.push({ outcome: 'moved', paths: ['Take1.wav', 'preset.ttl'] });
        return false;
      case 'nothing':
        return false;
    }
  }

  /** Has somebody had it open since before it was written, at `at`, not long ago? */
  private isWriting(name: string, at: number): boolean {
    return (this.open.get(name) ?? Infinity) <= at && this.time - at < times.openPatience / 1000;
  }

  /** What is under way comes to its end; of what has settled nothing is left for later but what somebody has open for writing. */
  private restart(): void {
    this.look();
    const before = this.machine.saves.length;
    const outcomes = [...this.machine.outcomes];
    this.machine.slow = false;
    this.machine.feed({ type: 'end' });
    if (this.made === null) this.take(before, outcomes);
    else this.finish(this.made);
    this.look();
    for (const { path, oid } of this.machine.saves.slice(before).flatMap(({ captured }) => captured)) {
      const { stat = null, at = 0 } = this.files.get(path) ?? {};
      if (this.isWriting(path, at)) expect(oid).not.toBe(`${path}@${stateOf(stat)}`);
    }
    const { rules, state } = this.machine;
    const lies = new Map([...this.files].map(([name, { stat }]) => [name, stat]));
    this.machine = new Machine('ardour');
    this.machine.state = begin(overwritten(toOutlive(rules, state.known, this.time * 1000), lies));
  }

  look(): void {
    const differing = [...this.files].filter(([name, { stat }]) => (this.head.get(name) ?? 'null') !== stateOf(stat));
    const before = this.machine.saves.length;
    const captures = this.machine.captures.length;
    const stats = Object.fromEntries(differing.map(([name, { stat }]) => [name, stat]));
    const temporary = this.temporary === null ? {} : { 'Song.tmp': this.temporary };
    this.machine.slow = this.slowBy !== null;
    const outcomes = [...this.machine.outcomes];
    this.machine.look(this.time, stats, { temporary, open: [...this.open.keys()] });
    this.machine.slippery.clear();
    for (const { path, stat } of this.machine.captures.slice(captures)) this.wasQuiet(path, stateOf(stat), times.quiet);
    for (const save of this.machine.saves.slice(before)) {
      for (const { path, stat } of save.settled) this.wasQuiet(path, stateOf(stat), times.mediaQuiet);
      // A session that was gone, and is back by now, comes with the next version.
      const isBack = (path: string) => sessions.includes(path) && this.files.get(path)?.stat !== null;
      if (this.made === null)
        for (const path of save.deleted) if (!isBack(path)) this.wasQuiet(path, 'null', times.quiet);
    }
    if (this.machine.state.slug === 'committing') {
      this.made ??= { from: this.machine.saves.length - 1, at: this.time + (this.slowBy ?? 0) };
      this.slowBy = null;
    }
    if (this.made === null) this.take(before, outcomes);
  }

  /** What was being made is done, unless something of it has changed meanwhile. */
  private finish({ from }: { from: number }): void {
    this.made = null;
    const save = this.machine.saves[from];
    const paths = (save?.settled ?? [])
      .filter(({ path, stat }) => stateOf(this.files.get(path)?.stat ?? null) !== stateOf(stat))
      .map(({ path }) => path);
    this.machine.time = this.time;
    this.machine.slow = false;
    if (paths.length > 0) this.machine.outcomes.unshift({ outcome: 'moved', paths });
    const outcomes = [...this.machine.outcomes];
    this.machine.finish();
    this.take(from, outcomes);
  }

  /** What versions hold now, of the saves from that one on. */
  private take(from: number, outcomes: readonly unknown[]): void {
    for (const [i, save] of this.machine.saves.slice(from).entries()) {
      if (outcomes[i] !== undefined) continue;
      for (const { path, stat } of save.settled) this.head.set(path, stateOf(stat));
      for (const path of save.deleted) this.head.set(path, 'null');
      for (const { path, oid } of save.captured) {
        const state = oid.slice(oid.lastIndexOf('@') + 1);
        this.head.set(path, state);
        const savedAt = this.saves.find((one) => one.state === state)?.at ?? Number.NaN;
        this.versions.push({ file: path, state, at: this.time, savedAt });
      }
    }
  }

  private wasQuiet(path: string, state: string, quiet: number): void {
    const now = this.files.get(path);
    expect(`${path}@${stateOf(now?.stat ?? null)}`).toBe(`${path}@${state}`);
    const least = path.endsWith('.wav') && state !== 'null' ? quiet : times.quiet;
    expect(this.time - (now?.at ?? 0)).toBeGreaterThanOrEqual(least / 1000 - 1e-6);
  }

  /** From now on nothing happens any more, for long enough for the last scan, an idle descriptor, a take and a merge. */
  rest(): void {
    this.late = () => 0;
    this.until(this.time + 1500);
  }

  /** Lets the time go on until `end`, looking whenever the detector wants to, and when the scan is due. */
  until(end: number): void {
    for (;;) {
      const next = Math.min(this.machine.next ?? Number.POSITIVE_INFINITY, this.time + times.scan / 1000);
      const wanted = Math.max(next, this.time + 0.001) + this.late();
      if (
        this.made !== null &&
        this.made.at <= Math.min(wanted, end, this.flushes[0]?.at ?? Number.POSITIVE_INFINITY)
      ) {
        this.time = Math.max(this.time, this.made.at);
        this.finish(this.made);
        continue;
      }
      const flush = this.flushes[0];
      if (flush !== undefined && flush.at <= Math.min(wanted, end)) {
        this.flushes.shift();
        this.time = Math.max(this.time, flush.at);
        this.write(flush.file);
        continue;
      }
      this.time = Math.min(wanted, end);
      if (wanted > end) return;
      this.look();
    }
  }

  play(planned: readonly Planned[]): void {
    for (const { wait, heard, happening } of planned) {
      this.until(this.time + wait);
      const session = this.happen(happening);
      if (!heard) continue;
      this.machine.time = this.time;
      this.machine.feed({ type: 'stirred' });
      if (!session) continue;
      this.until(this.time + times.burst / 1000);
      this.look();
    }
  }

  get lastOfEach(): Record<string, string> {
    return Object.fromEntries(
      sessions.flatMap((name) => (this.files.has(name) ? [[name, stateOf(this.files.get(name)?.stat ?? null)]] : [])),
    );
  }

  get committed(): Record<string, string> {
    return Object.fromEntries([...this.head].filter(([name]) => sessions.includes(name)));
  }
}

const stateOf = (stat: FileStat | null): string => (stat === null ? 'null' : String(stat.mtimeNs));

/** Late looks: a busy computer, and now and then one that slept for hours. */
const lateness = fc.array(
  fc.oneof({ weight: 20, arbitrary: seconds(0.3) }, { weight: 1, arbitrary: fc.constant(7200) }),
  { minLength: 1, maxLength: 20 },
);

function folder(late: number[]): Folder {
  let i = 0;
  return new Folder(() => late[i++ % late.length] ?? 0);
}

const runs = { numRuns: 150 };

test('nothing is committed that changed within its quiet time, whatever happens', () => {
  fc.assert(
    fc.property(plan(happening), lateness, (planned, late) => {
      // look() checks every file of every save.
      folder(late).play(planned);
    }),
    runs,
  );
});

test('every session that stays quiet ends in a version of its last state, whatever happened before', () => {
  fc.assert(
    fc.property(plan(happening), lateness, (planned, late) => {
      const song = folder(late);
      song.play(planned);
      song.rest();
      const wanted = song.lastOfEach;
      for (const [name, state] of Object.entries(wanted))
        if (state === 'null' && song.committed[name] === undefined) delete wanted[name];
      expect(song.committed).toEqual(wanted);
    }),
    runs,
  );
});

test('sessions that are open for writing, and an end at any moment: no half of a save is committed, and what was left is caught up at the next start', () => {
  const session = fc.constantFrom(...sessions);
  const all = fc.oneof(
    fc.record({ what: fc.constantFrom('save' as const, 'open' as const, 'close' as const), file: session }),
    fc.record({ what: fc.constant('restart' as const) }),
  );
  fc.assert(
    fc.property(plan(all, fc.constant(true), seconds(8)), lateness, (planned, late) => {
      const song = folder(late);
      song.play(planned);
      song.rest();
      expect(song.committed).toEqual(song.lastOfEach);
      for (const { file: name, state } of song.versions) expect(song.halves).not.toContain(`${name}@${state}`);
    }),
    runs,
  );
});

test('a save that is followed by nothing for a little more than the quiet time is never passed over', () => {
  const saves = fc.record({ what: fc.constant('save' as const), file: fc.constantFrom(...sessions, ...takes) });
  const recording = fc.record({
    what: fc.constant('take' as const),
    file: fc.constantFrom(...takes),
    flushes: fc.nat(60),
  });
  const late = fc.array(seconds(0.3), { minLength: 1, maxLength: 20 });
  const merge = fc.record({ what: fc.constant('later' as const) });
  const slow = fc.record({ what: fc.constant('slow' as const), takes: fc.integer({ min: 1, max: 100 }) });
  const all = fc.oneof({ weight: 6, arbitrary: saves }, recording, merge, slow);
  fc.assert(
    fc.property(plan(all, fc.constant(true)), late, (planned, delays) => {
      const song = folder(delays);
      song.play(planned);
      song.rest();
      const made = song.versions.map(({ state }) => Number(state));
      for (const [i, save] of song.saves.entries()) {
        const next = song.saves[i + 1];
        if (next === undefined || next.at - save.at > times.quiet / 1000 + 1)
          expect(made).toContain(Number(save.state));
      }
      // In the order in which they were saved.
      for (const name of sessions) {
        const own = song.versions.filter((one) => one.file === name).map(({ state }) => Number(state));
        expect(own).toEqual(own.toSorted((a, b) => a - b));
      }
    }),
    runs,
  );
});

test('a growing take never holds a save for longer than it may', () => {
  const only = fc.oneof(
    fc.record({ what: fc.constant('save' as const), file: fc.constantFrom(...sessions) }),
    fc.record({
      what: fc.constant('take' as const),
      file: fc.constantFrom(...takes),
      flushes: fc.integer({ min: 0, max: 400 }),
    }),
  );
  const late = fc.array(seconds(0.3), { minLength: 1, maxLength: 20 });
  fc.assert(
    fc.property(plan(only, fc.constant(true)), late, (planned, delays) => {
      const song = folder(delays);
      song.play(planned);
      song.rest();
      const most = (times.takeHold + 2 * times.mediaQuiet) / 1000;
      for (const { at, savedAt } of song.versions) expect(at - savedAt).toBeLessThanOrEqual(most);
    }),
    runs,
  );
});
