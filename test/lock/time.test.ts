import fc from 'fast-check';
import { expect, test } from 'vitest';
import { type NextBeat, nextBeat, type Pulse } from '../../src/lock/beat.ts';
import { judge } from '../../src/lock/judge.ts';
import { type LockRecord, newLock, nextRecord, type Owner } from '../../src/lock/record.ts';
import { graceMs, heartbeatMs, seenSince, standsForMs, takeableInMs } from '../../src/lock/time.ts';

const minute = 60_000;
const hour = 60 * minute;
const start = Date.parse('2026-11-24T08:00:00Z');
const person = (name: string): Owner => ({ name, email: `${name}@band.example`, host: name, clone: name });
const [ann, ben] = [person('ann'), person('ben')];

function lockOf(owner: Owner, now: number, leaseMs: number, beat = heartbeatMs(10, leaseMs)): LockRecord {
  const how = {
    branch: 'main',
    how: 'save' as const,
    base: null,
    message: '',
    event: 'acquired' as const,
    reason: null,
  };
  return newLock({ ...how, owner, leaseMs, heartbeatMs: beat, now }, null);
}

/** A computer with its own clocks, in a world with true time. */
class Machine {
  wall: number;
  up: number;
  constructor(wall: number, up = 0) {
    [this.wall, this.up] = [wall, up];
  }
  pass(ms: number): void {
    this.wall += ms;
    this.up += ms;
  }
  now = () => ({ at: this.wall, uptime: this.up });
}

/** Ann holds the lock as `heartbeat.ts` does; Ben looks now and then and would take it as soon as he may. */
class World {
  trueTime = 0;
  readonly ann: Machine;
  readonly ben: Machine;
  record: LockRecord;
  pulse: Pulse;
  online = true;
  asleep = false;
  /** When Ann's loop runs next, by the true time of a computer that is awake. */
  due = 0;
  ended: NextBeat | null = null;
  renewals: number[] = [0];
  private seen: { nonce: string; since: number } | null = null;

  readonly leaseMs: number;

  constructor(leaseMs: number, skew: number, benUp: number) {
    this.leaseMs = leaseMs;
    this.ann = new Machine(start, 5 * hour);
    this.ben = new Machine(start + skew, benUp);
    this.record = lockOf(ann, start, leaseMs);
    const { heartbeatMs: beat } = this.record;
    this.pulse = { leaseMs, heartbeatMs: beat, renewed: this.ann.now(), failures: 0, triedAt: 0, outdated: false };
  }

  pass(ms: number): void {
    for (let left = ms; left > 0; ) {
      const step = this.asleep ? left : Math.min(left, Math.max(1, this.due - this.trueTime));
      this.trueTime += step;
      this.ann.pass(step);
      this.ben.pass(step);
      left -= step;
      if (!this.asleep && this.trueTime >= this.due) this.beat();
    }
  }

  sleep(ms: number): void {
    this.asleep = true;
    this.pass(ms);
    this.asleep = false;
    this.due += ms; // timers stand still meanwhile
  }

  private beat(): void {
    if (this.ended) {
      this.due = Infinity;
      return;
    }
    const next = nextBeat(this.pulse, this.ann.now(), { forMs: 0, maxMs: Infinity });
    if (next.do === 'end') this.ended = next;
    else if (next.do === 'wait') this.due = this.trueTime + next.ms;
    else if (this.online) {
      this.record = nextRecord(this.record, 'renewed', this.ann.wall);
      this.pulse = { ...this.pulse, renewed: this.ann.now(), failures: 0 };
      this.renewals.push(this.trueTime);
      this.due = this.trueTime;
    } else {
      this.pulse = { ...this.pulse, failures: this.pulse.failures + 1, triedAt: this.ann.up };
      this.due = this.trueTime + 1;
    }
  }

  get annStandsFor(): number {
    return standsForMs(this.leaseMs, this.pulse.renewed, this.ann.now());
  }

  /** What a look says to Ben. */
  benMayTake(): boolean {
    const { nonce } = this.record;
    const same = this.seen?.nonce === nonce;
    this.seen = { nonce, since: seenSince({ same, sinceUptime: this.seen?.since ?? 0 }, this.ben.up) };
    const observed = { now: this.ben.wall, unchangedMs: this.ben.up - this.seen.since };
    return judge({ state: 'record', commit: 'c', record: this.record }, ben, observed).is === 'takeable';
  }
}

