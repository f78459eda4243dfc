import { createHash } from 'node:crypto';
import { placeOf } from '../git/place.ts';
import type { Clock } from '../system/clock.ts';
import { wayOverHttp } from './peek-http.ts';
import { wayOverSsh } from './peek-ssh.ts';
import { isSsh } from './ssh.ts';

/**
 * A remote is asked by this process itself whether its refs have moved: one small request of git's protocol v2 (`ls-refs`), over
 * http(s) two milliseconds of the processor where a `git fetch` that brings nothing takes twenty, over ssh through a connection
 * that all projects share six where it takes seventy-five. It only ever saves a fetch: wherever anything is not quite plain git is
 * asked as ever, goes its own way, and has its own words for what goes wrong.
 */

/** The remote to ask; another object as soon as something was set in the project. */
interface Of {
  root: string;
  remote: { url: string };
  clock: Clock;
  signal?: AbortSignal;
}

/** How a remote is asked. */
export interface Way {
  /** What it answers to a question; `other`: it speaks another language than ours; null: nobody is there now. Never throws. */
  ask: (question: string, signal?: AbortSignal) => Promise<Buffer | 'other' | null>;
  /** Nothing more is asked. */
  end: () => Promise<void>;
}

export interface Listing {
  /** Stays the same as long as none of them is made, moved or removed. */
  mark: string;
  tips: Map<string, string>;
}

export interface Peek {
  /** Gives what refs are at whose names begin with one of `prefixes`. Null: it cannot be told so. Never throws for what a remote can do. */
  ask: (of: Of, prefixes: readonly string[]) => Promise<Listing | null>;
  end: () => Promise<void>;
}

/** So long a remote that cannot be asked so is left to git, and so late it is noticed that something was set for all projects, ms. */
const againMs = 3_600_000;

/** For one project. */
export function makePeek(): Peek {
  let known: { of: Of; until: number; way: Way | null } | null = null;
  return {
    async ask(of, prefixes) {
      const { root, remote, clock, signal } = of;
      const now = clock.monotonic();
      if (known === null || known.of !== of || now >= known.until) {
        const before = known?.way;
        const way = await (isSsh(remote.url) ? wayOverSsh : wayOverHttp)(root, remote.url);
        known = { of, until: now + againMs, way };
        await before?.end();
      }
      if (known.way === null) return null;
      const { hash } = await placeOf(root);
      const answer = await known.way.ask(question(hash, prefixes), signal);
      if (answer === null) return null;
      const tips = answer === 'other' ? null : tipsIn(answer);
      if (tips !== null) return { mark: createHash('sha256').update(answer).digest('hex'), tips };
      await known.way.end();
      known.way = null;
      return null;
    },
    async end() {
      await known?.way?.end();
    },
  };
}

/** `ls-refs`, as gitprotocol-v2(5) has it. */
function question(hash: string, prefixes: readonly string[]): string {
  const line = (text: string) => `${(Buffer.byteLength(text) + 5).toString(16).padStart(4, '0')}${text}\n`;
  const args = prefixes.map((prefix) => line(`ref-prefix ${prefix}`));
  return [line('command=ls-refs'), line(`object-format=${hash}`), '0001', ...args, '0000'].join('');
}

/** From a whole answer to that; null: it is none, or more. */
function tipsIn(body: Buffer): Map<string, string> | null {
  const tips = new Map<string, string>();
  for (let at = 0; ; ) {
    const length = body.toString('latin1', at, at + 4);
    if (length === '0000') return at + 4 === body.length ? tips : null;
    const end = /^[\da-f]{4}$/.test(length) ? at + Number.parseInt(length, 16) : 0;
    const [, tip, ref] = /^([\da-f]{40}|[\da-f]{64}) (refs\/\S+)\n?$/.exec(body.toString('utf8', at + 4, end)) ?? [];
    if (end > body.length || tip === undefined || ref === undefined) return null;
    tips.set(ref, tip);
    at = end;
  }
}
