import { createHash } from 'node:crypto';
import { once } from 'node:events';
import http from 'node:http';
import https from 'node:https';
import { placeOf } from '../git/place.ts';
import type { Clock } from '../system/clock.ts';
import { findCredential, forgetCredential, knownCredential, wayTo } from './http-way.ts';

/**
 * A remote over http(s) is asked by this process itself whether its refs have moved: one small request of git's protocol v2
 * (`ls-refs`), two milliseconds of the processor where a `git fetch` that brings nothing takes twenty. It only ever saves a fetch:
 * wherever anything is not quite plain git is asked as ever, goes its own way, and has its own words for what goes wrong.
 */

/** The remote to ask; another object as soon as something was set in the project. */
interface Of {
  root: string;
  remote: { url: string };
  clock: Clock;
  signal?: AbortSignal;
}

/** An answer that takes longer (ms; so long a check of the network waits, too), or is longer (bytes), is left to git. */
const [answerMs, longestBytes] = [4000, 1_048_576];
/** So long a remote that cannot be asked so is left to git, and so late it is noticed that something was set for all projects, ms. */
const againMs = 3_600_000;

/**
 * For one project: gives a text that stays the same as long as no ref whose name begins with one of `prefixes` was made, moved
 * or removed. Null: it cannot be told so. Never throws for what a remote can do.
 */
export function makePeek(): (of: Of, prefixes: readonly string[]) => Promise<string | null> {
  let known: { of: Of; until: number; way: string | null; isPrivate: boolean } | null = null;
  return async (of, prefixes) => {
    const { root, remote, clock, signal } = of;
    const now = clock.monotonic();
    if (known === null || known.of !== of || now >= known.until)
      known = { of, until: now + againMs, way: await wayTo(root, remote.url), isPrivate: false };
    const { way } = known;
    if (way === null) return null;
    const url = new URL(`${remote.url.replace(/\/$/, '')}/git-upload-pack`);
    Object.assign(url, { username: '', password: '' });
    const { hash } = await placeOf(root);
    const ask = async (credential: string | null) => await post(url, question(hash, prefixes), credential, signal);

    const before = known.isPrivate ? await knownCredential(way) : null;
    let answer = await ask(before);
    if (answer?.status === 401 && before !== null) {
      forgetCredential(way);
      return null; // git finds out what is good now
    }
    if (answer?.status === 401) {
      known.isPrivate = true;
      const credential = /\bbasic\b/i.test(answer.challenge)
        ? await findCredential(way, root, remote.url, signal)
        : null;
      if (credential !== null) answer = await ask(credential);
      if (answer?.status === 401) forgetCredential(way);
    }
    // Nobody is there now.
    if (answer === null) return null;
    if (isListing(answer)) return createHash('sha256').update(answer.body).digest('hex');
    known.way = null;
    return null;
  };
}

/** `ls-refs`, as gitprotocol-v2(5) has it. */
function question(hash: string, prefixes: readonly string[]): string {
  const line = (text: string) => `${(Buffer.byteLength(text) + 5).toString(16).padStart(4, '0')}${text}\n`;
  const args = prefixes.map((prefix) => line(`ref-prefix ${prefix}`));
  return [line('command=ls-refs'), line(`object-format=${hash}`), '0001', ...args, '0000'].join('');
}

interface Answer {
  status: number;
  type: string;
  challenge: string;
  body: Buffer;
}

/** Is it the whole answer to that, and nothing else? */
function isListing({ status, type, body }: Answer): boolean {
  if (status !== 200 || type !== 'application/x-git-upload-pack-result') return false;
  for (let at = 0; ; ) {
    const length = body.toString('latin1', at, at + 4);
    if (length === '0000') return at + 4 === body.length;
    const end = /^[\da-f]{4}$/.test(length) ? at + Number.parseInt(length, 16) : 0;
    const line = body.toString('latin1', at + 4, end);
    if (end > body.length || !/^([\da-f]{40}|[\da-f]{64}) refs\/\S+\n?$/.test(line)) return false;
    at = end;
  }
}

/** Goes to that address and to no other. Null: no whole answer came. */
async function post(url: URL, body: string, credential: string | null, signal?: AbortSignal): Promise<Answer | null> {
  const isSecure = url.protocol === 'https:';
  const sent = (isSecure ? https : http).request(url, {
    method: 'POST',
    // A connection for each question: the next is a minute away, or a quarter of an hour.
    agent: isSecure ? secure : false,
    // Whatever the environment tells Node.
    rejectUnauthorized: true,
    headers: {
      'Git-Protocol': 'version=2',
      'Content-Type': 'application/x-git-upload-pack-request',
      Accept: 'application/x-git-upload-pack-result',
      'User-Agent': 'git/oxenvcs',
      ...(credential === null ? {} : { Authorization: credential }),
    },
    ...(signal ? { signal } : {}),
  });
  const late = setTimeout(() => sent.destroy(), answerMs);
  sent.on('error', () => undefined);
  try {
    sent.end(body);
    const [response] = (await once(sent, 'response')) as [http.IncomingMessage];
    const chunks: Buffer[] = [];
    let bytes = 0;
    for await (const chunk of response as AsyncIterable<Buffer>) {
      chunks.push(chunk);
      bytes += chunk.length;
      if (bytes > longestBytes) break; // not whole, and so no listing
    }
    const { 'content-type': type = '', 'www-authenticate': challenge = '' } = response.headers;
    return { status: response.statusCode ?? 0, type, challenge, body: Buffer.concat(chunks) };
  } catch {
    return null; // git finds out, and says, what it is
  } finally {
    clearTimeout(late);
    sent.destroy();
  }
}

/** Keeps the sessions of TLS: the next connection to the same host costs both sides less. */
const secure = new https.Agent();