const steps = fc.array(
  fc.oneof(
    {
      weight: 6,
      arbitrary: fc.record({ do: fc.constant('pass' as const), ms: fc.integer({ min: 1, max: 2 * hour }) }),
    },
    {
      weight: 2,
      arbitrary: fc.record({ do: fc.constant('sleep' as const), ms: fc.integer({ min: 1, max: 12 * hour }) }),
    },
    { weight: 2, arbitrary: fc.record({ do: fc.constant('network' as const), on: fc.boolean() }) },
    {
      weight: 2,
      arbitrary: fc.record({
        do: fc.constant('benClock' as const),
        ms: fc.integer({ min: -30 * hour, max: 30 * hour }),
      }),
    },
    { weight: 1, arbitrary: fc.record({ do: fc.constant('benRestarts' as const) }) },
    {
      weight: 1,
      arbitrary: fc.record({ do: fc.constant('annClock' as const), ms: fc.integer({ min: -30 * hour, max: 0 }) }),
    },
  ),
  { maxLength: 40 },
);
type Step = typeof steps extends fc.Arbitrary<(infer T)[]> ? T : never;

function act(world: World, step: Step): void {
  if (step.do === 'pass') world.pass(step.ms);
  if (step.do === 'sleep') world.sleep(step.ms);
  if (step.do === 'network') world.online = step.on;
  if (step.do === 'benClock') world.ben.wall += step.ms;
  if (step.do === 'benRestarts') world.ben.up = 0;
  if (step.do === 'annClock') world.ann.wall += step.ms;
}

const leases = fc.integer({ min: 20 * minute, max: 12 * hour });

test('a lock that is being renewed is never taken over, however wrong the other’s clock is and however it jumps', () => {
  fc.assert(
    fc.property(leases, fc.integer({ min: -48 * hour, max: 48 * hour }), steps, (leaseMs, skew, run) => {
      const world = new World(leaseMs, skew, 3 * hour);
      for (const step of run) {
        if (step.do === 'sleep' || step.do === 'network' || step.do === 'annClock') continue;
        act(world, step);
        expect(world.benMayTake()).toBe(false);
      }
      expect(world.ended).toBeNull();
    }),
    { numRuns: 300 },
  );
});

test('with clocks that differ by less than the grace, who takes over finds a holder that has counted itself out', () => {
  fc.assert(
    fc.property(leases, fc.double({ min: -1, max: 1, noNaN: true }), steps, (leaseMs, share, run) => {
      const world = new World(leaseMs, Math.floor(share * (graceMs(leaseMs) - 1000)), 3 * hour);
      for (const step of run) {
        if (step.do === 'benClock' || step.do === 'annClock') continue;
        act(world, step);
        if (world.benMayTake()) expect(world.annStandsFor).toBe(0);
      }
      world.online = false;
      while (!world.benMayTake()) world.pass(minute);
      expect(world.annStandsFor).toBe(0);
    }),
    { numRuns: 300 },
  );
});

test('a holder whose clock is set back still counts itself out when its lease is over', () => {
  fc.assert(
    fc.property(leases, fc.integer({ min: 1, max: 30 * hour }), (leaseMs, back) => {
      const world = new World(leaseMs, 0, 0);
      world.online = false;
      world.ann.wall -= back;
      world.pass(leaseMs + 1);
      expect(world.annStandsFor).toBe(0);
      expect(world.ended).toEqual({ do: 'end', why: 'over' });
    }),
  );
});

test('a holder that is awake and online renews in time, whatever sleep and loss of network came before', () => {
  fc.assert(
    fc.property(leases, steps, (leaseMs, run) => {
      const world = new World(leaseMs, 0, 0);
      for (const step of run) act(world, step);
      if (world.ended) return;
      world.online = true;
      // One round: the rest of a wait, or of a backoff, then the renewal.
      world.pass(world.pulse.heartbeatMs + 1000);
      if (world.ended) return; // it was over by then
      expect(world.trueTime - (world.renewals.at(-1) ?? 0)).toBeLessThanOrEqual(world.pulse.heartbeatMs + 1000);
    }),
    { numRuns: 300 },
  );
});

