import { tryGit } from '../git/run.ts';

/** Would git go to an http(s) address as plainly as this process can (peek-http.ts), and what would open it? */

/** No blanks, escapes or brackets: what git and we might read in two ways. */
const plain = /^https?:\/\/([^\s/?#@\\]*@)?[a-z\d.-]+(:\d+)?(\/[\w.~%+-]+)+\/?$/i;

/** What has git go another way, or trust others: a proxy, certificates, headers, cookies, another address. */
const otherWays = /^(GIT_(SSL|HTTP|PROXY|ALLOW)_\w+|(all|https?)_proxy)$/i;
const asked = String.raw`^(http|credential)\.|^url\..*\.insteadof$|^protocol\..*allow$|^remote\..*\.proxy|^core\.askpass$`;
const harmless = /^(credential\.|core\.askpass|http\.(.+\.)?(postbuffer|lowspeed\w+|max\w+|minsessions|version)\n)/;

/** Gives what is the same only for addresses that git would open with the same credentials. Null: it would go another way. */
export async function wayTo(root: string, url: string): Promise<string | null> {
  if (!plain.test(url) || !URL.canParse(url) || Object.keys(process.env).some((name) => otherWays.test(name)))
    return null;
  const told = await tryGit(root, ['config', '--null', '--get-regexp', asked]);
  if (told.exitCode !== 0 && told.exitCode !== 1) return null;
  const settings = told.stdout.toString('utf8').split('\0').filter(Boolean);
  const isPlain = (setting: string) =>
    setting.startsWith('url.') ? !url.startsWith(setting.slice(setting.indexOf('\n') + 1)) : harmless.test(setting);
  if (!settings.every(isPlain)) return null;
  // One for the host, as git has it, unless it is set somewhere that the path counts.
  const byPath = settings.some((setting) => /^credential\.((.+\.)?usehttppath\b|\w+:\/\/[^/\n]+\/)/.test(setting));
  const { origin, username, password, pathname } = new URL(url);
  return JSON.stringify([origin, username, password, byPath ? pathname : '', settings]);
}

/** By the way: what opens private repositories (`Authorization`), until it is refused. Held nowhere but here. */
const credentials = new Map<string, Promise<string | null>>();

export const knownCredential = async (way: string): Promise<string | null> => (await credentials.get(way)) ?? null;

export const forgetCredential = (way: string): boolean => credentials.delete(way);

/** Asks the person's helpers, as git itself would, and never a person. Null: they have none for that address. */
export async function findCredential(
  way: string,
  root: string,
  url: string,
  signal?: AbortSignal,
): Promise<string | null> {
  const finding = credentials.get(way) ?? fill(root, url, signal);
  credentials.set(way, finding);
  return await finding;
}

/** A helper that does not answer is not waited for any longer, ms. */
const answerMs = 10_000;

async function fill(root: string, url: string, signal?: AbortSignal): Promise<string | null> {
  const call = { input: `url=${url}\n\n`, timeoutMs: answerMs, ...(signal ? { signal } : {}) };
  const { exitCode, stdout } = await tryGit(root, ['credential', 'fill'], call);
  const lines = stdout.toString('utf8').split('\n');
  const told = new Map(lines.map((line) => [line.split('=', 1)[0], line.slice(line.indexOf('=') + 1)]));
  const [user, password] = [told.get('username'), told.get('password')];
  // What is for another host must not go to this one.
  const isForIt = `${told.get('protocol')}://${told.get('host')}`.toLowerCase() === new URL(url).origin;
  if (exitCode !== 0 || !isForIt || user === undefined || password === undefined) return null;
  return `Basic ${Buffer.from(`${user}:${password}`).toString('base64')}`;
}
