import { once } from 'node:events';
import http from 'node:http';
import https from 'node:https';
import { findCredential, forgetCredential, knownCredential, wayTo } from './http-way.ts';
import type { Way } from './peek.ts';

/** An answer that takes longer (ms; so long a check of the network waits, too), or is longer (bytes), is left to git. */
const [answerMs, longestBytes] = [4000, 1_048_576];

/** Asks an http(s) address with a request of our own. Null: git would go there in another way. */
export async function wayOverHttp(root: string, address: string): Promise<Way | null> {
  const way = await wayTo(root, address);
  if (way === null) return null;
  const url = new URL(`${address.replace(/\/$/, '')}/git-upload-pack`);
  Object.assign(url, { username: '', password: '' });
  let isPrivate = false;
  return {
    async ask(question, signal) {
      const send = async (credential: string | null) => await post(url, question, credential, signal);
      const before = isPrivate ? await knownCredential(way) : null;
      let answer = await send(before);
      if (answer?.status === 401 && before !== null) {
        forgetCredential(way);
        return null; // git finds out what is good now
      }
      if (answer?.status === 401) {
        isPrivate = true;
        const credential = /\bbasic\b/i.test(answer.challenge)
          ? await findCredential(way, root, address, signal)
          : null;
        if (credential !== null) answer = await send(credential);
        if (answer?.status === 401) forgetCredential(way);
      }
      if (answer === null) return null;
      const { status, type, body } = answer;
      return status === 200 && type === 'application/x-git-upload-pack-result' ? body : 'other';
    },
    end: async () => undefined,
  };
}

interface Answer {
  status: number;
  type: string;
  challenge: string;
  body: Buffer;
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
