import type { Clock } from './clock.ts';

/** How often it is looked whether the computer has slept, ms. */
const everyMs = 15_000;
/** A busy computer, or a process that was stopped for a moment, is late, too; more than this is a sleep, ms. */
const sleptMs = 15_000;
/** Between two that are told: a computer that wakes has other things to do, ms. */
const apartMs = 50;

interface Ticker {
  listeners: Set<() => void>;
  stop: AbortController;
}

/** One for all that share a clock. */
const tickers = new WeakMap<Clock, Ticker>();

/**
 * Calls `woken` some seconds after the computer was woken up: timers stand still while it sleeps, file events are lost, and
 * others go on. What tells is that a wait took longer than was asked for, by a clock that counts sleep. Gives what ends it.
 */
export function whenWoken(clock: Clock, woken: () => void): () => void {
  const ticker = tickers.get(clock) ?? { listeners: new Set(), stop: new AbortController() };
  tickers.set(clock, ticker);
  ticker.listeners.add(woken);
  if (ticker.listeners.size === 1) void tick(clock, ticker);
  return () => {
    ticker.listeners.delete(woken);
    if (ticker.listeners.size > 0) return;
    tickers.delete(clock);
    ticker.stop.abort();
  };
}

async function tick(clock: Clock, { listeners, stop: { signal } }: Ticker): Promise<void> {
  while (!signal.aborted) {
    const before = clock.uptime();
    await clock.sleep(everyMs, signal).catch(() => undefined); // only aborted
    if (clock.uptime() - before < everyMs + sleptMs) continue;
    for (const woken of listeners) {
      woken();
      await clock.sleep(apartMs, signal).catch(() => undefined); // only aborted
    }
  }
}
