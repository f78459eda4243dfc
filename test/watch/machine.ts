import { profileNamed } from '../../src/daw/match.ts';
import type { DawProfile } from '../../src/daw/profile.ts';
import { defaults } from '../../src/model/config.ts';
import type { Committed, FileStat, Save, Settled } from '../../src/model/save.ts';
import { inQuestion, nextLook } from '../../src/watch/due.ts';
import { plenty, type Room } from '../../src/watch/known.ts';
import { type Action, begin, type Event, type State, step } from '../../src/watch/settle.ts';
import { teller, type WatchEvent } from '../../src/watch/tell.ts';
import { timesOf } from '../../src/watch/times.ts';

export const times = timesOf(defaults.watch);

/** A file in its n-th state, of so many bytes. */
export const nth = (n: number, size = n): FileStat => ({ size: BigInt(size), mtimeNs: BigInt(n), ino: 1n });

export interface Seen {
  temporary?: Record<string, number>;
  open?: string[];
  unreadable?: string[];
  room?: Room;
}

/** The detector on a disk and a clock of our own: what is captured is named by the state it was in. */
export class Machine {
  state: State = begin();
  /** s */
  time = 0;
  /** Every save that was handed over. */
  readonly saves: Save[] = [];
  /** Every state it was in, in short, since the last one that was another. */
  readonly names: string[] = [];
  /** Everything that was captured. */
  readonly captures: Settled[] = [];
  /** What becomes of the next saves; then they are committed. */
  readonly outcomes: Committed[] = [];
  /** What is handed over takes until `finish`. */
  slow = false;
  /** These move while they are captured. */
  readonly slippery = new Set<string>();
  /** What was told. */
  readonly events: WatchEvent[] = [];
  readonly rules: { times: typeof times; profile: DawProfile };
  private readonly tellChange: ReturnType<typeof teller>;

  constructor(daw = 'live', settings: Partial<typeof defaults.watch> = {}) {
    const profile = profileNamed(daw);
    if (profile === undefined) throw new Error(`no DAW ${daw}`);
    this.rules = { times: timesOf({ ...defaults.watch, ...settings }), profile };
    this.tellChange = teller(this.rules, (event) => this.events.push(event));
  }

  /** Looks at the time `at` (s): the files that differ, each in its n-th state; null: gone. */
  look(
    at: number,
    files: Record<string, number | FileStat | null>,
    { temporary = {}, open = [], unreadable = [], room = plenty }: Seen = {},
  ): string {
    this.time = at;
    const stats = (all: Record<string, number | FileStat | null>) =>
      new Map(Object.entries(all).map(([path, n]) => [path, typeof n === 'number' ? nth(n) : n]));
    const asked = new Set(inQuestion(this.state.known, stats(files), at * 1000));
    this.feed({
      type: 'look',
      files: stats(files),
      temporary: stats(temporary) as Map<string, FileStat>,
      open: new Set(open.filter((path) => asked.has(path))),
      unreadable: new Set(unreadable),
      room,
    });
    return this.name;
  }

  /** Looks every second from `from` to `to`. */
  watch(from: number, to: number, files: Record<string, number | FileStat | null>, seen: Seen = {}): string {
    for (let at = from; at <= to; at++) this.look(at, files, seen);
    return this.name;
  }

  /** Looks when the detector itself wants to, as long as it wants to before `until`. */
  follow(until: number, files: Record<string, number | FileStat | null>, seen: Seen = {}): string {
    for (let at = this.next; at !== null && at <= until; at = this.next) this.look(at, files, seen);
    return this.name;
  }

  feed(event: Event): void {
    let next: Event | null = event;
    while (next !== null) {
      const { state, action } = step(this.rules, this.state, next, this.time * 1000);
      this.tellChange(this.state, state);
      this.state = state;
      if (this.names.at(-1) !== this.name) this.names.push(this.name);
      next = action === null ? null : this.answer(action);
    }
  }

  /** The version that was being made is made, or what becomes of it. */
  finish(result: Committed = this.outcomes.shift() ?? { outcome: 'committed', commit: `commit ${this.saves.length}` }) {
    this.feed({ type: 'committed', result });
  }

  private answer(action: Action): Event | null {
    if (action.do === 'commit') {
      this.saves.push(action.save);
      const commit = `commit ${this.saves.length}`;
      return this.slow
        ? null
        : { type: 'committed', result: this.outcomes.shift() ?? { outcome: 'committed', commit } };
    }
    this.captures.push(...action.files);
    const captured = action.files.filter(({ path }) => !this.slippery.has(path));
    return {
      type: 'captured',
      captured: captured.map(({ path, stat }) => ({ path, mode: '100644', oid: `${path}@${stat.mtimeNs}` })),
      moved: action.files.map(({ path }) => path).filter((path) => this.slippery.has(path)),
    };
  }

  /** `settling`, or `held: take-grows`. */
  get name(): string {
    return this.state.slug === 'held' ? `held: ${this.state.why}` : this.state.slug;
  }

  /** The saves so far, in short: what each holds, `-` what is deleted, `…` what still grows. */
  get told(): string[] {
    return this.saves.map((save) =>
      [
        ...save.captured.map(({ oid }) => oid),
        ...save.settled.map(({ path, stat }) => `${path}@${stat.mtimeNs}`),
        ...save.deleted.map((path) => `-${path}`),
        ...save.incomplete.map((path) => `…${path}`),
        ...save.toFollow.map((path) => `+${path}`),
      ].join(' '),
    );
  }

  /** When it wants to look again, s; null: not by itself. */
  get next(): number | null {
    const next = nextLook(this.rules, this.state);
    return next === null ? null : next / 1000;
  }
}