test('a laptop that wakes renews within a quarter of a minute, not after the rest of a long timer', () => {
  const world = new World(4 * hour, 0, 0);
  world.pass(minute);
  world.sleep(hour);
  const woken = world.trueTime;
  world.pass(15_001);
  expect(world.renewals.at(-1)).toBeGreaterThanOrEqual(woken);
});

test('a lock whose holder is gone is free for others after lease, grace and two heartbeats, and not before the grace', () => {
  fc.assert(
    fc.property(leases, fc.integer({ min: minute, max: 10 * minute }), (leaseMs, gap) => {
      const world = new World(leaseMs, 0, 0);
      world.ended = { do: 'end', why: 'idle' };
      const limit = leaseMs + graceMs(leaseMs);
      for (;;) {
        const may = world.benMayTake();
        if (world.trueTime < limit) expect(may).toBe(false);
        if (may) break;
        expect(world.trueTime).toBeLessThanOrEqual(limit + 2 * world.pulse.heartbeatMs + gap);
        world.pass(gap);
      }
    }),
  );
});

test('a look at a lock that ran out long ago does not take it at once: its holder may be alive and our clock wrong', () => {
  const record = lockOf(ann, start, 4 * hour);
  const observed = { now: start + 3 * 24 * hour, unchangedMs: 0 };
  expect(takeableInMs(record, observed)).toBe(20 * minute);
  expect(takeableInMs(record, { ...observed, unchangedMs: 20 * minute })).toBe(0);
});

test('the same person’s other machine gets an idle lock in one step, but not one that is in use', () => {
  const now = { now: start, unchangedMs: 0 };
  const seen = (record: LockRecord) => ({ state: 'record' as const, commit: 'c', record });
  const laptop = { ...ann, host: 'laptop', clone: 'other', email: 'Ann@Band.example' };
  const busy = lockOf(ann, start, 4 * hour);
  const idle = nextRecord(busy, 'renewed', start, { idleSince: new Date(start).toISOString() });
  expect(judge(seen(busy), laptop, now).is).toBe('held');
  expect(judge(seen(idle), laptop, now)).toMatchObject({ is: 'takeable', event: 'handed-over' });
  expect(judge(seen(idle), ben, now).is).toBe('held');
  // Two people without an address are not the same person.
  expect(judge(seen({ ...idle, owner: { ...ann, email: '' } }), { ...ben, email: '' }, now).is).toBe('held');
});

test('the heartbeat is at least four to a lease, whatever the settings', () => {
  expect(heartbeatMs(10, 4 * hour)).toBe(10 * minute);
  expect(heartbeatMs(60, hour)).toBe(15 * minute);
  expect(heartbeatMs(1e-9, hour)).toBe(1);
});

test('a machine that is left on stops renewing after the longest idle time', () => {
  const pulse = { leaseMs: hour, heartbeatMs: minute, renewed: { at: start, uptime: 0 }, failures: 0, triedAt: 0 };
  const idle = { forMs: 12 * hour, maxMs: 12 * hour };
  expect(nextBeat({ ...pulse, outdated: false }, { at: start, uptime: 0 }, idle)).toEqual({ do: 'end', why: 'idle' });
});

test('one who slept past the end of the lease asks once whether it is still theirs, one who tried in vain does not', () => {
  const pulse = { leaseMs: hour, heartbeatMs: minute, renewed: { at: start, uptime: 0 }, triedAt: 0, outdated: false };
  const woken = { at: start, uptime: 2 * hour };
  const idle = { forMs: 0, maxMs: Infinity };
  expect(nextBeat({ ...pulse, failures: 0 }, woken, idle)).toEqual({ do: 'renew' });
  expect(nextBeat({ ...pulse, failures: 1 }, woken, idle)).toEqual({ do: 'end', why: 'over' });
});

test('going idle and coming back is told to the others soon, but not with every breath', () => {
  const pulse = {
    leaseMs: 4 * hour,
    heartbeatMs: 10 * minute,
    renewed: { at: start, uptime: 0 },
    failures: 0,
    triedAt: 0,
  };
  const idle = { forMs: 0, maxMs: Infinity };
  const at = (uptime: number) => nextBeat({ ...pulse, outdated: true }, { at: start + uptime, uptime }, idle);
  expect(at(29_000).do).toBe('wait');
  expect(at(30_000)).toEqual({ do: 'renew' });
});
